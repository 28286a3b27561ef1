"""Random slips in the files of the corpus, and what holds of every fix.

`python -m tests.lint.mutations --count 5000 --seed 1` tries more of them than the tests do.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import yaml

from kdiag.config.usage import UsageError
from kdiag.lint.linter import after_fixes, lint
from kdiag.lint.patch import commands
from kdiag.lint.report import FixedFile, LintReport
from tests.lint.corpus import Case, cases, refused_by_strimzi

Slip = Callable[[random.Random, list[str], int], None]

_KEY = re.compile(r"[\s-]*([A-Za-z][\w.-]+)\s*[:=]")
_PRECIOUS = re.compile(
    r"(?<![\w.-])\d+\.\d+\.\d+\.\d+(?![\w.-])|(?<![\w.-])(?:[a-z0-9][a-z0-9-]*\.)+(?:com|org|net)\b|"
    r"(?<=name: )[\w.-]+|(?:^|(?<=\s))#.*",
    re.MULTILINE,
)
_PATCH = re.compile(r"kubectl patch (\w+) (\S+).*<<'EOF'\n(.*\n)EOF\n\Z", re.DOTALL)


def _indented(chance: random.Random, lines: list[str], at: int) -> None:
    bare = lines[at].lstrip(" ")
    width = len(lines[at]) - len(bare)
    lines[at] = " " * max(0, width + chance.choice((-4, -2, -1, 1, 2, 4))) + bare


def _mistyped(chance: random.Random, lines: list[str], at: int) -> None:
    found = _KEY.match(lines[at])
    if not found:
        return
    key = found[1]
    cut = chance.randrange(1, len(key))
    slips = (key[:cut] + key[cut + 1 :], key[:cut] + key[cut - 1] + key[cut:], key.lower())
    lines[at] = lines[at][: found.start(1)] + chance.choice(slips) + lines[at][found.end(1) :]


def _tabbed(chance: random.Random, lines: list[str], at: int) -> None:
    width = chance.choice((2, 4, 8))
    for number in range(at, min(len(lines), at + chance.randint(1, 4))):
        bare = lines[number].lstrip(" ")
        margin = len(lines[number]) - len(bare)
        lines[number] = "\t" * (margin // width) + " " * (margin % width) + bare


def _dashed(chance: random.Random, lines: list[str], at: int) -> None:
    old, new = ("- ", "  ") if "- " in lines[at] else ("  ", "- ")
    lines[at] = lines[at].replace(old, new, 1)


def _folded(chance: random.Random, lines: list[str], at: int) -> None:
    """YAML joins two items of a list, as one with a blank in it: the second has lost its dash."""
    found = [n for n, line in enumerate(lines) if re.fullmatch(r"\s*- [^:#\s]+\s*", line)]
    if found:
        at = chance.choice(found)
        joined = chance.choice((" ", ", ", "\n" + " " * 40))
        lines[at] = f"{lines[at].rstrip()}{joined}{lines[at].strip(' -')}"


def _closed_up(_: random.Random, lines: list[str], at: int) -> None:
    lines[at] = re.sub(r": (?=\S)|(?<=-) (?=\S)", lambda m: m[0].rstrip(), lines[at], count=1)


def _opened(_: random.Random, lines: list[str], at: int) -> None:
    lines[at] = re.sub(r"[\]}\"'](?=\s*$)", "", lines[at], count=1)


def _twice(_: random.Random, lines: list[str], at: int) -> None:
    lines.insert(at, lines[at])


def _gone(_: random.Random, lines: list[str], at: int) -> None:
    del lines[at]


def _swapped(_: random.Random, lines: list[str], at: int) -> None:
    lines[at - 1], lines[at] = lines[at], lines[at - 1]


def _other_value(chance: random.Random, lines: list[str], at: int) -> None:
    values = {"true": "yes", "false": "'false'", "nodeport": "NodePort", "9092": "'9092'"}
    for value, other in values.items():
        lines[at] = re.sub(rf"(?<=[: ]){value}$", other, lines[at])
    if chance.random() < 0.2:
        lines[at] = re.sub(r"\d{4,5}", lambda m: str(int(m[0]) + 1), lines[at], count=1)


OF_SHAPE: Sequence[Slip] = (_indented, _mistyped, _tabbed, _dashed, _closed_up, _opened)
SLIPS: Sequence[Slip] = (*OF_SHAPE, _folded, _twice, _gone, _swapped, _other_value)


def spoilt(chance: random.Random, text: str, shape_only: bool = False) -> str:
    """The text with one to three slips; with `shape_only`, none that make it another file."""
    lines = text.splitlines()
    for _ in range(chance.randint(1, 3)):
        said = [n for n, line in enumerate(lines) if n and line.strip(" -") and line[:1] != "#"]
        if said:
            chance.choice(OF_SHAPE if shape_only else SLIPS)(chance, lines, chance.choice(said))
    return "\n".join(lines) + "\n"


def wrong(name: str, text: str) -> Iterator[str]:
    """What does not hold of the fixes for a text, in a sentence each."""
    try:
        report = lint({name: text}, fix=True)
    except UsageError:  # nothing of Kafka is left in it
        return
    left = after_fixes(report)
    marked = [each for each in report.problems if each.fixed]
    if bool(marked) != bool(report.fixed):
        yield f"{len(marked)} are marked, and {len(report.fixed)} files are corrected"
    if report.fixed and _weight(left) >= _weight(report):
        yield f"errors and warnings were {_weight(report)}, and are {_weight(left)}"
    if any(each.fixed for each in left.problems):
        yield "the corrected file has something that is marked"
    before, after = (Counter(x.finding.code for x in each.problems) for each in (report, left))
    if set(after) - set(before):
        yield f"new kinds: {sorted(set(after) - set(before))}"
    for code, number in Counter(x.finding.code for x in marked).items():
        if after[code] > before[code] - number:
            yield f"{code}: {number} of {before[code]} are marked, and {after[code]} are left"
    for fixed in report.fixed:
        lost = [each for each in _PRECIOUS.findall(text) if each.rstrip() not in fixed.after]
        if lost:
            yield f"lost: {lost}"
        if lint({name: fixed.after}, skip_unknown=True, fix=True).fixed:
            yield "the corrected file is corrected once more"
        yield from _not_patched(fixed)
        if name.startswith("strimzi/") and not left.errors:
            yield from (f"Strimzi's schema: {x}" for x in refused_by_strimzi(fixed.after))


def _weight(report: LintReport) -> tuple[int, int]:
    return report.errors, len(report.problems) - report.errors


def _not_patched(fixed: FixedFile) -> Iterator[str]:
    """What `--patch` leaves as it was in the resources of the corrected file."""
    resources = _resources(fixed.after)
    for command in commands(fixed.name, fixed.before, fixed.after):
        found = _PATCH.match(command)
        if not found:
            continue  # kubectl edit
        for change in yaml.safe_load(found[3]):
            *above, key = change["path"].split("/")[1:]
            same = [x for x in resources if x.get("kind", "Kafka").lower() == found[1]]
            parts = [_at(x, above).get(key) for x in same]
            if change["op"] != "add" or change["value"] not in parts:
                yield f"--patch makes another {change['path']} than --fix"


def _at(resource: Any, path: Sequence[str]) -> Any:
    for step in path:
        resource = resource.get(step) or {}
    return resource


def _resources(text: str) -> list[Any]:
    """The resources of a text; a document that is no YAML has none."""
    documents = []
    for part in re.split(r"^---.*$", text, flags=re.MULTILINE):
        with suppress(yaml.YAMLError):
            documents.append(yaml.safe_load(part))
    found = [each for each in documents if isinstance(each, dict)]
    return [x for each in found for x in each.get("items", [each]) if isinstance(x, dict)]


def examples(count: int, seed: int, start: int = 0) -> Iterator[tuple[Case, str]]:
    """So many spoilt files, each of the corpus in its turn, from one on."""
    chance = random.Random(seed)
    every = cases()
    for number in range(start, start + count):
        case = every[number % len(every)]
        yield case, spoilt(chance, case.text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failed = 0
    for case, text in examples(given.count, given.seed):
        for sentence in wrong(case.name, text):
            failed += 1
            sys.stdout.write(f"{case.name}: {sentence}\n{text}\n{'=' * 80}\n")
    sys.stdout.write(f"{given.count} files, {failed} failures\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
