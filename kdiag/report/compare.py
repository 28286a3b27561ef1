"""Compares reports on one cluster from several vantage points: groups, differences, and a
sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdiag.address import network_of, parse
from kdiag.report.diff import differences
from kdiag.report.model import BrokerReport, Report, ServerReport
from kdiag.rules.text import listed
from kdiag.walk.areas import EXIT_CODES

MANY = 3  # labels that a text names; more are counted
MANY_BROKERS = 6
MANY_CAUSES = 4  # or values, that a sentence names
MOST_DIFFERENCES = 12

_VANTAGE = "vantage"  # the failing hop of a vantage point that could not be reached


@dataclass(frozen=True, kw_only=True)
class SharedView:
    """The result that all vantage points in `labels` share. `hops` maps each hop to its status;
    `brokers` maps each broker to "ok" or to the layer that fails and its failure, null where the
    broker was not tried."""

    labels: list[str]
    verdict: str
    failing_hop: str | None
    root_cause: str | None
    exit_code: int
    hops: dict[str, str]
    brokers: dict[str, str | None]

    @property
    def whose(self) -> str:
        """The labels as text; of many the first ones, and how many more."""
        return named(self.labels)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The comparison of several reports on one cluster. `sentence` is the answer; `outcomes` are
    the vantage points, grouped by their result, the working ones first; `differences` are sentences
    on facts that differ."""

    sentence: str
    outcomes: list[SharedView]
    differences: list[str]


def compare(reports: Mapping[str, Report]) -> Comparison:
    """Compares several reports on one cluster, by label."""
    outcomes = _outcomes(reports)
    return Comparison(
        sentence=_sentence(outcomes, reports),
        outcomes=outcomes,
        differences=list(_differences(reports))[:MOST_DIFFERENCES],
    )


def named(labels: Sequence[str]) -> str:
    """Labels as text: of many the first ones, and how many more."""
    if len(labels) <= MANY + 1:
        return listed(labels)
    return f"{', '.join(labels[:MANY])} and {len(labels) - MANY} more"


def _outcomes(reports: Mapping[str, Report]) -> list[SharedView]:
    groups: dict[str, list[str]] = {}
    for label, report in reports.items():
        reason = (
            report.cause.message.replace(label, "")
            if report.cause and report.failing_hop == _VANTAGE
            else ""
        )
        groups.setdefault(repr((_result(report), reason)), []).append(label)
    outcomes = []
    for labels in groups.values():
        report = reports[labels[0]]
        hops, brokers = _result(report)[2:]
        outcomes.append(
            SharedView(
                labels=labels,
                verdict=report.verdict,
                failing_hop=report.failing_hop,
                root_cause=report.root_cause,
                exit_code=report.exit_code,
                hops=hops,
                brokers=brokers,
            )
        )
    return sorted(outcomes, key=lambda outcome: (outcome.exit_code != 0, _progress_rank(outcome)))


def _progress_rank(outcome: SharedView) -> int:
    """A sort key: the later the failing hop, the smaller; vantage points not reached come last."""
    return -EXIT_CODES.get(outcome.failing_hop or "", 0) if outcome.failing_hop != _VANTAGE else 1


def _result(
    report: Report,
) -> tuple[str | None, int, dict[str, str], dict[str, str | None]]:
    brokers = report.cluster.brokers if report.cluster else []
    return (
        report.root_cause,
        report.exit_code,
        {step.hop: step.status for step in report.hops},
        {f"broker {broker.node}": _broker(broker) for broker in brokers},
    )


def _broker(broker: BrokerReport) -> str | None:
    """The result at one broker: "ok", or the first layer that fails and its failure; None where the
    broker was not tried."""
    for layer, how in broker.layers.items():
        if how not in (None, "ok", "denied"):
            return f"{layer} {how}"
    if broker.produce not in (None, "ok"):
        return f"produce {broker.produce}"
    tried = any(how is not None for how in broker.layers.values())
    return "ok" if tried else None


def _sentence(outcomes: Sequence[SharedView], reports: Mapping[str, Report]) -> str:
    works = [label for outcome in outcomes if not outcome.exit_code for label in outcome.labels]
    unreached = [o for o in outcomes if o.failing_hop == _VANTAGE]
    fails = [o for o in outcomes if o.exit_code and o not in unreached]
    failing = [label for outcome in fails for label in outcome.labels]
    inside = _inside(works, failing, reports)
    parts = []
    if works:
        whole = len(works) == len(reports)
        place = f"inside {inside}" if inside else f"from {named(works)}"
        parts.append(f"works {'everywhere: ' if whole and len(works) > 1 else ''}{place}")
    causes = _causes(fails, reports)
    for text, labels in causes[:MANY_CAUSES]:
        place = "outside" if inside and len(causes) == 1 else f"from {named(labels)}"
        parts.append(f"fails {place}{text}")
    if more := causes[MANY_CAUSES:]:
        parts.append(f"{sum(len(labels) for _, labels in more)} more fail otherwise")
    gone = [label for outcome in unreached for label in outcome.labels]
    if gone:
        parts.append(f"{named(gone)} could not be reached")
    return ", ".join(parts[:1]) + "".join(f"; {part}" for part in parts[1:])


