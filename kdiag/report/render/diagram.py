"""The diagram of a check: a row for each server or broker, with the arrows of the four hops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kdiag.address import is_loopback, is_private, is_unusable, parse
from kdiag.report.model import BrokerReport, HopResult, Report, ServerReport
from kdiag.report.render import presentation
from kdiag.rules.rule import Finding
from kdiag.text import plural
from kdiag.walk.areas import AreaId

MANY_ROWS = 6  # of more brokers, those with the same result share a row
MANY_SERVERS = 3
MANY_NODES = 4  # node ids named in a shared row

OUTCOMES = {"pass": "ok", "warn": "warn", "fail": "fail", "skipped": "none"}
WORST_FIRST = ("fail", "warn", "none", "ok")


@dataclass(frozen=True)
class Arrow:
    """The arrow of one hop between the client and a server or broker. `outcome` is "ok", "warn",
    "fail" or "none"; `text` stands on the arrow; `back` is true where it points to the
    client."""

    hop: str
    outcome: str
    text: str
    cause: Finding | None = None
    back: bool = False


@dataclass(frozen=True)
class Row:
    """A server or broker, or several with the same result. `address` is the dialled one and `kind`
    says whether it is public, private or loopback; `who` names the server or broker, and `more`
    adds to the name."""

    address: str
    kind: str
    who: str
    more: str
    arrows: tuple[Arrow, ...]


def bootstrap_rows(report: Report) -> Iterator[Row]:
    """The rows of the bootstrap servers, with the arrows of hop 1, and of hop 2 on one of them."""
    causes = _causes(report)
    hop = _step(report, "bootstrap")
    servers = report.bootstrap or [
        ServerReport(server=target, addresses=[], layers={}) for target in report.target
    ]
    rows: list[Row] = []
    for server in servers:
        broken = presentation.broken(server)
        failed = "fail" if hop.status == "fail" else "warn"
        outcome = failed if broken else "ok" if any(server.layers.values()) else "none"
        cause = causes.get(("bootstrap", f"bootstrap {server.server}"))
        if cause and outcome == "ok":
            outcome = OUTCOMES[hop.status]
        text = _failure_text(broken) or (server.protocol or "" if outcome == "ok" else "")
        cause = cause if outcome != "ok" else None
        arrow = Arrow("bootstrap", outcome, text or _why_not(hop), cause)
        address = ", ".join(server.addresses) if server.addresses else ""
        kind = _kind(server.addresses[0]) if server.addresses else ""
        via = f"{kind} {address}".strip() if address not in server.server else kind
        rows.append(Row(server.server, via, "bootstrap", "", (arrow,)))
    rows = _alike(rows, MANY_SERVERS, "servers")
    answered = next(
        (n for n, row in enumerate(rows) if row.arrows[0].outcome == "ok"), len(rows) - 1
    )
    metadata = _step(report, "metadata")
    back = Arrow(
        "metadata",
        OUTCOMES[metadata.status],
        metadata.summary or _why_not(metadata),
        _of_hop(report, "metadata"),
        back=True,
    )
    for number, row in enumerate(rows):
        yield replace(row, arrows=(*row.arrows, back)) if number == answered else row


def brokers(report: Report) -> Iterator[Row]:
    """The rows of the brokers, with the arrows of hops 3 and 4 to their advertised addresses."""
    listeners, produce = _step(report, "listeners"), _step(report, "produce")
    if not report.cluster or not report.cluster.brokers:
        unknown = (_untried(listeners), _untried(produce))
        yield Row("not known", "", "brokers", "", unknown)
        return
    causes = _causes(report)
    rows = []
    for broker in report.cluster.brokers:
        controller = broker.node == report.cluster.controller
        arrows = (_listener(broker, listeners, causes), _produced(broker, produce, causes))
        wrong = broker.answered_as not in (None, broker.node)
        more = (
            f"{broker.answered_as} answers there" if wrong else "controller" if controller else ""
        )
        at = broker.addresses[0] if broker.addresses else ""
        host = broker.advertised.rpartition(":")[0].strip("[]")
        kind = _kind(host) or (f"{_kind(at)} {at}".strip() if at else "")
        rows.append(Row(broker.advertised, kind, f"broker {broker.node}", more, arrows))
    yield from _alike(rows, MANY_ROWS, "brokers")


def _listener(
    broker: BrokerReport, step: HopResult, causes: Mapping[tuple[str, str], Finding]
) -> Arrow:
    broken = presentation.broken(broker)
    cause = causes.get(("listeners", f"broker {broker.node}"))
    if broken or (cause and cause.severity == "error"):
        return Arrow("listeners", "fail", _failure_text(broken), cause)
    if not any(broker.layers.values()):
        return _untried(step)
    if cause:
        return Arrow("listeners", "warn", "reached", cause)
    return Arrow("listeners", "ok", "reached")


def _produced(
    broker: BrokerReport, step: HopResult, causes: Mapping[tuple[str, str], Finding]
) -> Arrow:
    cause = causes.get(("produce", f"broker {broker.node}"))
    if broker.produce is None:
        return _untried(step)
    if broker.produce != "ok" or (cause and cause.severity == "error"):
        text = "" if broker.produce == "ok" else broker.produce
        return Arrow("produce", "fail", text, cause)
    return Arrow("produce", "warn" if cause else "ok", "answers", cause)


def _step(report: Report, hop: AreaId) -> HopResult:
    """The result of a hop; a skipped one where a saved report lacks it."""
    missing = HopResult(hop=hop, status="skipped", elapsed_ms=0)
    return next((step for step in report.hops if step.hop == hop), missing)


def _untried(step: HopResult) -> Arrow:
    return Arrow(step.hop, "none", _why_not(step))


def _why_not(step: HopResult) -> str:
    return step.skipped_because or ("not tried" if step.status == "skipped" else "")


def _failure_text(broken: tuple[str, str] | None) -> str:
    return f"{broken[0]}: {broken[1]}" if broken else ""


def _causes(report: Report) -> dict[tuple[str, str], Finding]:
    """Hop and subject → the finding that explains what happened there; errors before warnings."""
    by_code = {finding.code: finding for finding in reversed(report.findings)}
    found: dict[tuple[str, str], Finding] = {}
    counted = [finding for finding in report.findings if not finding.ignored]
    for finding in sorted(counted, key=lambda f: f.severity != "error"):
        cause = by_code.get(finding.consequence_of or "", finding)
        for subject in finding.subjects:
            found.setdefault((finding.hop, subject), cause)
    return found


def _of_hop(report: Report, hop: str) -> Finding | None:
    """The finding that explains the result of a hop; None without findings."""
    counted = [finding for finding in report.findings if finding.hop == hop and not finding.ignored]
    first = min(
        counted, key=lambda f: (f.severity != "error", bool(f.consequence_of)), default=None
    )
    if first is None or not first.consequence_of:
        return first
    return next((f for f in report.findings if f.code == first.consequence_of), first)


def _alike(rows: Sequence[Row], many: int, noun: str) -> list[Row]:
    """The rows; where there are more than `many`, rows with the same result are merged, the failing
    ones first."""
    if len(rows) <= many:
        return list(rows)
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_result(row), []).append(row)
    ranked = sorted(
        groups.values(), key=lambda g: min(WORST_FIRST.index(a.outcome) for a in g[0].arrows)
    )
    if len(ranked) > many:
        rest = [row for group in ranked[many - 1 :] for row in group]
        ranked = [*ranked[: many - 1], rest]
    return [_together(group, noun) for group in ranked]


def _together(group: Sequence[Row], noun: str) -> Row:
    if len(group) == 1:
        return group[0]
    names = [row.who.removeprefix("broker ") for row in group]
    some = ", ".join(names[:MANY_NODES]) + (", …" if len(names) > MANY_NODES else "")
    named = some if noun == "brokers" else ""
    arrows = group[0].arrows
    if len({_result(row) for row in group}) > 1:
        arrows = tuple(replace(arrow, text="in several ways", cause=None) for arrow in arrows)
    return Row(f"{group[0].address}, …", group[0].kind, f"{len(group)} {noun}", named, arrows)


def _result(row: Row) -> tuple[object, ...]:
    return tuple((a.outcome, a.text, a.cause.code if a.cause else "") for a in row.arrows)


def _kind(host: str) -> str:
    """The kind of an address as text; "" for a host name."""
    if is_loopback(host):
        return "loopback address"
    if not parse(host):
        return ""
    if is_unusable(host, 1):
        return "unusable address"
    return "private address" if is_private(host) else "public address"


def cluster(report: Report) -> str:
    """The number of brokers and the cluster id, as text."""
    if not report.cluster:
        return "cluster: not known"
    count = plural(len(report.cluster.brokers), "broker")
    return f"{count}, cluster {report.cluster.id or 'without an id'}"


def described(rows: Sequence[Row]) -> Iterator[str]:
    """The diagram as text, for screen readers: a sentence for each arrow."""
    results = {"ok": "works", "warn": "works, with a warning", "fail": "fails", "none": "not tried"}
    for row in rows:
        who = row.who if row.who.startswith("broker") else f"{row.who} {row.address}"
        for arrow in row.arrows:
            cause = f" for {arrow.cause.code} {arrow.cause.name}" if arrow.cause else ""
            number = presentation.number(arrow.hop)
            yield f"Hop {number}, {arrow.hop}, {who}: {results[arrow.outcome]}{cause}."
