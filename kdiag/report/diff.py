"""Findings that need several reports on one cluster: AWS rules, path MTU, changes, groups, NAT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kdiag.address import is_private, parse
from kdiag.report.model import BrokerReport, Report
from kdiag.rules.text import listed

_FILTERS = ("group", "acl-in", "acl-out", "route")
_MTU = "KD402"

Named = Callable[[list[str]], str]


def differences(reports: Mapping[str, Report], named: Named) -> Iterator[str]:
    """Sentences on what differs between the reports, by label; `named` formats labels as text."""
    yield from _filtered(reports, named)
    yield from _large(reports, named)
    yield from _changed(reports, named)
    yield from _groups(reports, named)
    yield from _translated(reports, named)


def _filtered(reports: Mapping[str, Report], named: Named) -> Iterator[str]:
    """AWS allows one vantage point and blocks another: a rule is for a security group, or for
    another source network."""
    seen: dict[str, dict[str, list[str]]] = {}
    why: dict[tuple[str, str], str] = {}
    for label, report in reports.items():
        for row in report.aws.addresses if report.aws else ():
            if row.verdict == "unknown" or row.layer not in _FILTERS:
                continue
            seen.setdefault(row.subject, {}).setdefault(row.verdict, []).append(label)
            why.setdefault((row.subject, row.verdict), row.reason)
    for subject, found in seen.items():
        if len(found) < 2:
            continue
        lets, blocks = why[subject, "allowed"], why[subject, "blocked"]
        group = " from sg-" in lets
        reason = "that rule is for members of a security group" if group else "the source differs"
        yield (
            f"AWS lets {named(found['allowed'])} reach {subject} ({lets}) and "
            f"{named(found['blocked'])} not ({blocks}): {reason}"
        )


def _large(reports: Mapping[str, Report], named: Named) -> Iterator[str]:
    """Large requests are lost on one path, and the same broker answers them on another."""
    lost: dict[str, list[str]] = {}
    for label, report in reports.items():
        for finding in report.findings:
            for subject in finding.subjects if finding.code == _MTU else ():
                lost.setdefault(subject, []).append(label)
    for subject, labels in lost.items():
        answered = [
            label
            for label, report in reports.items()
            if label not in labels and _produce_result(report, subject) == "ok"
        ]
        if answered:
            yield (
                f"{subject} answers large requests from {named(answered)} and not from "
                f"{named(labels)}: the path's MTU, and not the broker"
            )


def _produce_result(report: Report, subject: str) -> str | None:
    """The result of the produce request to a broker: "ok", a failure's name, or None."""
    found = (b for b in _brokers(report).values() if f"broker {b.node}" == subject)
    return next((broker.produce for broker in found), None)


def _changed(reports: Mapping[str, Report], named: Named) -> Iterator[str]:
    """The cluster changed between two reports: a broker was added, removed or restarted, or the
    controller moved."""
    same = {r.cluster.id for r in reports.values() if r.cluster and r.cluster.id}
    known = {label: r for label, r in reports.items() if r.cluster}
    if len(same) != 1 or len({r.started_at for r in known.values()}) < 2:
        return  # several clusters, or reports of one moment: no change to be seen
    when = "the cluster changed between the checks: check again at one time"
    lists = {label: frozenset(_brokers(report)) for label, report in known.items()}
    for node in sorted(frozenset().union(*lists.values())):
        without = [label for label, nodes in lists.items() if node not in nodes]
        if without:
            yield f"broker {node} is not in the list that {named(without)} got: {when}"
            continue
        up = [label for label, r in known.items() if _works(_brokers(r)[node])]
        down = [label for label, r in known.items() if _refuses(_brokers(r)[node])]
        if up and down and len({_brokers(known[label])[node].advertised for label in known}) == 1:
            yield (
                f"broker {node} answers {named(up)} and refuses {named(down)} at the same address: "
                "it was restarted between the checks, or something on the path refuses in its place"
            )
    leaders: dict[int | None, list[str]] = {}
    for label, report in known.items():
        leaders.setdefault(report.cluster.controller if report.cluster else None, []).append(label)
    if len(leaders) > 1:
        each = (f"broker {node} (from {named(labels)})" for node, labels in leaders.items())
        yield f"the controller is {' and '.join(each)}: {when}"


