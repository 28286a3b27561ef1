"""Reads files, applies the rules on them, and makes the corrected ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice

from kdiag.config.redaction import without_userinfo
from kdiag.config.usage import UsageError
from kdiag.lint.broker import ConfiguredBroker
from kdiag.lint.containers import of_compose, of_properties, of_workload
from kdiag.lint.deviation import Flaw, meant
from kdiag.lint.documents import BESIDE, KINDS, Document, Read, read
from kdiag.lint.entry_listener import door_in, entrance
from kdiag.lint.fixing import MOST_ALIKE, Found, corrected
from kdiag.lint.helm import node_ports, of_helm
from kdiag.lint.mistake import Mistake, Problem
from kdiag.lint.observed import ObservedCluster
from kdiag.lint.report import LintReport
from kdiag.lint.rules import lint_rules
from kdiag.lint.strimzi import StrimziContext, cluster, kube_node, pool, service
from kdiag.lint.tree import Spot
from kdiag.rules.entry_listener import EntryListener
from kdiag.rules.rule import Finding, Remedy
from kdiag.text import clean
from kdiag.walk.facts import Facts

# What these miss may be there, in the wrong place: that has to be put right first.
_ABSENCES = {"KD612", "KD620", "KD623", "KD624"}
MAX_FILE, MAX_FILES = 1 << 20, 4 << 20  # characters of one file, and of all of them
_MOST_PAIRS = 100_000  # of a Kafka resource and what stands beside it


def lint(
    sources: Mapping[str, str],
    fail_on: str = "error",
    skip_unknown: bool = False,
    fix: bool = False,
    live: ObservedCluster | None = None,
) -> LintReport:
    """What is wrong with these files: names and their texts, judged together; with `fix`, also what
    they are with every fix in them that does no harm. `live` is what a walk met of the cluster that
    they configure.

    Raises UsageError when a file has no document of a kind that kdiag knows, unless those are to be
    skipped, and where PyYAML is missing.
    """
    refuse_large(sources)
    if not skip_unknown:
        refuse_unknown(sources)
    files = [_read(name, text) for name, text in sources.items()]
    found = _judged(files, live)
    problems, fixed = corrected(
        sources, files, found, partial(_judged, live=live), live is not None
    )
    there = _entrance(files, live) if live else None
    made = tuple(fixed) if fix else ()
    return LintReport(tuple(sources), tuple(problems), fail_on, made, there)


def after_fixes(report: LintReport) -> LintReport:
    """The same about the corrected files: what no fix could put right."""
    fixed = {each.name for each in report.fixed}
    kept = [each for each in report.problems if each.file not in fixed]
    left = [each for corrected in report.fixed for each in corrected.left]
    return LintReport(report.files, (*kept, *left), report.fail_on)


def refuse_large(sources: Mapping[str, str]) -> None:
    """Raises UsageError for files that are larger than anybody writes: every finding costs time."""
    for name, text in sources.items():
        if len(text) > MAX_FILE:
            raise UsageError(f"{name} is larger than a file of configuration: 1 MiB at most")
    if sum(map(len, sources.values())) > MAX_FILES:
        raise UsageError("these files have more than 4 MiB together: give kdiag fewer at a time")


def refuse_unknown(sources: Mapping[str, str]) -> None:
    """Raises UsageError when a file has no document of a kind that kdiag knows, and for files that
    are too large to be judged."""
    refuse_large(sources)
    for file in (_read(name, text) for name, text in sources.items()):
        if any(document.kind for document in file.documents):
            continue
        kinds = ", ".join(KINDS.values())
        said = f" ({', '.join(file.others)})" if file.others and file.others != ("?",) else ""
        raise UsageError(f"{file.name}: nothing that kdiag knows{said}; it reads {kinds}")


@lru_cache(maxsize=64)
def _read(name: str, text: str) -> Read:
    """A file, read once however often it is judged."""
    return read(name, text)


def _judged(files: Sequence[Read], live: ObservedCluster | None) -> list[Found]:
    """What all rules find, by file and place."""
    around = _around(files, live)
    order = {file.name: number for number, file in enumerate(files)}
    found = [each for file in files for one in file.documents for each in _of(one, around)]
    return sorted(
        found,
        key=lambda f: (order[f.problem.file], f.problem.spot, f.problem.finding.code),
    )


def _around(files: Sequence[Read], live: ObservedCluster | None) -> StrimziContext:
    """What all files tell together of pools, Services and Nodes."""
    documents = [document for file in files for document in file.documents]
    kafkas = sum(document.kind == "Kafka" for document in documents)
    if kafkas * (len(documents) - kafkas) > _MOST_PAIRS:
        raise UsageError(
            f"{kafkas:,} Kafka resources with {len(documents) - kafkas:,} others beside them: "
            "give kdiag fewer at a time"
        )
    return StrimziContext(
        tuple(pool(d.root) for d in documents if d.kind == "KafkaNodePool" and d.root),
        tuple(service(d.root) for d in documents if d.kind == "Service" and d.root),
        tuple(kube_node(d.root) for d in documents if d.kind == "Node" and d.root),
        live,
    )


def _entrance(files: Sequence[Read], live: ObservedCluster) -> EntryListener | None:
    """The listener that a walk came in by, of the first file that has it."""
    around = _around(files, live)
    for document in (document for file in files for document in file.documents):
        found: tuple[Spot, EntryListener] | None = None
        if document.kind == "Kafka" and document.root:
            found = entrance(cluster(meant(document.root, document.deviations), around))
        for each in _met(list(_brokers(document)), live):
            found = found or door_in(each)
        if found:
            spot, there = found
            return there._replace(place=f"{document.file}:{document.place(spot).line}")
    return None


def _of(document: Document, around: StrimziContext) -> Iterator[Found]:
    """What is wrong with one document."""
    facts = [Facts((document,))]
    if document.kind == "Kafka" and document.root:
        facts.append(Facts((cluster(meant(document.root, document.deviations), around),)))
    facts += [Facts((each,)) for each in _met(list(_brokers(document)), around.live)]
    if document.kind == "helm":
        facts += [Facts((each,)) for each in node_ports(document.root)]
    astray = any(each.flaw is Flaw.MISPLACED for each in document.deviations)
    for rule in lint_rules().values():
        if document.kind in BESIDE or (astray and rule.code in _ABSENCES):
            continue
        matches = (match for known in facts for match in rule.matches(known))
        mistakes = list(islice((m for m in matches if isinstance(m, Mistake)), MOST_ALIKE + 1))
        for number, match in enumerate(mistakes[:MOST_ALIKE], start=1):
            # Rules on shapes give places of the file, the others those of the tree.
            spot = match.spot if rule.needs == (Document,) else document.place(match.spot)
            finding = _cleaned(rule.finding(match))
            if number < len(mistakes) and number == MOST_ALIKE:
                more = f"{finding.message} (there are more of these: {MOST_ALIKE} are listed)"
                finding = replace(finding, message=more)
            yield Found(Problem(finding, document.file, spot), match.edits)


def _brokers(document: Document) -> Iterator[ConfiguredBroker]:
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


def _met(
    brokers: Sequence[ConfiguredBroker], live: ObservedCluster | None
) -> list[ConfiguredBroker]:
    """The brokers, each with how a walk fared at it: by node id, or because there is but one."""
    if live is None:
        return list(brokers)
    alone = live.brokers[0] if len(brokers) == len(live.brokers) == 1 else None
    ports = tuple(port for _, port in live.entered)
    return [
        replace(each, met=alone if each.node is None else live.broker(each.node), entered=ports)
        for each in brokers
    ]


def _cleaned(finding: Finding) -> Finding:
    """A file may hold anything: a terminal is to show it, and not to obey it. A user and a password
    in a listener's URL are not shown."""

    def shown(text: str) -> str:
        return clean(without_userinfo(text))

    return replace(
        finding,
        message=shown(finding.message),
        subjects=[shown(each) for each in finding.subjects],
        evidence=[shown(each) for each in finding.evidence],
        remedies=[
            Remedy(
                without_userinfo(each.summary),
                "\n".join(map(shown, each.snippet.split("\n"))),
                each.kind,
            )
            for each in finding.remedies
        ],
    )
