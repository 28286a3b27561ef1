"""Scores explanations of logs from the field: right, partly, wrong, silent, sure but wrong.

`python -m tests.logs.scoring [TSV]` prints the scores of each client, and every log that is not
right; for `corpus` in place of a TSV, those of the logs of real clients. A TSV has the columns
file, client, codes, hop and note; `codes` are all that are right, ANY stands for every code and
none, NONE for no code.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kdiag.logs.explain import explain
from kdiag.logs.explanation import Explanation

HERE = Path(__file__).parent
FIELD = HERE / "field" / "expected.tsv"
EXPECTED = HERE / "expected.json"  # logs of real clients: see test_corpus.py and produce.py
# Answer → real failures of which the client sees, and logs, no more than what that answer says.
AS_SEEN = {
    "KD101": {"KD304"},
    "KD107": {"KD401"},
    "KD112": {"KD113", "KD114"},
    "KD121": {"KD108", "KD109", "KD110", "KD111", "KD115", "KD117", "KD120", "KD312"},
    "KD204": {"KD205"},
    "KD306": {"KD301"},
}
SCORES = ("right", "partly", "wrong", "silent", "sure but wrong")


@dataclass(frozen=True)
class Score:
    """The score of one log. `sure_but_wrong` is True if a sure answer is not right."""

    name: str
    client: str
    score: str
    answer: str
    expected: str
    sure_but_wrong: bool


def scores(table: Path = FIELD) -> list[Score]:
    """The score of every log of a table, which lies in the folder of the logs."""
    with table.open(encoding="utf-8", newline="") as file:
        return [_score(table.parent, row) for row in csv.DictReader(file, delimiter="\t")]


def corpus_scores() -> list[Score]:
    """The score of every log of a real client. Its expectation, which a test holds, has the answer;
    where that has no code, the log is read for lines without one."""
    return [_corpus_score(name, *row) for name, row in json.loads(EXPECTED.read_text()).items()]


def _corpus_score(
    name: str, real: str | None, code: str | None, hop: str | None, confidence: str | None
) -> Score:
    if code == real or (real in AS_SEEN.get(code or "", ())):
        score = "right"
    elif code and real:
        score = "partly" if confidence == "likely" and _akin(code, [real]) else "wrong"
    else:
        with (HERE / f"{name}.log").open("rb") as log:
            score = "partly" if explain(log, name).outcomes else "silent"
    answer, sure = f"{code} {hop} {confidence}", confidence == "sure" and code != real
    return Score(name, name.partition("/")[0], score, answer, f"{real}", sure)


def calibration(found: list[Score], confidence: str) -> tuple[int, int]:
    """How many answers have a confidence, and how many of them are right."""
    answers = [score for score in found if score.answer.endswith(f" {confidence}")]
    return len(answers), sum(score.score == "right" for score in answers)


def _score(folder: Path, row: dict[str, str]) -> Score:
    with (folder / row["file"]).open("rb") as log:
        found = explain(log, row["file"])
    codes, hops = row["codes"].split(","), row["hop"].split(",")
    score = _judge(found, codes, hops)
    hop = found.hop if found.hop_told else f"({found.hop})"
    answer = f"{found.root_cause} {hop} {found.confidence or len(found.outcomes)}"
    expected = f"{row['codes']} {row['hop']}"
    sure = found.confidence == "sure" and score != "right"
    return Score(row["file"], row["client"], score, answer, expected, sure)


def _judge(found: Explanation, codes: list[str], hops: list[str]) -> str:
    """The score of one explanation. A hop that the log does not tell is no wrong hop; where the
    table knows the hop, the answer then is right in part."""
    code = found.root_cause
    if code is None:
        if "NONE" in codes:
            return "right"
        if not found.outcomes:
            return "silent"
        return "right" if "ANY" in codes else "partly"
    if code not in codes and not ("ANY" in codes and found.confidence == "likely"):
        return "partly" if found.confidence == "likely" and _akin(code, codes) else "wrong"
    if "any" in hops or "ANY" in codes or found.hop in hops:
        return "right"
    return "wrong" if found.hop_told else "partly"


def _akin(code: str, codes: list[str]) -> bool:
    """Whether a code is of the same area as one that is right."""
    return code[:3] in {right[:3] for right in codes}


def table(found: list[Score]) -> Iterator[str]:
    """The scores of each client, and of all, as lines of text."""
    yield f"{'client':14}" + "".join(f"{name:>16}" for name in SCORES)
    for client in [*sorted({score.client for score in found}), ""]:
        own = [score for score in found if client in ("", score.client)]
        counts = Counter(score.score for score in own)
        counts["sure but wrong"] = sum(score.sure_but_wrong for score in own)
        yield f"{client or 'all':14}" + "".join(f"{counts[name]:16}" for name in SCORES)


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else str(FIELD)
    every = corpus_scores() if argument == "corpus" else scores(Path(argument))
    lines = [*table(every), ""]
    lines += [
        f"{s.score:7}{' SURE' if s.sure_but_wrong else ''} {s.name}: {s.answer}, not {s.expected}"
        for s in every
        if s.score != "right" or s.sure_but_wrong
    ]
    sys.stdout.write("\n".join(lines) + "\n")
