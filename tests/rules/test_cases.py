"""Of every rule one case where it fires, and a near one where it does not. A new rule needs both.

The two cases of a rule differ in one thing, the one that the rule is about. The tables of the areas
(test_listeners.py, tests/aws/test_rules.py, tests/lint/corpus, …) have more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kdiag.companions.facts import Companions, HttpAnswer, RestResult
from kdiag.config.endpoint import Endpoint
from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import settings
from kdiag.hold.facts import HeldBroker, Hold, Outcome, Silent
from kdiag.lint.kubectl import KubectlUnavailable
from kdiag.lint.linter import after_fixes, lint
from kdiag.lint.observed import ObservedBroker, ObservedCluster
from kdiag.lint.sources import ConfigSource
from kdiag.network.attempt import Failure, LayerResult, TlsHandshake
from kdiag.remote.unreached import Unreached
from kdiag.rules.catalog import every_rule
from kdiag.rules.expectations import check_expectations, parse_expectations
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import (
    AnswerTry,
    BrokerAnswers,
    Consume,
    Group,
    LargeAnswer,
    OpenTransaction,
    PartitionOffsets,
)
from kdiag.walk.facts.listeners import InternalTopic
from kdiag.walk.facts.metadata import Broker
from kdiag.walk.facts.produce import Produce
from tests.aws import test_rules as aws
from tests.certificates import END, made, name
from tests.facts import (
    CLUSTER_ID,
    DOOR,
    answer,
    at,
    bootstrap,
    brokers,
    client,
    contact,
    delivery,
    dial,
    found_by,
    hop_failures,
    known,
    listener,
    listeners,
    metadata,
    partition,
    produce,
    produced,
    topic,
    working_bootstrap,
)
from tests.lint.corpus import cases
from tests.together import together

RULES = every_rule()
Facts = tuple[object, ...]

HOST = "kafka.example.com"
SERVER, OTHER = f"{DOOR}:9094", "3.10.139.222:9094"
THREE = brokers(1, 2, 3)
LEAF = made(name(cn=HOST), name(cn="The CA"), [HOST])


def server(failed: str, detail: str = "why") -> Facts:
    """A bootstrap server that failed."""
    return (bootstrap(contact(f"{HOST}:9094", failed, detail=detail)),)


def through_proxy(failed: str) -> Facts:
    """A bootstrap server that failed behind a proxy."""
    met = contact(f"{HOST}:9094", failed, detail="why")._replace(proxy="socks5h://proxy:1080")
    return bootstrap(met), settings(f"{HOST}:9094", proxy="socks5h://proxy:1080")


def by_canonical_name(failed: str) -> Facts:
    """A client that dials the name from reverse DNS: its lookup fails, or nothing depends on it."""
    taken = contact("b1.internal:9092", failed)._replace(given=at("kafka.example.com:9092"))
    return bootstrap(taken), settings("kafka.example.com:9092")


def ended_by_name(*, another: bool) -> Facts:
    """Broker 1's TLS handshake was ended; under `another` name one completes."""
    there = dial("203.0.113.7", "tls:handshake")
    if another:
        shown = TlsHandshake("", "TLSv1.3", "x", (LEAF,), END.timestamp() - 1e8)
        there = there._replace(other_name=shown)
    found = listener(1, f"{HOST}:9094", "", there)
    return working_bootstrap(), metadata(found.broker), listeners(found)


def families(failed: str) -> Facts:
    """A server of two addresses, the IPv6 one of which failed."""
    dials = dial("198.51.100.1"), dial("2001:db8::1", failed)
    return (bootstrap(contact(f"{HOST}:9094", "", *dials)),)


def logged_in(mechanism: str) -> Facts:
    """A login over a connection without TLS."""
    there = dial("203.0.113.7")
    there = there._replace(attempts=(*there.attempts, LayerResult("sasl", 0.0)))
    security = Security("SASL_PLAINTEXT", sasl=Sasl(mechanism, "u", "p"))
    met = bootstrap(contact(f"{HOST}:9094", "", there._replace(protocol="SASL_PLAINTEXT")))
    return met, settings(f"{HOST}:9094")._replace(security=security)


