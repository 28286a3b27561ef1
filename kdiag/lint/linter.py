"""Reads files, applies the rules to them, and makes the corrected files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice
from posixpath import normpath

from kdiag.config.redaction import without_userinfo
from kdiag.config.usage import UsageError
from kdiag.lint.beside import RelatedFiles, needed_by, outside, partners, related_files
from kdiag.lint.broker import ConfiguredBroker
from kdiag.lint.compose import of_compose
from kdiag.lint.containers import Container, broker_of, of_properties
from kdiag.lint.deviation import Flaw, meant
from kdiag.lint.documents import BESIDE, KINDS, Document, Read, read
from kdiag.lint.entry_listener import broker_entry, strimzi_entry
from kdiag.lint.environment import value_of
from kdiag.lint.fixing import MOST_ALIKE, EditableProblem, corrected
from kdiag.lint.helm import node_ports, of_helm
from kdiag.lint.merged_line import MergedLine, merged_lines
from kdiag.lint.mistake import Mistake, Problem
from kdiag.lint.observed import ObservedCluster
from kdiag.lint.pools import pool
from kdiag.lint.report import LintReport
from kdiag.lint.rules import lint_rules
from kdiag.lint.strimzi import StrimziContext, cluster, kube_node, service
from kdiag.lint.tree import NOWHERE, Node, Scalar, Spot, entries
from kdiag.lint.workload import of_config_map, of_workload
from kdiag.rules.entry_listener import EntryListener
from kdiag.rules.rule import Finding, Remedy, Severity
from kdiag.text import clean
from kdiag.walk.facts import Facts

# What these miss may be there, in the wrong place: that has to be put right first.
_ABSENCES = {"KD612", "KD620", "KD623", "KD624"}
# Documents of these kinds are about Kafka where a broker is among what they configure.
_OF_BROKERS = ("compose", "workload", "ConfigMap", "env")
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
    they are with every fix in them that does no harm. `live` is their cluster as a walk observed
    it.

    Raises UsageError when a file has no document of a kind that kdiag knows, unless those are to be
    skipped, and where PyYAML is missing.
    """
    refuse_large(sources)
    files = [_read(name, text) for name, text in sources.items()]
    context = _context(files, live)
    notes = _without_broker(files, sources, context) if not skip_unknown else []
    found = _judged(files, live, context)
    problems, fixed = corrected(
        sources, files, found, partial(_judged, live=live), live is not None
    )
    entry_listener = _entry_listener(files, context) if live else None
    made = tuple(fixed) if fix else ()
    judged = sum(_is_judged(file, context) or _is_beside(file, context.needed) for file in files)
    return LintReport(
        tuple(sources),
        tuple(problems),
        fail_on,
        made,
        entry_listener=entry_listener,
        notes=tuple(notes),
        judged=judged,
        lines=_lines(files, context) if live else {},
    )


def after_fixes(report: LintReport) -> LintReport:
    """The report about the corrected files: the problems that no fix removes."""
    fixed = {each.name for each in report.fixed}
    kept = [each for each in report.problems if each.file not in fixed and not each.fixed]
    left = [each for corrected in report.fixed for each in corrected.remaining]
    made = tuple(each for each in report.problems if each.fixed)
    return replace(report, problems=(*kept, *left), fixed=(), repaired=made, entry_listener=None)


def refuse_large(sources: Mapping[str, str]) -> None:
    """Raises UsageError for files above the size limits, because every finding takes time."""
    for name, text in sources.items():
        if len(text) > MAX_FILE:
            raise UsageError(f"{name} is larger than a file of configuration: 1 MiB at most")
    if sum(map(len, sources.values())) > MAX_FILES:
        raise UsageError("these files have more than 4 MiB together: give kdiag fewer at a time")


def refuse_unknown(sources: Mapping[str, str]) -> None:
    """Raises UsageError if no file is about Kafka, and for files above the size limits."""
    refuse_large(sources)
    files = [_read(name, text) for name, text in sources.items()]
    _without_broker(files, sources, _context(files, None))


def _without_broker(
    files: Sequence[Read], sources: Mapping[str, str], context: FileContext
) -> list[str]:
    """Notes on files that configure no broker. Raises UsageError if no file is about Kafka."""
    silent = [file for file in files if not _is_judged(file, context)]
    if len(silent) < len(files) or not files:
        silent = [file for file in silent if not _is_beside(file, context.needed)]
    elif not any(_names_kafka(file, sources[file.name]) for file in silent):
        kinds = ", ".join(name for kind, name in KINDS.items() if kind != "other")
        raise UsageError(f"{_nothing(silent[0], sources)}; kdiag reads {kinds}")
    return [_nothing(file, sources) for file in silent]