def _groups(reports: Mapping[str, Report], named: Named) -> Iterator[str]:
    """A group's coordinator, state and lag differ between reports: a sentence for each group, with
    the earlier reports first."""
    seen: dict[str, dict[str, Report]] = {}
    for label, report in sorted(reports.items(), key=lambda item: item[1].started_at):
        if report.consume and report.consume.group:
            seen.setdefault(report.consume.group, {})[label] = report
    for group, of in seen.items():
        parts = []
        for what, name in (("coordinator is broker", "coordinator"), ("state is", "group_state")):
            known = _by_value(of, name)
            if len(known) > 1:
                values = (f"{value} (from {named(labels)})" for value, labels in known.items())
                parts.append(f"its {what} {' and '.join(values)}")
        lags = _by_value(of, "lag")
        if len(lags) > 1:
            parts.append(_lag(lags, of, named))
        if parts:
            yield f"group {group}: {'; '.join(parts)}"


def _by_value(reports: Mapping[str, Report], name: str) -> dict[object, list[str]]:
    """The values of a key of `consume`, where they are known, each with its labels."""
    found: dict[object, list[str]] = {}
    for label, report in reports.items():
        value = getattr(report.consume, name)
        if value is not None:
            found.setdefault(value, []).append(label)
    return found


def _lag(lags: Mapping[object, list[str]], reports: Mapping[str, Report], named: Named) -> str:
    """How a group's lag differs; from the first report to the last, where it is always more or
    always less."""
    texts = [f"{lag} (from {named(labels)})" for lag, labels in lags.items()]
    order = [reports[labels[0]].started_at for labels in lags.values()]
    values = [int(str(lag)) for lag in lags]
    rises = values == sorted(values)
    once = len(set(order)) == len(order) and all(len(labels) == 1 for labels in lags.values())
    if once and (rises or values == sorted(values, reverse=True)):
        return f"its lag {'grows' if rises else 'falls'}: {', then '.join(texts)}"
    return f"its lag is {' and '.join(texts)}"


def _brokers(report: Report) -> dict[int, BrokerReport]:
    return {b.node: b for b in report.cluster.brokers} if report.cluster else {}


def _works(broker: BrokerReport) -> bool:
    return broker.layers.get("tcp") == "ok" and broker.layers.get("kafka") == "ok"


def _refuses(broker: BrokerReport) -> bool:
    return broker.layers.get("tcp") == "refused"


def _translated(reports: Mapping[str, Report], named: Named) -> Iterator[str]:
    """Some vantage points dial public addresses from a private one: NAT changes their source."""
    inside = {
        label
        for label, report in reports.items()
        if any(is_private(source) for source in report.source_addresses) and _dialled_public(report)
    }
    if not inside or len(inside) == len(reports):
        return
    ordered = [label for label in reports if label in inside]
    sources = listed(sorted({s for label in ordered for s in reports[label].source_addresses}))
    aws_reports = (reports[label].aws for label in ordered)
    seen = {aws.source for aws in aws_reports if aws and aws.source}
    known = f" ({listed(sorted(seen))})" if seen else ""
    yield (
        f"{named(ordered)} dial{'s' if len(ordered) == 1 else ''} public addresses from {sources}: "
        f"there is NAT on that path, and a rule for it must name its public address{known}"
    )


def _dialled_public(report: Report) -> bool:
    addresses = [address for server in report.bootstrap for address in server.addresses]
    found = [ip for ip in map(parse, addresses) if ip]
    return bool(found) and all(ip.is_global or not ip.is_private for ip in found)