def over_tls(*, verify: bool = True, seconds_left: float = 1e8) -> Facts:
    """A server that showed a good certificate, so many seconds before its end."""
    now = END.timestamp() - seconds_left
    shown = TlsHandshake(HOST, "TLSv1.3", "x", (LEAF,), now, False, (), 0)
    met = bootstrap(contact(f"{HOST}:9094", "", dial("203.0.113.7")._replace(handshake=shown)))
    security = Security("SSL", Tls(verify=verify, verify_name=verify))
    return met, settings(f"{HOST}:9094")._replace(security=security)


def answered_in(seconds: float) -> Facts:
    return working_bootstrap(), metadata(
        *THREE, answers=(answer(SERVER)._replace(elapsed=seconds),)
    )


def signed_by(authority: str) -> Facts:
    """A server whose certificate is by an authority that the client does not trust."""
    leaf = made(name(cn=HOST), name(cn=authority), [HOST])
    shown = TlsHandshake(HOST, "TLSv1.3", "x", (leaf,), END.timestamp() - 1e8, False, (), 20)
    there = dial("203.0.113.7", "tls:untrusted")._replace(handshake=shown)
    return (bootstrap(contact(f"{HOST}:9094", "", there)),)


def silent(ended: Outcome) -> Facts:
    """A connection that was silent for six minutes."""
    gaps = (Silent(60.0, Outcome.ANSWERED, 60.0), Silent(360.0, ended, 360.0))
    broker = HeldBroker(1, SERVER, 600.0, 0.0, 5.0, 72, "", gaps)
    return Hold(360.0, (broker,)), settings(SERVER)


def of_topic(*partitions: object, error: str = "NONE") -> Facts:
    return (metadata(*THREE, topic=topic(*partitions, error=error)),)  # type: ignore[arg-type]


def leaderless(error: str) -> Facts:
    return of_topic(partition(0), partition(1, -1, (4, 5), (4,), error))


def clusters(*ids: str) -> Facts:
    servers = zip((SERVER, OTHER), ids, strict=True)
    return (metadata(*THREE, answers=tuple(answer(s, cluster=c) for s, c in servers)),)


def advertised(address: str, failed: str, came: Bootstrap | None = None) -> Facts:
    """Broker 1 at an advertised address that failed."""
    found = listener(1, address, failed)
    return came or working_bootstrap(), metadata(found.broker), listeners(found)


def in_a_row(*addresses: str) -> Facts:
    """Brokers at these addresses, of which the last failed."""
    *first, last = enumerate(addresses, 1)
    found = [listener(node, each) for node, each in first] + [listener(*last, "refused")]
    return working_bootstrap(), metadata(*(x.broker for x in found)), listeners(*found)


def requests(small: str, large: str) -> Facts:
    return working_bootstrap(), produce(produced(1, small, large))


def written(error: str | None) -> Facts:
    """A record of the real client that ended like this."""
    return working_bootstrap(), produce(produced(1), client=client(delivery(1, error)))


def throttled(milliseconds: int) -> Facts:
    found: Produce = produce(produced(1, throttle_ms=milliseconds))
    return working_bootstrap(), found


def expecting(text: str) -> Facts:
    found = metadata(*THREE)
    wanted = parse_expectations([text], topic=None)
    return found, check_expectations(wanted, known(found), "")


def of_role(*answers: BrokerAnswers, internal: Any = (), **more: Any) -> Facts:
    """Three brokers, in `racks`, and what they answer about group g; `given` are client
    properties."""
    given = settings(f"{HOST}:9094")._replace(of_role=more.pop("given", {}))
    racks = more.pop("racks", None)
    found = Consume(more.pop("role", "consumer"), answers, group="g", topic="orders", **more)
    told = listeners()._replace(internal=internal, room=more.pop("room", 3))
    there = metadata(*(broker._replace(rack=racks) for broker in THREE))
    return working_bootstrap(), there, told, given, found


def beats(*errors: str, **more: Any) -> Facts:
    """The brokers' answers to a heartbeat for group g."""
    answers = (BrokerAnswers(node, error) for node, error in enumerate(errors, 1))
    return of_role(*answers, **more)


