"""Facts built by hand, short enough to be read in a table of cases; nothing else builds any.

`"timeout"`, `"dns:not_found"` or `"identity:wrong_node"` says how a connection failed: the layer
before the colon, tcp where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from kdiag.aws.extension import AwsExtension
from kdiag.aws.hop import AwsFacts
from kdiag.config.settings import Endpoint, settings
from kdiag.network.attempt import (
    LAYERS,
    PROXY,
    AddressResult,
    ClientRun,
    Delivery,
    EndpointResult,
    Failure,
    LayerResult,
    Sent,
)
from kdiag.report.build import report
from kdiag.report.model import HopResult, Report
from kdiag.rules.catalog import every_rule
from kdiag.rules.client import ClientSystem
from kdiag.rules.cloud import CloudView
from kdiag.rules.expectations import CheckedExpectations, check_expectations, parse_expectations
from kdiag.rules.platform import platform
from kdiag.rules.rule import Finding, ignorable
from kdiag.walk.areas import AreaId
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listener, Listeners
from kdiag.walk.facts.metadata import Broker, Metadata, MetadataAnswer, Partition, Topic
from kdiag.walk.facts.produce import BrokerProduce, Produce, ProduceResult
from kdiag.walk.facts.run import HopFailure, HopFailures, WalkFacts
from kdiag.walk.hops import HOPS

RULES = every_rule()


LAPTOP = "203.0.113.10"
DOOR = "3.10.139.221"
CLUSTER_ID = "handMadeCluster0000001"
USED = tuple(layer for layer in LAYERS if layer not in ("tls", "sasl"))  # of a plaintext listener


def at(text: str) -> Endpoint:
    """`host:port`, `[ipv6]:port`, `:port`."""
    host, _, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port))


def dial(
    address: str,
    failed: str = "",
    *,
    detail: str = "",
    source: str = LAPTOP,
    node: int | None = None,
    cluster: str | None = CLUSTER_ID,
) -> AddressResult:
    """One address, dialled: all layers of plaintext went well up to the one that failed."""
    layer, _, failure = failed.rpartition(":")
    layer = layer or ("tcp" if failed else "")
    last = (PROXY, *LAYERS).index(layer) - 1 if layer else len(LAYERS)
    before = [each for each in USED[1:] if LAYERS.index(each) < last]
    attempts = [LayerResult(each, 0.001) for each in before]
    if failed:
        attempts.append(LayerResult(layer, 0.001, Failure(failure), detail))
    spoke = len(attempts) > 1
    kafka = any(attempt.layer == "kafka" and not attempt.failure for attempt in attempts)
    return AddressResult(
        address,
        tuple(attempts),
        source=source if spoke else "",
        answered_as=node if spoke else None,
        cluster_id=cluster if spoke else None,
        protocol="PLAINTEXT" if kafka else "",
        mechanisms=tuple(detail.split(", ")) if layer == "sasl" else (),
    )


def contact(
    endpoint: str,
    failed: str = "",
    *dials: AddressResult,
    detail: str = "",
    node: int | None = None,
) -> EndpointResult:
    """An endpoint and its dials; without dials, its own host, which failed like this or works."""
    where = at(endpoint)
    layer, _, failure = failed.rpartition(":")
    if layer == "dns":
        return EndpointResult(where, LayerResult("dns", 0.001, Failure(failure), detail))
    met = dials or (dial(where.host, failed, detail=detail, node=node),)
    return EndpointResult(where, LayerResult("dns", 0.001), met)


def working_bootstrap(*endpoints: str, source: str = LAPTOP) -> Bootstrap:
    """The facts of hop 1 where these addresses work, from a client at `source`."""
    return Bootstrap(
        tuple(
            contact(endpoint, "", dial(at(endpoint).host, source=source))
            for endpoint in endpoints or (f"{DOOR}:9094",)
        )
    )


def bootstrap(*contacts: EndpointResult) -> Bootstrap:
    """A bootstrap of these contacts."""
    return Bootstrap(contacts)


def listener(
    node: int,
    advertised: str,
    failed: str = "",
    *dials: AddressResult,
    detail: str = "",
    answered: int | None = None,
    candidates: tuple[EndpointResult, ...] = (),
) -> Listener:
    """Broker `node` at its advertised address; it answers as itself unless said otherwise."""
    where = at(advertised)
    spoke_as = node if answered is None and failed != "identity:wrong_node" else answered
    if not where.host or where.host in ("0.0.0.0", "::") or not 0 < where.port < 65536:
        met = EndpointResult(where, None)  # nobody dials such an address
    else:
        met = contact(advertised, failed, *dials, detail=detail, node=spoke_as)
    return Listener(Broker(node, where), met, candidates)


def listeners(*found: Listener) -> Listeners:
    return Listeners(found, 0.01)


def metadata(
    *brokers: Broker,
    topic: Topic | None = None,
    answers: tuple[MetadataAnswer, ...] = (),
    cluster_id: str | None = CLUSTER_ID,
) -> Metadata:
    """What the cluster tells; by default it answered at DOOR."""
    told = answers or (MetadataAnswer(at(f"{DOOR}:9094"), 0.001, cluster_id=cluster_id),)
    return Metadata(told, brokers, cluster_id, brokers[-1].node if brokers else None, topic)


def answer(
    endpoint: str, failed: str = "", detail: str = "", cluster: str | None = CLUSTER_ID
) -> MetadataAnswer:
    """How one bootstrap connection answered the metadata request."""
    failure = Failure(failed) if failed else None
    return MetadataAnswer(at(endpoint), 0.001, failure, detail, None if failed else cluster)


def brokers(*nodes: int) -> tuple[Broker, ...]:
    return tuple(Broker(node, Endpoint(f"198.51.100.{node}", 9094)) for node in nodes)


def partition(
    index: int,
    leader: int = 1,
    replicas: tuple[int, ...] = (1, 2, 3),
    isr: tuple[int, ...] | None = None,
    error: str = "NONE",
) -> Partition:
    return Partition(index, leader, replicas, replicas if isr is None else isr, error)


def topic(*partitions: Partition, name: str = "orders", error: str = "NONE") -> Topic:
    return Topic(name, error, partitions)


def outcome(failed: str = "", throttle_ms: int = 0) -> ProduceResult:
    """A produce request: refused as it should be, or without an answer."""
    if failed:
        return ProduceResult(1.0, failure=Failure(failed), detail="no answer within 1 s")
    return ProduceResult(0.002, "UNKNOWN_TOPIC_OR_PARTITION", throttle_ms)


def produced(
    node: int, small: str = "", large: str = "", throttle_ms: int = 0, *, own: bool = False
) -> BrokerProduce:
    """What a broker made of the two requests; where an answer is missing, on both connections. Of a
    large one that is silent the system says that it got lost on the way."""
    two = outcome(small, throttle_ms), outcome(large)
    if large == "silent" and not small:
        two = two[0], two[1]._replace(sent=Sent(7, 3, 0))
    return BrokerProduce(node, *two, first=two if small or large else (), own=own)


def produce(
    *answers: BrokerProduce, client: ClientRun | None = None, unreached: tuple[int, ...] = ()
) -> Produce:
    return Produce(answers, unreached, client, 0.01)


def client(*deliveries: Delivery, words: tuple[str, ...] = (), throttle_ms: int = 0) -> ClientRun:
    return ClientRun("orders", deliveries, words, throttle_ms)


def delivery(node: int, error: str | None = None, detail: str = "") -> Delivery:
    """One record to a partition of the leader `node`."""
    return Delivery(node, node - 1, 0.01, None if error else 7, error, detail)


def hop_failures(*halted: tuple[str, str]) -> HopFailures:
    """Hops that did not end: (hop, error), the error "" for the deadline."""
    return HopFailures(tuple(HopFailure(hop, 30.0, error) for hop, error in halted))


def known(*facts: object) -> Facts:
    """The facts, as the rules are given them."""
    told = AwsExtension().derive(Facts((settings(f"{DOOR}:9094"),)).adding(*facts))
    missing = (kind() for kind in (CloudView, ClientSystem) if kind not in told)
    return told.adding(platform(told), *missing)


def found_by(code: str, *facts: Any) -> list[Finding]:
    """What one rule finds in these facts."""
    return list(RULES[code].apply(known(*facts)))


def found(*facts: Any) -> list[Finding]:
    """What all rules find in these facts."""
    return list(_all(known(*facts)))


def _all(facts: Facts) -> Iterator[Finding]:
    for rule in RULES.values():
        yield from rule.apply(facts)


def reported(
    *facts: Any,
    target: str = f"{DOOR}:9094",
    fail_on: str = "error",
    skipped: str = "nothing to work on",
    expect: Sequence[str] = (),
    ignore: Sequence[str] = (),
    topic: str | None = None,
    notes: Sequence[str] = (),
    interrupted: bool = False,
) -> Report:
    """The report on a walk that gathered these facts."""
    gathered = known(*facts)
    hops: dict[AreaId, type[Any]] = {cast("AreaId", hop.id): hop.gives for hop in HOPS}
    if AwsFacts in gathered:
        hops["aws"] = AwsFacts
    steps = [
        HopResult(hop=hop, status="pass", elapsed_ms=7, summary=gathered[kind].summary)
        if kind in gathered
        else HopResult(hop=hop, status="skipped", elapsed_ms=0, skipped_because=skipped)
        for hop, kind in hops.items()
    ]
    wanted = parse_expectations(expect, topic=topic)
    if wanted:
        gathered = gathered.adding(check_expectations(wanted, gathered, ""))
        steps.append(
            HopResult(
                hop="expect",
                status="pass",
                elapsed_ms=7,
                summary=gathered[CheckedExpectations].summary,
            )
        )
    asked = settings(target, fail_on=fail_on, expect=wanted, ignore=ignorable(ignore, RULES))
    walk = WalkFacts("2026-11-23T11:20:00Z", 21, (), notes=(*notes,), interrupted=interrupted)
    made = report(asked, walk, gathered, list(_all(gathered)), steps, (), 21)
    return replace(made, kdiag_version="X.Y.Z")