def _causes(
    fails: Sequence[SharedView], reports: Mapping[str, Report]
) -> list[tuple[str, list[str]]]:
    """Each failure as a text, with the labels of its vantage points. Of more than MANY_CAUSES texts
    none names brokers, and those of most vantage points come first."""
    for brokers in (True, False):
        found: dict[str, list[str]] = {}
        for outcome in fails:
            text = _failure_text(reports[outcome.labels[0]], brokers=brokers)
            found.setdefault(text, []).extend(outcome.labels)
        if len(found) <= MANY_CAUSES:
            return list(found.items())
    return sorted(found.items(), key=lambda cause: -len(cause[1]))


def _inside(
    works: Sequence[str], failing: Sequence[str], reports: Mapping[str, Report]
) -> str | None:
    """The private network of all vantage points from which the cluster works, where no failing
    vantage point is in it; else None."""
    if not works or not failing:
        return None
    networks = {network for label in works for network in _networks(reports[label])}
    others = {network for label in failing for network in _networks(reports[label])}
    (network,) = networks if len(networks) == 1 else (None,)
    return network if network not in others else None


def _networks(report: Report) -> set[str | None]:
    return {network_of(source) for source in report.source_addresses} or {None}


def _failure_text(report: Report, *, brokers: bool = True) -> str:
    cause = report.cause
    if report.interrupted or not cause:
        return ": interrupted" if report.interrupted else ""
    nodes = [s.removeprefix("broker ") for s in cause.subjects if s.startswith("broker ")]
    whose = ""
    if nodes and brokers:
        few = f"broker{'s' * (len(nodes) > 1)} {listed(nodes)}"
        whose = f", {few if len(nodes) <= MANY_BROKERS else f'{len(nodes)} brokers'}"
    number = EXIT_CODES[report.failing_hop or cause.hop] // 10
    return f" at hop {number}{whose}: {cause.code} {cause.name}"


def _differences(reports: Mapping[str, Report]) -> Iterator[str]:
    """Sentences on facts that differ between vantage points and could be the same."""
    for values, why in (
        (_clusters, "one address, several clusters"),
        (_addresses, "split-horizon DNS"),
        (_advertised, "each connected via another listener"),
        (_certificates, "something on the path may end TLS"),
    ):
        for start, found in _by_value(reports, values).items():
            yield from _difference(start, found, why)
    yield from differences(reports, named)


def _difference(start: str, found: Mapping[str, list[str]], why: str) -> Iterator[str]:
    """A sentence where `found` (value → labels) has more than one value; it names the labels of
    each value."""
    if len(found) > 1:
        values = [f"{value} (from {named(labels)})" for value, labels in found.items()]
        if len(values) > MANY_CAUSES + 1:
            values[MANY_CAUSES:] = [f"{len(values) - MANY_CAUSES} other values"]
        yield f"{start} {' and '.join(values)}: {why}"


Values = Callable[[Report], Iterator[tuple[str, str]]]  # the start of a sentence, and a value


def _by_value(reports: Mapping[str, Report], values: Values) -> dict[str, dict[str, list[str]]]:
    """The start of a sentence → value → the labels of the reports that have this value."""
    found: dict[str, dict[str, list[str]]] = {}
    for label, report in reports.items():
        for start, value in dict.fromkeys(values(report)):
            found.setdefault(start, {}).setdefault(value, []).append(label)
    return found


def _clusters(report: Report) -> Iterator[tuple[str, str]]:
    if report.cluster and report.cluster.id:
        yield "answers come of", f"cluster {report.cluster.id}"


def _endpoints(report: Report) -> dict[str, BrokerReport | ServerReport]:
    """The servers and brokers of a report, by `host:port`; a bootstrap server replaces a broker at
    the same address."""
    brokers = report.cluster.brokers if report.cluster else ()
    return {
        **{broker.advertised: broker for broker in brokers},
        **{server.server: server for server in report.bootstrap},
    }


def _addresses(report: Report) -> Iterator[tuple[str, str]]:
    for endpoint, server in _endpoints(report).items():
        host = endpoint.rpartition(":")[0].strip("[]")
        if server.addresses and not parse(host):
            yield f"{host} resolves to", listed(sorted(server.addresses))


def _advertised(report: Report) -> Iterator[tuple[str, str]]:
    for broker in report.cluster.brokers if report.cluster else ():
        yield f"broker {broker.node} advertises", broker.advertised


def _certificates(report: Report) -> Iterator[tuple[str, str]]:
    for endpoint, server in _endpoints(report).items():
        if shown := server.certificate:
            text = f"a certificate of {shown.issuer}, SHA-256 {shown.sha256[:16]}…"
            yield f"{endpoint} shows", text