def looks(*groups: Group, **more: Any) -> Facts:
    """Group g, as its coordinator described it on each look."""
    return beats("UNKNOWN_MEMBER_ID", groups=groups, **more)


def of_partition(*offsets: int, last: int = 0, preferred: int | None = None, **more: Any) -> Facts:
    """Committed, first, end and last stable offset of a partition, the last one on two looks, and a
    transaction whose last record is so many seconds old."""
    committed, start, end, stable = offsets
    opened = (OpenTransaction(7, 0, stable, 1000 - last),) if last else ()
    found = PartitionOffsets(
        "orders", 0, 1, committed, start, end, stable, stable, opened, preferred
    )
    return beats("UNKNOWN_MEMBER_ID", partitions=(found,), at=1000, **more)


def internal(name: str, factor: int, min_isr: int = 1, *, exists: bool = False) -> Any:
    """What is known of an internal topic that cannot be created, or not be written to."""
    return (InternalTopic(name, factor, min_isr, exists),)


def large(gap: bool | None, tries: int) -> Facts:
    """How often the large answer of broker 1 did not arrive."""
    return beats("UNKNOWN_MEMBER_ID", large=(LargeAnswer(1, (AnswerTry(3.0, gap),) * tries),))


def read(error: str | None) -> Facts:
    """What the real client read of a partition."""
    return beats("UNKNOWN_MEMBER_ID", client=client(delivery(1, error)))


def companion(layer: str = "", failed: str = "", status: int = 0, **more: str) -> Facts:
    """A Schema Registry, and what its first answer was."""
    why = (LayerResult(layer, 0.1, Failure(failed), "why"),) if layer else ()
    answer = HttpAnswer("/subjects", why, status or (0 if layer else 200))
    url = "http://registry.example.com:8081"
    result = RestResult(url, "schema.registry.url", False, (answer,), **more)
    return metadata(*THREE), Companions((result,), 0.1)


TRANSACTIONS = "__transaction_state"
NO_TRANSACTIONS = [BrokerAnswers(n, transaction="NOT_COORDINATOR") for n in (1, 2, 3)]
NOT_HERE = ("NOT_COORDINATOR",) * 3
LOADS = Group(error="COORDINATOR_LOAD_IN_PROGRESS")
REBALANCES, STABLE = Group("classic", "PreparingRebalance"), Group("classic", "Stable")

POD = "my-cluster-b-1.my-cluster-kafka-brokers.kafka"
HIDDEN = KubectlUnavailable("kubectl get nodes", "forbidden", "no")

