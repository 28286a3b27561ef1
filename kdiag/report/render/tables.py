"""The tables of the HTML page: brokers layer by layer, addresses in AWS, expectations."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kdiag.report.aws import AwsAddress
from kdiag.report.companions import CompanionReport
from kdiag.report.model import BrokerReport, ExpectationReport, Report, RightReport
from kdiag.report.render import presentation
from kdiag.report.render.markup import add
from kdiag.report.render.parts import bulleted, table, titled

_MET = {True: ("holds", "ok"), False: ("does not hold", "fail"), None: ("not known", "none")}
_SAME = {True: ("this one", "ok"), False: ("another", "warn"), None: ("not known", "none")}
_VERDICTS = {"blocked": "fail", "unknown": "warn", "allowed": "ok"}


def brokers(main: Element, report: Report) -> None:
    """Adds the table of brokers with the result at each layer that was tried."""
    known = report.cluster.brokers if report.cluster else []
    layers = presentation.tried(known)
    if not layers:
        return
    section = titled(main, "brokers", "Brokers, layer by layer")
    ordered = sorted(known, key=presentation.healthy)

    def row(body: Element, broker: BrokerReport) -> None:
        line = add(body, "tr")
        add(line, "th", str(broker.node), scope="row")
        add(line, "td", broker.advertised, class_="address mono")
        for outcome in (*(broker.layers.get(layer) for layer in layers), broker.produce):
            add(line, "td", outcome or "–", class_=_class(outcome))

    head = ("broker", "advertised", *layers, "produce")
    table(section, "brokers", head, ordered, row)


def _class(outcome: str | None) -> str:
    return {"ok": "ok", None: "none", "denied": "warn"}.get(outcome, "fail")


def aws(main: Element, report: Report) -> None:
    """Adds the table of addresses with AWS's verdicts, and the calls that AWS did not answer."""
    known = presentation.in_aws(report)
    if not report.aws or not (known or report.aws.gaps):
        return
    section = titled(main, "aws", "What AWS says")
    source = report.aws.source or "an unknown address"
    regions = ", ".join(report.aws.regions) or "no region"
    add(section, "p", f"For a client at {source}, in {regions}.", class_="quiet")

    def row(body: Element, each: AwsAddress) -> None:
        line = add(body, "tr")
        inner = f" = {each.address}" if each.address != each.judged else ""
        add(line, "td", f"{presentation.aws_address(each)}{inner}", class_="address mono")
        add(line, "td", each.verdict, class_=_VERDICTS[each.verdict])
        add(line, "td", each.decided_by or "–", class_="mono")
        add(line, "td", ", ".join(presentation.aws_owner(each)), class_="mono")
        add(line, "td", each.reason, class_="words")

    if known:
        head = ("address", "verdict", "decided by", "instance, groups", "reason")
        table(section, "addresses in AWS", head, known, row)
    gaps = [f"{gap.call} in {gap.region}: {gap.reason}: {gap.words}" for gap in report.aws.gaps]
    bulleted(section, gaps)


def expectations(main: Element, report: Report) -> None:
    """Adds the table of expectations, with what was found."""
    if not report.expectations:
        return
    section = titled(main, "expectations", "What was expected")

    def row(body: Element, each: ExpectationReport) -> None:
        line = add(body, "tr")
        add(line, "th", each.expectation, scope="row", class_="mono")
        word, kind = _MET[each.met]
        add(line, "td", word, class_=kind)
        found = [f"{whose}: {what}" if whose else str(what) for whose, what in each.found.items()]
        add(line, "td", each.reason or ", ".join(found))

    table(section, "expectations", ("expectation", "verdict", "found"), report.expectations, row)


def rights(main: Element, report: Report) -> None:
    """Adds the table of the rights that the role needs."""
    needed = presentation.needed(report)
    if not needed or not report.consume:
        return
    section = titled(main, "rights", f"What a client needs as {report.consume.role}")

    def row(body: Element, right: RightReport) -> None:
        line = add(body, "tr")
        add(line, "td", right.operation, class_="mono")
        add(line, "td", presentation.resource(right), class_="mono")
        word, kind = presentation.GRANTED[right.granted]
        add(line, "td", word, class_={"pass": "ok"}.get(kind, kind))
        add(line, "td", right.answer or "–", class_="mono")

    table(section, "rights", ("right", "on", "verdict", "answer"), needed, row)


def companions(main: Element, report: Report) -> None:
    """Adds the table of the REST servers beside Kafka."""
    if not report.companions:
        return
    section = titled(main, "companions", "Companions")

    def row(body: Element, each: CompanionReport) -> None:
        line = add(body, "tr")
        add(line, "td", each.url, class_="address mono")
        for outcome in each.layers.values():
            add(line, "td", outcome or "–", class_=_class(outcome))
        add(line, "td", f"{each.service or 'not recognised'} {each.version or ''}".rstrip())
        word, kind = _SAME[each.same_cluster]
        add(line, "td", word, class_=kind)
        add(line, "td", each.unhealthy or "–", class_="words")

    head = ("URL", *report.companions[0].layers, "service", "cluster", "says of itself")
    table(section, "companions", head, report.companions, row)
