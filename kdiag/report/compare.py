"""One cluster seen from several places: who saw the same, in what they differ, and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdiag.address import network_of, parse
from kdiag.report.diff import differences
from kdiag.report.model import BrokerReport, Report, ServerReport
from kdiag.rules.text import listed
from kdiag.walk.areas import EXIT_CODES

MANY = 3  # labels that are named; of more, their number
MANY_BROKERS = 6
MOST_DIFFERENCES = 12

_VANTAGE = "vantage"  # the hop of a place that was not reached


@dataclass(frozen=True, kw_only=True)
class SharedView:
    """What all of `labels` saw alike. `hops` maps each hop to its status; `brokers` each broker to
    "ok", or the layer that fails and how, null where it was not tried."""

    labels: list[str]
    verdict: str
    failing_hop: str | None
    root_cause: str | None
    exit_code: int
    hops: dict[str, str]
    brokers: dict[str, str | None]

    @property
    def whose(self) -> str:
        """Who saw it, as a text names them."""
        return named(self.labels)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several reports on one cluster. `sentence` is the answer; `outcomes` are the places, grouped
    by what they saw, those that work first; `differences` are facts that differ between them."""

    sentence: str
    outcomes: list[SharedView]
    differences: list[str]


def compare(reports: Mapping[str, Report]) -> Comparison:
    """What several reports on one cluster, by their labels, come to."""
    outcomes = _outcomes(reports)
    return Comparison(
        sentence=_sentence(outcomes, reports),
        outcomes=outcomes,
        differences=list(_differences(reports))[:MOST_DIFFERENCES],
    )


def named(labels: Sequence[str]) -> str:
    """Labels as a text names them: of many the first ones, and how many more."""
    if len(labels) <= MANY + 1:
        return listed(labels)
    return f"{', '.join(labels[:MANY])} and {len(labels) - MANY} more"