# Code → the facts of a case where it fires, and those of a near one.
WALK: Mapping[str, tuple[Facts, Facts]] = {
    "KD001": ((hop_failures(("metadata", "KeyError")),), (hop_failures(("metadata", "")),)),
    "KD002": ((hop_failures(("metadata", "")),), (hop_failures(("metadata", "KeyError")),)),
    "KD101": (server("dns:not_found"), server("dns:resolver_failed")),
    "KD102": (server("dns:resolver_failed"), server("dns:not_found")),
    "KD103": (server("refused"), server("timeout")),
    "KD104": (server("timeout"), server("refused")),
    "KD105": (server("unreachable"), server("timeout")),
    "KD106": (families("refused"), families("")),
    "KD107": (server("kafka:silent"), server("kafka:closed")),
    "KD108": (server("kafka:not_kafka"), server("kafka:controller")),
    "KD109": (server("kafka:controller"), server("kafka:not_kafka")),
    "KD110": (server("tls:tls_required"), server("tls:handshake")),
    "KD111": (server("tls:tls_not_offered"), server("tls:tls_required")),
    "KD112": (server("tls:untrusted"), server("tls:expired")),
    "KD113": (server("tls:name_mismatch"), server("tls:untrusted")),
    "KD114": (server("tls:expired"), server("tls:untrusted")),
    "KD115": (server("tls:client_certificate"), server("tls:handshake")),
    "KD116": (server("tls:handshake"), server("tls:client_certificate")),
    "KD117": (server("sasl:sasl_required"), server("sasl:mechanism")),
    "KD118": (server("sasl:sasl_not_offered"), server("sasl:sasl_required")),
    "KD119": (server("sasl:mechanism"), server("sasl:credentials")),
    "KD120": (server("sasl:credentials"), server("sasl:credentials", "Too many connects")),
    "KD121": (server("kafka:closed"), server("kafka:silent")),
    "KD122": (logged_in("PLAIN"), logged_in("SCRAM-SHA-512")),
    "KD123": (over_tls(verify=False), over_tls()),
    "KD124": (answered_in(5.0), answered_in(1.0)),
    "KD125": (over_tls(seconds_left=86400), over_tls(seconds_left=90 * 86400)),
    "KD126": (server("sasl:credentials", "Too many connects"), server("sasl:credentials")),
    "KD127": (by_canonical_name("dns:not_found"), by_canonical_name("")),
    "KD129": (through_proxy("proxy:proxy_denied"), through_proxy("proxy:proxy_failed")),
    "KD130": (through_proxy("proxy:proxy_failed"), through_proxy("proxy:proxy_denied")),
    "KD201": (
        (metadata(answers=(answer(SERVER, "silent"),)),),
        (metadata(answers=(answer(SERVER, "not_kafka"),)),),
    ),
    "KD202": (of_topic(error="INVALID_TOPIC_EXCEPTION"), of_topic()),
    "KD203": ((metadata(),), (metadata(*THREE),)),
    "KD204": (of_topic(error="UNKNOWN_TOPIC_OR_PARTITION"), of_topic()),
    "KD205": (
        of_topic(error="TOPIC_AUTHORIZATION_FAILED"),
        of_topic(error="UNKNOWN_TOPIC_OR_PARTITION"),
    ),
    "KD206": (leaderless("LEADER_NOT_AVAILABLE"), leaderless("LISTENER_NOT_FOUND")),
    "KD207": (leaderless("LISTENER_NOT_FOUND"), leaderless("LEADER_NOT_AVAILABLE")),
    "KD208": (of_topic(partition(0, isr=(1, 2))), of_topic(partition(0, isr=(1, 2, 3)))),
    "KD209": (clusters("one", "two"), clusters("one", "one")),
    "KD210": (
        (metadata(*THREE)._replace(twice=(Broker(1, at("other:9094")),)),),
        (metadata(*THREE),),
    ),
    "KD301": (advertised("10.0.1.11:9094", "timeout"), advertised(SERVER, "timeout")),
    "KD302": (advertised("localhost:9092", "refused"), advertised("10.0.1.11:9092", "refused")),
    "KD303": (advertised("0.0.0.0:9092", "refused"), advertised(f"{DOOR}:9092", "refused")),
    "KD304": (
        advertised("kafka-0.kafka.svc:9092", "dns:not_found"),
        advertised("kafka-0.example.com:9092", "dns:not_found"),
    ),
    "KD305": (advertised(f"{DOOR}:32001", "refused"), advertised(f"{DOOR}:32001", "timeout")),
    "KD306": (advertised(f"{DOOR}:32001", "timeout"), advertised(f"{DOOR}:32001", "refused")),
    "KD307": (
        (listeners(listener(1, SERVER, "identity:wrong_node", answered=2)),),
        (listeners(listener(1, SERVER, "identity:denied")),),
    ),
    "KD308": (
        (listeners(listener(1, SERVER), listener(2, SERVER, "identity:wrong_node", answered=1)),),
        (listeners(listener(1, SERVER), listener(2, OTHER, "identity:wrong_node", answered=1)),),
    ),
    "KD309": (
        advertised(f"{POD}.svc:9092", "dns:not_found"),
        advertised(f"{POD}.example.com:9092", "dns:not_found"),
    ),
    "KD310": (
        advertised(SERVER, "identity:wrong_cluster"),
        advertised(SERVER, "identity:wrong_node"),
    ),
    "KD311": (
        in_a_row("198.51.100.1:9094", "198.51.100.2:9094", "198.51.100.3:9095"),
        in_a_row("198.51.100.1:9094", "198.51.100.2:9094", "198.51.100.3:9094"),
    ),
    "KD312": (advertised(SERVER, "tls:tls_required"), advertised(SERVER, "tls:handshake")),
    "KD313": (ended_by_name(another=True), ended_by_name(another=False)),
    "KD401": (requests("silent", "silent"), requests("", "silent")),
    "KD402": (requests("", "silent"), requests("", "reset")),
    "KD403": (written("TOPIC_AUTHORIZATION_FAILED"), written("NOT_ENOUGH_REPLICAS")),
    "KD404": (written("NOT_ENOUGH_REPLICAS"), written("TOPIC_AUTHORIZATION_FAILED")),
    "KD405": (written("NOT_LEADER_FOR_PARTITION"), written("NOT_ENOUGH_REPLICAS")),
    "KD406": (written("MSG_SIZE_TOO_LARGE"), written("NOT_ENOUGH_REPLICAS")),
    "KD407": (written("_MSG_TIMED_OUT"), written("REQUEST_TIMED_OUT")),
    "KD408": (throttled(700), throttled(0)),
    "KD128": (signed_by("Zscaler Root CA"), signed_by("The CA")),
    "KD410": (silent(Outcome.UNANSWERED), silent(Outcome.ANSWERED)),
    "KD409": (written("KAFKA_STORAGE_ERROR"), written(None)),
    "KD629": (
        (ConfigSource({}, 0.0, "kafka/my-cluster", (HIDDEN,)),),
        (ConfigSource({}, 0.0, "kafka/my-cluster", ()),),
    ),
    "KD701": (expecting("brokers=4"), expecting("brokers=3")),
    "KD901": (
        beats(*NOT_HERE, internal=internal("__consumer_offsets", 4)),
        beats(*NOT_HERE, internal=internal("__consumer_offsets", 4, exists=True)),
    ),
    "KD902": (beats("GROUP_AUTHORIZATION_FAILED"), beats("UNKNOWN_MEMBER_ID")),
    "KD903": (looks(LOADS, LOADS), looks(LOADS, STABLE)),
    "KD904": (
        beats("COORDINATOR_NOT_AVAILABLE", again="COORDINATOR_NOT_AVAILABLE"),
        beats("COORDINATOR_NOT_AVAILABLE", again="UNKNOWN_MEMBER_ID"),
    ),
    "KD905": (
        beats(*NOT_HERE[:2], unreached=(3,), owner=3),
        beats(*NOT_HERE[:2], unreached=(3,), owner=2),
    ),
    "KD906": (looks(REBALANCES, REBALANCES), looks(REBALANCES, STABLE)),
    "KD907": (of_partition(5, 6, 9, 9), of_partition(6, 6, 9, 9)),
    "KD908": (
        of_role(BrokerAnswers(1, read="TOPIC_AUTHORIZATION_FAILED")),
        of_role(BrokerAnswers(1, read="OFFSET_OUT_OF_RANGE")),
    ),
    "KD909": (of_partition(5, 0, 9, 5, last=600), of_partition(5, 0, 9, 5, last=30)),
    "KD910": (
        of_role(BrokerAnswers(1, transaction="TRANSACTIONAL_ID_AUTHORIZATION_FAILED")),
        of_role(BrokerAnswers(1, transaction="INVALID_PRODUCER_ID_MAPPING")),
    ),
    "KD911": (
        of_role(role="idempotent", producer="CLUSTER_AUTHORIZATION_FAILED"),
        of_role(role="idempotent", producer="NONE"),
    ),
    "KD912": (
        of_role(given={"client.rack": "b"}, racks="a"),
        of_role(given={"client.rack": "a"}, racks="a"),
    ),
    "KD914": (
        of_partition(5, 0, 9, 9, preferred=3, unreached=(3,)),
        of_partition(5, 0, 9, 9, preferred=3, unreached=(2,)),
    ),
    "KD915": (large(True, 2), large(True, 1)),
    "KD916": (
        of_role(*NO_TRANSACTIONS, role="transactional", internal=internal(TRANSACTIONS, 1, 2)),
        of_role(*NO_TRANSACTIONS, role="transactional", internal=internal(TRANSACTIONS, 2, 2)),
    ),
    "KD913": (read("_FAIL"), read(None)),
    "KD801": ((Unreached("ssh://app", "ssh ended with 255"),), ()),
    "KD1001": (companion("tcp", "refused"), companion("tls", "untrusted")),
    "KD1002": (companion("tls", "untrusted"), companion("tcp", "refused")),
    "KD1003": (companion(status=401), companion(status=404)),
    "KD1004": (
        companion(status=500, service="Schema Registry", unhealthy="50001"),
        companion(status=500, service="Schema Registry"),
    ),
    "KD1005": (companion(status=404), companion(status=401)),
    "KD1006": (
        companion(service="Kafka Connect", cluster_id="other"),
        companion(service="Kafka Connect", cluster_id=CLUSTER_ID),
    ),
}

