"""Applies fixes to files, and checks that each fix does no harm."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from kdiag.lint.documents import Read, read
from kdiag.lint.edit import Edits, apply, comment
from kdiag.lint.mistake import Problem
from kdiag.lint.report import FixedFile
from kdiag.rules.rule import Severity

MOST_ALIKE = 100  # findings of one code on one document
_IN_THE_TEXT = {"KD601", "KD602"}  # what is read on has it put right already
ROLLED_OUT = {"KD627", "KD628"}  # what is running cannot have the corrected file yet
_ROUNDS = 8  # a fix may lay open the next mistake
_MOST_TRIED, _MOST_TEXT = 40, 64 << 10  # fixes that are tried one by one, in texts of so much
_MOST_CORRECTED = 512 << 10  # characters of all files: more is judged, and not corrected

_VALUE = re.compile(r"\s*(?:-\s+)*[\w./-]+\s*(?:=|:(?=\s))\s*(.*)")
_ADDRESS = re.compile(r"(?<![\w-])[\w-]+(?:\.[\w-]+)+")
_NAME = re.compile(r"^\s*(?:-\s+)*name:\s*[\"']?([\w.-]+)", re.MULTILINE)


@dataclass(frozen=True)
class EditableProblem:
    """A problem and the edits that fix it."""

    problem: Problem
    edits: Edits


JudgeSources = Callable[[Sequence[Read]], list[EditableProblem]]


def corrected(
    sources: Mapping[str, str],
    files: Sequence[Read],
    found: Sequence[EditableProblem],
    judge: JudgeSources,
    proven: bool,
) -> tuple[list[Problem], list[FixedFile]]:
    """The problems, each with whether a fix puts it right, and the files that the fixes change.

    A fix that would do harm is left out: one that leaves as many mistakes as before, brings a new
    kind of them, or loses an address, a name or a comment. `proven`: a walk has met the addresses
    that fixes write, in the place of others.
    """
    harm = partial(_harm, sources, found, proven)
    texts = {file.name: file.text for file in files}
    wrong = any(each.edits for each in found) or texts != dict(sources)
    if not wrong or sum(map(len, texts.values())) > _MOST_CORRECTED:
        return [each.problem for each in found], []
    after, left = _all(texts, found, judge)
    if harm(after, left):
        after, left = _harmless(sources, files, found, judge, harm)
    problems = _marked(found, left)
    fixed = [
        FixedFile(
            name,
            before,
            after[name],
            tuple(
                each.problem
                for each in left
                if each.problem.file == name and each.problem.finding.code not in ROLLED_OUT
            ),
        )
        for name, before in sources.items()
        if after[name] != before
    ]
    return problems, fixed


def _all(
    texts: Mapping[str, str], found: Sequence[EditableProblem], judge: JudgeSources
) -> tuple[dict[str, str], Sequence[EditableProblem]]:
    """The texts with all fixes, and the problems that remain in them."""
    texts = dict(texts)
    for _ in range(1 if len(found) > MOST_ALIKE else _ROUNDS):
        made = {name: apply(text, _edits(found, name)) for name, text in texts.items()}
        if made == texts:
            break
        texts, found = _judged(made, judge)
    return texts, found


def _judged(
    texts: Mapping[str, str], judge: JudgeSources
) -> tuple[dict[str, str], Sequence[EditableProblem]]:
    files = [read(name, text) for name, text in texts.items()]
    return {file.name: file.text for file in files}, judge(files)


def _edits(found: Sequence[EditableProblem], name: str) -> list[Edits]:
    return [each.edits for each in found if each.edits and each.problem.file == name]


def _harmless(
    sources: Mapping[str, str],
    files: Sequence[Read],
    found: Sequence[EditableProblem],
    judge: JudgeSources,
    harm: Callable[[Mapping[str, str], Sequence[EditableProblem]], bool],
) -> tuple[dict[str, str], Sequence[EditableProblem]]:
    """The texts with the harmless fixes, which are tried one by one, and the remaining problems."""
    base = {file.name: file.text for file in files}
    size = sum(map(len, base.values()))
    best: tuple[dict[str, str], Sequence[EditableProblem]] = (dict(sources), found)
    if base != dict(sources):  # the lines that stand wrongly, which all else rests on
        best = _judged(base, judge)
        if harm(*best):
            return dict(sources), found
    for _ in range(_ROUNDS):
        tried = [each for each in found if each.edits]
        kept: list[EditableProblem] = []
        for candidate in tried if len(tried) <= _MOST_TRIED and size <= _MOST_TEXT else ():
            edits = [*kept, candidate]
            made = {name: apply(text, _edits(edits, name)) for name, text in base.items()}
            texts, left = _judged(made, judge)
            if not harm(texts, left) and len(left) < len(best[1]):
                kept, best = edits, (texts, left)
        if not kept:
            break
        base, found = best
    return best


def _harm(
    before: Mapping[str, str],
    found: Sequence[EditableProblem],
    proven: bool,
    after: Mapping[str, str],
    left: Sequence[EditableProblem],
) -> bool:
    """Whether fixes do harm or improve nothing."""
    were, are = _counts(found), _counts(left)
    if any(
        _lost(text, after[name], proven) for name, text in before.items() if after[name] != text
    ):
        return True
    if proven:
        return sum(of[0] for of in are.values()) > sum(of[0] for of in were.values())
    if set(are) - set(were):
        return True
    # Of those that are too many to list, how many there are is not known.
    listed = [code for code in were if were[code][0] + were[code][1] < MOST_ALIKE]
    errors = [sum(of[code][0] for code in listed if code in of) for of in (were, are)]
    others = [sum(of[code][1] for code in listed if code in of) for of in (were, are)]
    if errors[1] > errors[0] or (errors[1] == errors[0] and others[1] > others[0]):
        return True
    return len(listed) == len(were) and errors[0] + others[0] <= errors[1] + others[1]


def _counts(found: Sequence[EditableProblem]) -> dict[str, tuple[int, int]]:
    """Code → number of errors, number of warnings."""
    counted = Counter((x.problem.finding.code, x.problem.finding.severity) for x in found)
    return {
        code: (counted[code, Severity.ERROR], counted[code, Severity.WARNING])
        for code, _ in counted
        if code not in ROLLED_OUT
    }


def _lost(before: str, after: str, proven: bool) -> bool:
    """Whether a file loses an address, a name or a comment. Proven addresses may replace others."""
    return any(each not in after for each in {*_precious(before, proven)})


def _precious(text: str, proven: bool) -> Iterator[str]:
    for line in text.splitlines():
        remark = comment(line)
        yield remark
        match = None if proven else _VALUE.match(line[: len(line) - len(remark)])
        if match:
            yield from _ADDRESS.findall(match[1])
    yield from _NAME.findall(text)


def _marked(found: Sequence[EditableProblem], left: Sequence[EditableProblem]) -> list[Problem]:
    """The problems, `fixed` if they are not in the corrected files: first those with own edits,
    then those that disappear with them."""
    still = Counter(_key(each.problem) for each in left)
    less = Counter(_key(each.problem)[:2] for each in found)
    less.subtract(_key(each.problem)[:2] for each in left)
    fixed = set()
    own = [bool(x.edits) or x.problem.finding.code in _IN_THE_TEXT for x in found]
    for number in sorted(range(len(found)), key=lambda n: not own[n]):
        key = _key(found[number].problem)
        if still[key]:
            still[key] -= 1
        elif less[key[:2]] > 0 and key[0] not in ROLLED_OUT:
            less[key[:2]] -= 1
            fixed.add(number)
    return [replace(x.problem, fixed=n in fixed) for n, x in enumerate(found)]


def _key(problem: Problem) -> tuple[str, str, str]:
    return problem.finding.code, problem.file, problem.finding.message
