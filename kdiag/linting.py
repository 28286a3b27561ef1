"""Reads files, applies the rules on them, and makes the corrected ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import kdiag.rules
from kdiag.attempt import clean
from kdiag.lint.broker import Broker
from kdiag.lint.containers import of_compose, of_properties, of_workload
from kdiag.lint.documents import BESIDE, KINDS, Document, Read, read
from kdiag.lint.edit import Edits, apply
from kdiag.lint.helm import NodePorts, node_ports, of_helm
from kdiag.lint.mistake import Mistake, Problem
from kdiag.lint.report import Fixed, LintReport
from kdiag.lint.schema import Flaw, meant
from kdiag.lint.strimzi import Cluster, Surroundings, cluster, kube_node, pool, service
from kdiag.rule import RULES, Finding, Remedy
from kdiag.usage import UsageError

kdiag.rules.load_config()

# What these miss may be there, in the wrong place: that has to be put right first.
_ABSENCES = {"KD612", "KD620", "KD623", "KD624"}
_ROUNDS = 8  # a fix may lay open the next mistake


@dataclass(frozen=True)
class _Found:
    """A problem, and the edits that it brings."""

    problem: Problem
    edits: Edits


def lint(
    sources: Mapping[str, str],
    fail_on: str = "error",
    skip_unknown: bool = False,
    fix: bool = False,
) -> LintReport:
    """What is wrong with these files: names and their texts, judged together; with `fix`, also what
    they are with every fix in them.

    Raises UsageError when a file has no document of a kind that kdiag knows, unless those are to be
    skipped, and where PyYAML is missing.
    """
    files = [read(name, text) for name, text in sources.items()]
    if not skip_unknown:
        for each in files:
            _refuse_unknown(each)
    found = _judged(files)
    problems = tuple(each.problem for each in found)
    fixed = tuple(_fixed(sources, files, found)) if fix else ()
    return LintReport(tuple(sources), problems, fail_on, fixed)


def after_fixes(report: LintReport) -> LintReport:
    """The same about the corrected files: what no fix could put right."""
    fixed = {each.name for each in report.fixed}
    kept = [each for each in report.problems if each.file not in fixed]
    left = [each for corrected in report.fixed for each in corrected.left]
    return LintReport(report.files, (*kept, *left), report.fail_on)


def _refuse_unknown(file: Read) -> None:
    if any(document.kind for document in file.documents):
        return
    kinds = ", ".join(KINDS.values())
    said = f" ({', '.join(file.others)})" if file.others and file.others != ("?",) else ""
    raise UsageError(f"{file.name}: nothing that kdiag knows{said}; it reads {kinds}")


def _fixed(
    sources: Mapping[str, str], files: Sequence[Read], found: Sequence[_Found]
) -> Iterator[Fixed]:
    """The files that fixes change, with all of them made; one fix may lay open the next mistake."""
    texts = {file.name: file.text for file in files}
    for _ in range(_ROUNDS):
        changed = False
        for name, before in list(texts.items()):
            fixes = [each.edits for each in found if each.problem.file == name]
            texts[name] = apply(before, fixes)
            changed |= texts[name] != before
        files = [read(name, text) for name, text in texts.items()]
        found = _judged(files)
        texts = {file.name: file.text for file in files}
        if not changed:
            break
    for name, before in sources.items():
        if texts[name] != before:
            left = tuple(each.problem for each in found if each.problem.file == name)
            yield Fixed(name, before, texts[name], left)


def _judged(files: Sequence[Read]) -> list[_Found]:
    """What all rules find, by file and place."""
    documents = [document for file in files for document in file.documents]
    around = Surroundings(
        tuple(pool(d.root) for d in documents if d.kind == "KafkaNodePool" and d.root),
        tuple(service(d.root) for d in documents if d.kind == "Service" and d.root),
        tuple(kube_node(d.root) for d in documents if d.kind == "Node" and d.root),
    )
    order = {file.name: number for number, file in enumerate(files)}
    found = [each for document in documents for each in _of(document, around)]
    return sorted(
        found,
        key=lambda f: (order[f.problem.file], f.problem.spot, f.problem.finding.code),
    )


def _of(document: Document, around: Surroundings) -> Iterator[_Found]:
    """What is wrong with one document."""
    facts: list[dict[type, Any]] = [{Document: document}]
    if document.kind == "Kafka" and document.root:
        facts.append({Cluster: cluster(meant(document.root, document.deviations), around)})
    facts += [{Broker: each} for each in _brokers(document)]
    if document.kind == "helm":
        facts += [{NodePorts: each} for each in node_ports(document.root)]
    astray = any(each.flaw is Flaw.MISPLACED for each in document.deviations)
    for rule in RULES.values():
        if rule.code[2] != "6" or document.kind in BESIDE or (astray and rule.code in _ABSENCES):
            continue
        for match in (match for known in facts for match in rule.matches(known)):
            if isinstance(match, Mistake):
                # Rules on shapes give places of the file, the others those of the tree.
                spot = match.spot if rule.needs == (Document,) else document.place(match.spot)
                fixed = bool(match.edits) or rule.code == "KD602"
                finding = _cleaned(rule.finding(match))
                yield _Found(Problem(finding, document.file, spot, fixed), match.edits)


def _brokers(document: Document) -> Iterator[Broker]:
    """The brokers that a document configures itself."""
    if document.kind == "properties":
        found = of_properties(document.root)
        if found:
            yield found
    elif document.kind == "compose":
        yield from of_compose(document.root)
    elif document.kind == "workload":
        yield from of_workload(document.root)
    elif document.kind == "helm":
        yield from of_helm(document.root)


def _cleaned(finding: Finding) -> Finding:
    """A file may hold anything: a terminal is to show it, and not to obey it."""
    return replace(
        finding,
        message=clean(finding.message),
        subjects=[clean(each) for each in finding.subjects],
        evidence=[clean(each) for each in finding.evidence],
        remedies=[
            Remedy(each.summary, "\n".join(map(clean, each.snippet.split("\n"))), each.kind)
            for each in finding.remedies
        ],
    )