Edits = tuple[tuple[str, str], ...]

# Where kdiag has no fix: a file of the corpus where a rule fires, and the edits after which it does
# not.
NEAR_FILES: Mapping[str, tuple[str, Edits]] = {
    "KD601": ("strimzi/not-yaml.yaml", (('"my-cluster', "my-cluster"),)),
    "KD604": (
        "strimzi/misplaced.yaml",
        (
            ("        externalTrafficPolicy: Cluster\n        nodePort: 32100\n", ""),
            ("          alternativeNames: [kafka.example.com]\n", ""),
            ("            advertisedHost: 3.10.139.221\n", ""),
        ),
    ),
    "KD608": ("strimzi/v1beta2.yaml", (("/v1beta2", "/v1"),)),
    "KD610": (
        "strimzi/listener-clash.yaml",
        (
            ("- name: plain\n        port: 9093", "- name: other\n        port: 9095"),
            ("9404", "9405"),
        ),
    ),
    "KD612": (
        "strimzi/broker-left-out.yaml",
        (("32001\n", "32001\n              advertisedHost: 3.10.139.222\n"),),
    ),
    "KD616": ("properties/private.properties", (("10.0.1.11", HOST),)),
    "KD617": ("properties/loopback.properties", (("localhost", HOST),)),
    "KD618": (
        "properties/empty-host.properties",
        (("advertised.listeners=EXTERNAL://", f"advertised.listeners=EXTERNAL://{HOST}"),),
    ),
    "KD619": ("compose/service-name-published.yaml", (("//kafka:", f"//{HOST}:"),)),
    "KD620": (
        "properties/name-by-default.properties",
        (("//:9092", f"//:9092\nadvertised.listeners=PLAINTEXT://{HOST}:9092"),),
    ),
    "KD621": (
        "strimzi/advertised-port.yaml",
        (
            ("advertisedPort: 32100", "advertisedPort: 32000"),
            ("              advertisedPort: 32001\n", ""),
            ("              advertisedPort: 443\n", ""),
        ),
    ),
    "KD626": ("properties/public-only.properties", (("3.10.139.221", "10.0.1.11"),)),
    "KD635": ("properties/not-advertised.properties", ((",SASL_SSL://:9094", ""),)),
    "KD636": ("properties/public-only.properties", (("3.10.139.221", "10.0.1.11"),)),
    "KD641": (
        "compose/confluent-needs-advertised.yaml",
        (("_ID: 1\n", "_ID: 1\n      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://kafka:9092\n"),),
    ),
    "KD642": (
        "compose/env-file.yaml",
        (
            (
                "    env_file: kafka.env\n",
                "    environment: {KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://kafka:9092'}\n",
            ),
        ),
    ),
    "KD643": ("other/client-no-effect.properties", (("sasl.mechanism=PLAIN\n", ""),)),
    "KD645": (
        "compose/address-of-another-broker.yaml",
        (
            ("kafka-1:9092,EXTERNAL://localhost:29092", "kafka-2:9092,EXTERNAL://localhost:29092"),
            ("kafka-3:9092,EXTERNAL://localhost:19092", "kafka-3:9092,EXTERNAL://localhost:39092"),
            ("kafka-6:9092,EXTERNAL://kafka.example.com:443,LOCAL://localhost:1", "kafka-6:9092"),
        ),
    ),
    "KD637": (
        "properties/not-readable.properties",
        (("SSL://:9092,", "SSL://:9092"), ("=SSL:kafka", "=SSL://kafka")),
    ),
}