def document_kinds(sources: Mapping[str, str]) -> set[str]:
    """The kinds of the documents in these files."""
    return {document.kind for each in sources.items() for document in _read(*each).documents}


def companions(sources: Mapping[str, str]) -> list[str]:
    """The further files that the Compose files read, or that `docker compose` merges with them."""
    documents = [d for name, text in sources.items() for d in _read(name, text).documents]
    given = {normpath(name) for name in sources}
    joined = {x for d in documents if d.kind == "compose" for x in partners(d.file)}
    return sorted((needed_by(documents) | joined) - given)


def refuse_client(sources: Mapping[str, str], option: str) -> None:
    """Raises UsageError for client properties in the place of a cluster's configuration."""
    for name, text in sources.items():
        if any(document.kind == "client" for document in _read(name, text).documents):
            raise UsageError(
                f"{option} {name}: these are client properties; give them with -F {name}"
            )


def _nothing(file: Read, sources: Mapping[str, str]) -> str:
    """`compose.yml: nothing of Kafka is in it (Deployment)`."""
    if any(document.kind == "other" for document in file.documents):
        return f"{file.name}: it configures {KINDS['other']} or the like: kdiag judges brokers"
    kinds = f" ({', '.join(file.others)})" if file.others and file.others != ("?",) else ""
    text = sources[file.name]
    what = "no broker" if _names_kafka(file, text) else "nothing of Kafka"
    if what != "no broker" and "kafka" in text.lower():
        what = "nothing that kdiag knows"
    return f"{file.name}: {what} is configured in it{kinds}"


def _names_kafka(file: Read, text: str) -> bool:
    """Whether a file without a broker is about Kafka nevertheless, such as one with clients."""
    kinds = {document.kind for document in file.documents}
    return "other" in kinds or bool(kinds & set(_OF_BROKERS) and "kafka" in text.lower())


def _is_judged(file: Read, context: FileContext) -> bool:
    """Whether a file has a document that rules judge."""
    for document in file.documents:
        if document.kind in (*BESIDE, "other"):
            continue
        if document.kind not in _OF_BROKERS or document.broken or _brokers(document, context):
            return True
    return False


def _is_beside(file: Read, needed: set[str]) -> bool:
    """Whether a file only completes others."""
    return file.name in needed or any(document.kind in BESIDE for document in file.documents)


@lru_cache(maxsize=64)
def _read(name: str, text: str) -> Read:
    """A file, read once however often it is judged."""
    return read(name, text)


def _judged(
    files: Sequence[Read], live: ObservedCluster | None, context: FileContext | None = None
) -> list[EditableProblem]:
    """The problems that all rules find, ordered by file and place."""
    context = context or _context(files, live)
    order = {file.name: number for number, file in enumerate(files)}
    found = [each for file in files for one in file.documents for each in _of(one, context)]
    return sorted(
        found, key=lambda f: (order[f.problem.file], f.problem.spot, f.problem.finding.code)
    )


@dataclass(frozen=True)
class FileContext:
    """The facts that files share: Strimzi's node pools, Services and Nodes, Compose and ConfigMaps,
    and the paths of files that others read. `brokers` caches the brokers of each document."""

    strimzi: StrimziContext
    related: RelatedFiles
    needed: set[str]
    brokers: dict[Document, list[ConfiguredBroker]] = field(default_factory=dict)


def _context(files: Sequence[Read], live: ObservedCluster | None) -> FileContext:
    """Collects the FileContext of these files."""
    documents = [document for file in files for document in file.documents]
    kafkas = sum(document.kind == "Kafka" for document in documents)
    if kafkas * (len(documents) - kafkas) > _MOST_PAIRS:
        raise UsageError(
            f"{kafkas:,} Kafka resources with {len(documents) - kafkas:,} others beside them: "
            "give kdiag fewer at a time"
        )
    strimzi = StrimziContext(
        tuple(pool(d.root) for d in documents if d.kind == "KafkaNodePool" and d.root),
        tuple(service(d.root) for d in documents if d.kind == "Service" and d.root),
        tuple(kube_node(d.root) for d in documents if d.kind == "Node" and d.root),
        live,
    )
    return FileContext(strimzi, related_files(documents), needed_by(documents))