def _outcomes(reports: Mapping[str, Report]) -> list[SharedView]:
    alike: dict[str, list[str]] = {}
    for label, report in reports.items():
        why = (
            report.cause.message.replace(label, "")
            if report.cause and report.failing_hop == _VANTAGE
            else ""
        )
        alike.setdefault(repr((_seen(report), why)), []).append(label)
    found = []
    for labels in alike.values():
        report = reports[labels[0]]
        hops, brokers = _seen(report)[2:]
        found.append(
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
    return sorted(found, key=lambda outcome: (outcome.exit_code != 0, _far(outcome)))


def _far(outcome: SharedView) -> int:
    """How early it ends: those that got furthest come first, those not reached at the end."""
    return -EXIT_CODES.get(outcome.failing_hop or "", 0) if outcome.failing_hop != _VANTAGE else 1


def _seen(
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
    """How one broker ended: the first layer that fails, or its produce request."""
    for layer, how in broker.layers.items():
        if how not in (None, "ok", "denied"):
            return f"{layer} {how}"
    if broker.produce not in (None, "ok"):
        return f"produce {broker.produce}"
    tried = any(how is not None for how in broker.layers.values())
    return "ok" if tried else None


def _sentence(outcomes: Sequence[SharedView], reports: Mapping[str, Report]) -> str:
    works = [label for outcome in outcomes if not outcome.exit_code for label in outcome.labels]
    lost = [o for o in outcomes if o.failing_hop == _VANTAGE]
    fails = [o for o in outcomes if o.exit_code and o not in lost]
    failing = [label for outcome in fails for label in outcome.labels]
    inside = _inside(works, failing, reports)
    parts = []
    if works:
        whole = len(works) == len(reports)
        place = f"inside {inside}" if inside else f"from {named(works)}"
        parts.append(f"works {'everywhere: ' if whole and len(works) > 1 else ''}{place}")
    for outcome in fails:
        place = "outside" if inside and len(fails) == 1 else f"from {outcome.whose}"
        parts.append(f"fails {place}{_how(reports[outcome.labels[0]])}")
    gone = [label for outcome in lost for label in outcome.labels]
    if gone:
        parts.append(f"{named(gone)} could not be reached")
    return ", ".join(parts[:1]) + "".join(f"; {part}" for part in parts[1:])


def _inside(
    works: Sequence[str], failing: Sequence[str], reports: Mapping[str, Report]
) -> str | None:
    """The private network that all places are in which it works from, and no other one."""
    if not works or not failing:
        return None
    networks = {network for label in works for network in _networks(reports[label])}
    others = {network for label in failing for network in _networks(reports[label])}
    (network,) = networks if len(networks) == 1 else (None,)
    return network if network not in others else None


def _networks(report: Report) -> set[str | None]:
    return {network_of(source) for source in report.source_addresses} or {None}


def _how(report: Report) -> str:
    cause = report.cause
    if report.interrupted or not cause:
        return ": interrupted" if report.interrupted else ""
    nodes = [s.removeprefix("broker ") for s in cause.subjects if s.startswith("broker ")]
    whose = ""
    if nodes:
        few = f"broker{'s' * (len(nodes) > 1)} {listed(nodes)}"
        whose = f", {few if len(nodes) <= MANY_BROKERS else f'{len(nodes)} brokers'}"
    number = EXIT_CODES[report.failing_hop or cause.hop] // 10
    return f" at hop {number}{whose}: {cause.code} {cause.name}"


def _differences(reports: Mapping[str, Report]) -> Iterator[str]:
    """Facts that differ between places where they could be the same."""
    yield from _apart("answers come of", _clusters(reports), "one address, several clusters")
    for name, found in _addresses(reports).items():
        yield from _apart(f"{name} resolves to", found, "split-horizon DNS")
    for node, found in _advertised(reports).items():
        why = "each came in by another listener"
        yield from _apart(f"broker {node} advertises", found, why)
    for name, found in _certificates(reports).items():
        yield from _apart(f"{name} shows", found, "something in between may end TLS")
    yield from differences(reports, named)


def _apart(whose: str, found: Mapping[str, list[str]], why: str) -> Iterator[str]:
    """The sentence, where there is more than one thing: each with who has seen it."""
    if len(found) > 1:
        each = (f"{what} (from {named(labels)})" for what, labels in found.items())
        yield f"{whose} {' and '.join(each)}: {why}"


Seen = dict[str, dict[str, list[str]]]


def _clusters(reports: Mapping[str, Report]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label, report in reports.items():
        if report.cluster and report.cluster.id:
            found.setdefault(f"cluster {report.cluster.id}", []).append(label)
    return found


def _met(report: Report) -> dict[str, BrokerReport | ServerReport]:
    """Whom a report tells of, by address: a bootstrap server before a broker at the same one."""
    brokers = report.cluster.brokers if report.cluster else ()
    return {
        **{broker.advertised: broker for broker in brokers},
        **{server.server: server for server in report.bootstrap},
    }


def _addresses(reports: Mapping[str, Report]) -> Seen:
    """Name → addresses → who resolved it to these."""
    found: Seen = {}
    for label, report in reports.items():
        for endpoint, met in _met(report).items():
            host = endpoint.rpartition(":")[0].strip("[]")
            if met.addresses and not parse(host):
                resolved = found.setdefault(host, {}).setdefault(listed(sorted(met.addresses)), [])
                resolved += [] if label in resolved else [label]
    return found


def _advertised(reports: Mapping[str, Report]) -> Seen:
    """Node → advertised address → to whom."""
    found: Seen = {}
    for label, report in reports.items():
        for broker in report.cluster.brokers if report.cluster else ():
            found.setdefault(str(broker.node), {}).setdefault(broker.advertised, []).append(label)
    return found


def _certificates(reports: Mapping[str, Report]) -> Seen:
    """Endpoint → certificate → to whom it was shown."""
    found: Seen = {}
    for label, report in reports.items():
        for endpoint, met in _met(report).items():
            if met.certificate:
                what = (
                    f"a certificate of {met.certificate.issuer}, "
                    f"SHA-256 {met.certificate.sha256[:16]}…"
                )
                found.setdefault(endpoint, {}).setdefault(what, []).append(label)
    return found