GOOD = "strimzi/good-nodeport.yaml"

# The edits of a good file after which a rule fires.
BAD_FILES: Mapping[str, Edits] = {
    "KD606": (("        tls: true\n", ""),),
    "KD613": (("nodePort: 32002", "nodePort: 40000"),),
    "KD623": (("            nodePort: 32100\n", ""),),
    "KD624": (("              - 3.10.139.222\n", ""),),
    "KD651": (("default.replication.factor: 3", "log.dirs: /data"),),
}


def cluster(*advertised: str) -> ObservedCluster:
    """The cluster of GOOD; brokers advertise these hosts."""
    found = [
        ObservedBroker(node, Endpoint(host, 32000 + node), False, None)
        for node, host in enumerate(advertised)
    ]
    return ObservedCluster((Endpoint(DOOR, 32100),), tuple(found))


DECLARED = ("3.10.139.221", "3.10.139.222", "3.10.139.223")
NODES = "".join(
    f"---\nkind: Node\napiVersion: v1\nmetadata: {{name: {host}}}\n"
    f"status: {{addresses: [{{type: ExternalIP, address: {host}}}]}}\n"
    for host in DECLARED
)
OF_THE_NODES = tuple((f"              advertisedHost: {host}\n", "") for host in DECLARED)

# What brokers advertise where a rule on a running cluster fires; DECLARED is near.
MOVED = ("3.10.139.221", "10.0.1.12", "3.10.139.223")