def _entry_listener(files: Sequence[Read], context: FileContext) -> EntryListener | None:
    """The listener at which a walk bootstrapped, in the first file that has it."""
    for document in (document for file in files for document in file.documents):
        found: tuple[Spot, EntryListener] | None = None
        if document.kind == "Kafka" and document.root:
            found = strimzi_entry(
                cluster(meant(document.root, document.deviations), context.strimzi)
            )
        for broker in _observed(_brokers(document, context), context.strimzi.live):
            found = found or broker_entry(broker)
        if found:
            spot, listener = found
            return listener._replace(place=f"{document.file}:{document.place(spot).line}")
    return None


def _lines(files: Sequence[Read], context: FileContext) -> Mapping[int, MergedLine]:
    """The advertised.listeners lines of the files, by node id."""
    return merged_lines(
        (document, broker)
        for file in files
        for document in file.documents
        for broker in _observed(_brokers(document, context), context.strimzi.live)
    )


def _of(document: Document, context: FileContext) -> Iterator[EditableProblem]:
    """The problems of one document."""
    brokers = _brokers(document, context)
    if document.kind in _OF_BROKERS and not brokers and not document.broken:
        return
    facts = [Facts((document,))]
    if document.kind == "Kafka" and document.root:
        found = cluster(meant(document.root, document.deviations), context.strimzi)
        facts.append(Facts((found,)))
    facts += [Facts((each,)) for each in _observed(brokers, context.strimzi.live)]
    if document.kind == "helm":
        facts += [Facts((each,)) for each in node_ports(document.root)]
    astray = any(each.flaw is Flaw.MISPLACED for each in document.deviations)
    for rule in lint_rules().values():
        if document.kind in (*BESIDE, "other") or (astray and rule.code in _ABSENCES):
            continue
        matches = (match for known in facts for match in rule.matches(known))
        placed = (m for m in matches if isinstance(m, Mistake) and m.spot != NOWHERE)
        mistakes = list(islice(placed, MOST_ALIKE + 1))
        for number, match in enumerate(mistakes[:MOST_ALIKE], start=1):
            # Rules on shapes give places of the file, the others those of the tree.
            spot = match.spot if rule.needs == (Document,) else document.place(match.spot)
            finding = _cleaned(_as_far_as_known(rule.finding(match), match.depends))
            if number < len(mistakes) and number == MOST_ALIKE:
                more = f"{finding.message} (there are more of these: {MOST_ALIKE} are listed)"
                finding = replace(finding, message=more)
            yield EditableProblem(Problem(finding, document.file, spot), match.edits)


def _brokers(document: Document, context: FileContext) -> list[ConfiguredBroker]:
    """The brokers that a document configures itself."""
    if document not in context.brokers:
        context.brokers[document] = list(_configured(document, context))
    return context.brokers[document]


def _configured(document: Document, context: FileContext) -> Iterator[ConfiguredBroker]:
    root = document.root
    if document.kind == "properties":
        found = of_properties(root)
        yield from (found,) if found else ()
    elif document.kind == "compose":
        yield from of_compose(root, document.file, context.related)
    elif document.kind == "workload":
        yield from of_workload(root, context.related)
    elif document.kind == "ConfigMap":
        yield from of_config_map(root)
    elif document.kind == "helm":
        yield from of_helm(root)
    elif document.kind == "env" and normpath(document.file) not in context.needed:
        yield from _of_variables(root)


def _of_variables(root: Node | None) -> Iterator[ConfiguredBroker]:
    """The broker of a file of variables that no container of the files uses."""
    variables = {
        each.key.text: value
        for each in entries(root)
        if isinstance(each.value, Scalar) and (value := value_of(each.key, each.value))
    }
    found = broker_of(Container("the broker", "", variables))
    if found:
        yield replace(found, depends="the container that takes these variables")


def _observed(
    brokers: Sequence[ConfiguredBroker], live: ObservedCluster | None
) -> list[ConfiguredBroker]:
    """The brokers, each with what a walk observed of it: by node id, or the only one of both."""
    if live is None:
        return list(brokers)
    alone = live.brokers[0] if len(brokers) == len(live.brokers) == 1 else None
    ports = tuple(port for _, port in live.entered)
    return [
        replace(
            each, observed=alone if each.node is None else live.broker(each.node), entry_ports=ports
        )
        for each in brokers
    ]


def _as_far_as_known(finding: Finding, depends: str) -> Finding:
    """The finding as a warning, if something outside of the files may change it."""
    if not depends or finding.severity is not Severity.ERROR:
        return finding
    message = f"{finding.message} (it depends on {outside(depends)})"
    return replace(finding, severity=Severity.WARNING, message=message)


def _cleaned(finding: Finding) -> Finding:
    """The finding with printable texts, and without users and passwords in URLs."""

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