def text_of(file: str) -> str:
    return next(case.text for case in cases() if case.name == file)


def edited(text: str, edits: Edits) -> str:
    for old, new in edits:
        assert text.count(old) == 1, (text.count(old), old)
        text = text.replace(old, new)
    return text


def codes_in(file: str, text: str, live: ObservedCluster | None = None) -> set[str]:
    return {problem.finding.code for problem in lint({file: text}, live=live).problems}


def in_walk(code: str) -> tuple[bool, bool]:
    fires, near = WALK[code]
    return bool(found_by(code, *fires)), bool(found_by(code, *near))


def in_aws(code: str) -> tuple[bool, bool]:
    fires = [case for each, case in aws.FIRES if each == code]
    near = [case for each, case in aws.SILENT if each == code]
    return bool(fires[0].findings(code)), bool(near[0].findings(code))


def in_live(code: str) -> tuple[bool, bool]:
    text = text_of(GOOD)
    if code == "KD628":
        text = edited(text, OF_THE_NODES) + NODES
    return tuple(code in codes_in(GOOD, text, cluster(*hosts)) for hosts in (MOVED, DECLARED))  # type: ignore[return-value]


def in_files(code: str) -> tuple[bool, bool]:
    if code in BAD_FILES:
        good = text_of(GOOD)
        return code in codes_in(GOOD, edited(good, BAD_FILES[code])), code in codes_in(GOOD, good)
    if code in NEAR_FILES:
        file, edits = NEAR_FILES[code]
        text = text_of(file)
        return code in codes_in(file, text), code in codes_in(file, edited(text, edits))
    for case in cases():
        if code in {p.finding.code for p in case.report().problems if p.fixed}:
            left = {problem.finding.code for problem in after_fixes(case.report()).problems}
            if code not in left:  # what the rule's own fix makes of the file is near
                return True, False
    raise AssertionError(f"{code} has no case where it fires and a near one where it does not")


def cases_of(code: str) -> tuple[bool, bool]:
    """Whether a rule fires in its case, and in its near one."""
    if code in WALK:
        return in_walk(code)
    if code in ("KD627", "KD628"):
        return in_live(code)
    return in_aws(code) if code.startswith("KD5") else in_files(code)


@together("code", RULES)
def test_a_rule_has_a_case_where_it_fires_and_a_near_one_where_it_does_not(code: str) -> None:
    assert cases_of(code) == (True, False)


def test_a_rule_without_cases_is_noticed() -> None:
    with pytest.raises(AssertionError, match="KD699 has no case"):
        cases_of("KD699")
    with pytest.raises(IndexError):
        cases_of("KD599")
