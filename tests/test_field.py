"""Failures that people met, by the numbers of docs/coverage.md: each is walked, and named.

A row says what the brokers advertised and where the client came in; the world is on loopback.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from kdiag.api import walk
from kdiag.config.settings import settings
from kdiag.demo.broker import (
    BROKER_APIS,
    CONTROLLER_APIS,
    HANG_UP,
    SILENCE,
    Control,
    FakeBroker,
    FakeNode,
    as_usual,
)
from kdiag.demo.logins import Logins
from kdiag.demo.world import CLUSTER_ID, World
from kdiag.kafka.messages import METADATA, Request
from kdiag.report.model import Report
from tests.certificates import made, name, showing
from tests.walks import AT_ONCE

EC2 = "3.10.139.221"
LOCAL = "127.0.0.1"
LISTENER_NOT_FOUND = 72
DNS_FAILS = socket.EAI_AGAIN


@dataclass(frozen=True)
class Met:
    """One failure: the hop and the code that it is named by.

    `advertised` are the brokers' addresses in the order of their node ids, from 1; `door` is where
    the client comes in, and who is there is broker 1. `names` are DNS's, `closed` refuses, `others`
    are more places where a broker answers: address → node id. Whatever else is dialled is silent.

    Brokers speak TLS where there is a certificate for them to show (DER), and want a login where
    there are mechanisms. `proven` is the address that must be offered as the fix, `says` a text
    that must be in what is found. On a `narrow` way to the door large packets vanish.
    """

    number: int
    hop: str
    code: str
    advertised: Sequence[str] = ()
    door: str = f"{EC2}:9092"
    names: Mapping[str, Any] = field(default_factory=dict)
    closed: Sequence[str] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    nobody: bool = False
    control: Control = as_usual
    topic: str | None = None
    proven: str = ""
    timeout: float = 2.0
    shows: bytes = b""
    wants_certificate: bool = False
    mechanisms: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    hangs_up: bool = False
    narrow: bool = False
    offsets_factor: int = 1
    group: str | None = None


def _hangs_up(request: Request) -> Any:
    return HANG_UP if request.api is METADATA else None


def _partition(leader: int, replicas: list[int], in_sync: list[int], error: int = 0) -> Control:
    """Metadata of one broker, and of a topic with one partition."""
    partition = {
        "error_code": error,
        "partition_index": 0,
        "leader_id": leader,
        "leader_epoch": 0,
        "replica_nodes": replicas,
        "isr_nodes": in_sync,
        "offline_replicas": [],
    }
    topic = {"error_code": 0, "name": "orders", "is_internal": False, "partitions": [partition]}
    told = {
        "throttle_time_ms": 0,
        "brokers": [{"node_id": 1, "host": EC2, "port": 9092, "rack": None}],
        "cluster_id": CLUSTER_ID,
        "controller_id": 1,
        "topics": [topic],
    }
    return lambda request: told if request.api is METADATA else None


def _mute(request: Request) -> Any:
    return SILENCE if request.api is METADATA else None


# Whoever is signed by this authority is trusted; it can do no other but sign.
AUTHORITY_NAME = name(o="Example", cn="Example CA")
AUTHORITY = ssl.DER_cert_to_PEM_cert(made(AUTHORITY_NAME, ca=True))
SSL = {"security.protocol": "SSL", "ssl.truststore.certificates": AUTHORITY}
PLAINTEXT = {"security.protocol": "PLAINTEXT"}
BOB = {"sasl.username": "bob", "sasl.password": "secret"}


def _for(*names: str) -> bytes:
    """A broker's good certificate, for these names."""
    return made(name(cn="broker"), AUTHORITY_NAME, names)


INTERNAL = "ip-10-0-145-219.us-west-2.compute.internal:9092"
MSK = [f"b-{n}.demo.abc123.c2.kafka.us-east-1.amazonaws.com:9092" for n in (1, 2, 3)]
MSK_PRIVATE = {name.split(":")[0]: [f"10.20.{n}.5"] for n, name in enumerate(MSK)}
NLB = [f"nlb.example.com:{9000 + n}" for n in (1, 2, 3)]

FIELD = (
    # A. Machines in a cloud.
    Met(1, "listeners", "KD301", ["172.21.1.13:9092"]),
    Met(2, "listeners", "KD304", [INTERNAL]),
    Met(3, "listeners", "KD304", [INTERNAL], proven=f"{EC2}:9092"),
    Met(5, "listeners", "KD302", ["127.0.0.1:9092"], closed=["127.0.0.1:9092"]),
    Met(
        6,
        "listeners",
        "KD302",
        ["localhost:9092"],
        names={"localhost": [LOCAL]},
        closed=[f"{LOCAL}:9092"],
        door="192.168.1.20:9092",
    ),
    Met(7, "bootstrap", "KD104", door=f"{EC2}:29094", nobody=True),
    Met(8, "listeners", "KD101", ["kafka-0.kafka.mesos.example:1025"]),
    Met(9, "listeners", "KD306", ["34.89.1.2:9094"], door="34.89.1.2:9092"),
    Met(
        10,
        "listeners",
        "KD306",
        NLB,
        names={"nlb.example.com": ["10.0.9.9"]},
        door="10.0.9.9:9092",
        others={"10.0.9.9:9002": 2, "10.0.9.9:9003": 3},
    ),
    # B. Strimzi.
    Met(11, "listeners", "KD301", ["192.168.0.132:31001"], door=f"{EC2}:32100"),
    Met(12, "listeners", "KD301", ["10.10.0.3:31313"], door=f"{EC2}:32100"),
    Met(13, "listeners", "KD301", ["10.20.0.5:32001"], door="192.168.7.5:32100"),
    Met(14, "listeners", "KD301", ["10.43.0.12:32001"], door=f"{EC2}:32100"),
    Met(
        15,
        "listeners",
        "KD301",
        ["192.168.65.3:30172"],
        door=f"{LOCAL}:30172",
        proven=f"{LOCAL}:30172",
    ),
    Met(16, "listeners", "KD301", ["10.0.0.7:32001"], door=f"{EC2}:32100"),
    Met(17, "listeners", "KD301", ["10.0.0.7:32001", "10.0.0.8:32002"], door=f"{EC2}:9094"),
    Met(18, "listeners", "KD308", [f"{EC2}:9094"] * 3, door=f"{EC2}:9094"),
    Met(
        19,
        "bootstrap",
        "KD104",
        [f"{EC2}:32001"],
        door="nodes.example.com:32100",
        names={"nodes.example.com": [EC2, "3.10.139.222", "3.10.139.223"]},
        others={f"{EC2}:32100": 1, f"{EC2}:32001": 1},
    ),
    Met(20, "bootstrap", "KD104", door=f"{EC2}:32447", nobody=True),
    Met(24, "listeners", "KD304", ["kafka-kafka-node-pool-clusterip-2.kafka.svc:9094"]),
    Met(
        30,
        "metadata",
        "KD208",
        [f"{EC2}:9092"],
        control=_partition(leader=1, replicas=[1, 2, 3], in_sync=[1]),
        topic="orders",
    ),
    Met(31, "listeners", "KD101", ["kafka-broker-0.mydomain.com.:9094"]),
    Met(32, "metadata", "KD201", [f"{EC2}:9092"], control=_hangs_up),
    # C. Other Kubernetes.
    Met(33, "listeners", "KD309", ["kafka-0.kafka-headless.kafka.svc.cluster.local:9092"]),
    Met(34, "listeners", "KD309", ["kafka-0.kafka-headless.kafka:9092"], door=f"{LOCAL}:9092"),
    Met(
        35,
        "listeners",
        "KD305",
        ["127.0.0.1:9094"],
        door=f"{LOCAL}:8080",
        closed=["127.0.0.1:9094"],
    ),
    Met(36, "listeners", "KD303", [":30887"]),
    Met(37, "listeners", "KD306", ["211.55.1.2:32739"]),
    Met(38, "listeners", "KD301", ["192.168.121.80:9094"], door="192.168.8.164:9094"),
    Met(
        39,
        "listeners",
        "KD305",
        [f"{EC2}:30292"],
        door=f"{EC2}:30291",
        closed=[f"{EC2}:30292"],
    ),
    Met(
        40,
        "listeners",
        "KD305",
        ["10.36.13.61:9094"],
        door="10.36.13.61:31000",
        closed=["10.36.13.61:9094"],
    ),
    Met(41, "listeners", "KD304", ["kafka-0.broker.default.svc.cluster.local:9094"]),
    Met(42, "listeners", "KD308", ["elb.example.com:9094"] * 3, names={"elb.example.com": [EC2]}),
    Met(
        43,
        "listeners",
        "KD307",
        [f"{EC2}:9093", f"{EC2}:9094"],
        others={f"{EC2}:9093": 2, f"{EC2}:9094": 1},
    ),
    Met(44, "listeners", "KD304", ["voltha-kafka-0.voltha-kafka-headless.voltha:9092"]),
    Met(45, "listeners", "KD306", ["10.42.1.7:9092"], door="10.42.9.9:9092"),
    # D. KRaft controllers.
    Met(47, "listeners", "KD109", [f"{EC2}:29093"], others={f"{EC2}:29093": -1}),
    Met(48, "bootstrap", "KD109", door=f"{EC2}:9093", others={f"{EC2}:9093": -1}),
    Met(49, "bootstrap", "KD109", door=f"{EC2}:9093", others={f"{EC2}:9093": -1}),
    # E. MSK and PrivateLink.
    Met(50, "bootstrap", "KD104", door="10.20.1.5:9098", nobody=True),
    Met(51, "bootstrap", "KD104", door=MSK[0], names=MSK_PRIVATE, nobody=True),
    Met(52, "bootstrap", "KD104", door="b-1-public.demo.example.com:9198", nobody=True,
        names={"b-1-public.demo.example.com": [EC2]}),
    Met(56, "listeners", "KD301", MSK, names=MSK_PRIVATE),
    Met(
        57,
        "listeners",
        "KD104",
        ["b0.example.com:9092"],
        names={"b0.example.com": ["10.1.0.5", "10.1.1.5", "10.1.2.5"]},
        door="10.1.0.5:9092",
    ),
    Met(
        58,
        "listeners",
        "KD306",
        [f"{EC2}:9096", "3.10.139.222:9096"],
        others={f"{EC2}:9096": 1},
    ),
    Met(
        53,
        "listeners",
        "KD311",
        [f"{EC2}:9001", "3.10.139.222:9198", "3.10.139.223:9198"],
        door="3.10.139.222:9198",
        others={"3.10.139.222:9198": 2, "3.10.139.223:9198": 3},
    ),
    # F. Docker, WSL, tunnels, CI.
    Met(60, "listeners", "KD304", ["c3d0d2984699:9092"]),
    Met(
        61,
        "listeners",
        "KD302",
        ["127.0.0.1:9092"],
        door="kafka:29092",
        names={"kafka": ["172.18.0.3"]},
        others={"172.18.0.3:29092": 1},
        closed=["127.0.0.1:9092"],
    ),
    Met(62, "listeners", "KD302", ["127.0.0.1:9092"], closed=["127.0.0.1:9092"]),
    Met(63, "listeners", "KD304", ["kafka:9092"]),
    Met(64, "listeners", "KD304", ["kafka:9092"], door="192.168.1.20:9092"),
    Met(
        65,
        "listeners",
        "KD305",
        ["127.0.0.1:9092"],
        door="localhost:19092",
        names={"localhost": [LOCAL]},
        others={f"{LOCAL}:19092": 1},
        closed=["127.0.0.1:9092"],
    ),
    Met(66, "listeners", "KD304", ["kafka-renamed:9092"], door="172.18.0.3:9092"),
    Met(
        67,
        "listeners",
        "KD302",
        ["localhost:49153"],
        names={"localhost": [LOCAL]},
        closed=[f"{LOCAL}:49153"],
        door="172.17.0.1:49153",
    ),
    Met(
        68,
        "listeners",
        "KD305",
        ["127.0.0.1:9093"],
        door=f"{LOCAL}:53412",
        closed=["127.0.0.1:9093"],
    ),
    Met(69, "listeners", "KD102", ["k1.corp.example.com:9092"],
        names={"k1.corp.example.com": DNS_FAILS}),
    Met(
        70,
        "bootstrap",
        "KD106",
        ["localhost:9093"],
        door="localhost:9093",
        names={"localhost": ["::1", LOCAL]},
        closed=["::1:9093"],
        others={f"{LOCAL}:9093": 1},
    ),
    Met(
        71,
        "bootstrap",
        "KD106",
        ["localhost:9092"],
        door="localhost:9092",
        names={"localhost": ["::1", LOCAL]},
        closed=["::1:9092"],
        others={f"{LOCAL}:9092": 1},
    ),
    Met(
        72,
        "listeners",
        "KD302",
        ["localhost:9092"],
        door="172.28.0.2:9092",
        names={"localhost": [LOCAL]},
        closed=[f"{LOCAL}:9092"],
    ),
    Met(73, "bootstrap", "KD104", door="172.17.0.5:9092", nobody=True),
    # G. Protocol, login, behaviour.
    Met(81, "produce", "KD402", [f"{EC2}:9092"], narrow=True),
    Met(82, "consume", "KD901", [f"{EC2}:9092"], offsets_factor=3, group="billing"),
    Met(
        83,
        "metadata",
        "KD207",
        [f"{EC2}:9092"],
        control=_partition(-1, [2], [2], LISTENER_NOT_FOUND),
        topic="orders",
    ),
    Met(84, "listeners", "KD303", ["0.0.0.0:9092"]),
    Met(85, "metadata", "KD201", [f"{EC2}:9092"], control=_mute),
    # TLS and logins.
    Met(
        21,
        "bootstrap",
        "KD113",
        door="10.132.131.34:32100",
        shows=_for("my-cluster-kafka-bootstrap.kafka.svc"),
        properties=SSL,
        says="my-cluster-kafka-bootstrap.kafka.svc",
    ),
    Met(
        22,
        "bootstrap",
        "KD113",
        door="strimzi-kafka-0.strimzi-kafka-brokers.kafka.svc.cumulus-k8s:9093",
        names={"strimzi-kafka-0.strimzi-kafka-brokers.kafka.svc.cumulus-k8s": ["10.1.2.3"]},
        others={"10.1.2.3:9093": 1},
        shows=_for("strimzi-kafka-0.strimzi-kafka-brokers.kafka.svc.cluster.local"),
        properties=SSL,
    ),
    Met(
        23,
        "bootstrap",
        "KD113",
        door="kafka.example.com:443",
        names={"kafka.example.com": [EC2]},
        others={f"{EC2}:443": 1},
        shows=_for("my-cluster-kafka-bootstrap.kafka.svc"),
        properties=SSL,
    ),
    Met(
        25,
        "bootstrap",
        "KD112",
        door="10.16.28.206:443",
        shows=made(name(cn="NGINXIngressController")),
        properties=SSL,
        says="F5's NGINX ingress controller",
    ),
    Met(
        26,
        "bootstrap",
        "KD112",
        door=f"{EC2}:443",
        shows=made(name(o="Acme Co", cn="Kubernetes Ingress Controller Fake Certificate")),
        properties=SSL,
        says="--enable-ssl-passthrough",
    ),
    Met(
        27,
        "bootstrap",
        "KD118",
        properties={
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", **BOB
        },
    ),
    Met(
        28,
        "bootstrap",
        "KD119",
        mechanisms=("SCRAM-SHA-256", "SCRAM-SHA-512"),
        properties={"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", **BOB},
        says="SCRAM-SHA-512",
    ),
    Met(
        29,
        "bootstrap",
        "KD309",
        door="my-cluster-kafka-bootstrap.kafka.svc:9091",
        names={"my-cluster-kafka-bootstrap.kafka.svc": ["10.1.2.3"]},
        others={"10.1.2.3:9091": 1},
        shows=_for("my-cluster-kafka-bootstrap.kafka.svc"),
        wants_certificate=True,
        properties={"ssl.truststore.certificates": AUTHORITY},
    ),
    Met(
        46,
        "bootstrap",
        "KD112",
        door="10.1.2.3:9092",
        shows=made(
            x509.Name([]), name(o="cluster.local"), uris=["spiffe://cluster.local/ns/k/sa/kafka"]
        ),
        wants_certificate=True,
        says="service mesh",
    ),
    Met(54, "bootstrap", "KD110", door=f"{EC2}:9094", shows=_for(EC2), properties=PLAINTEXT),
    Met(
        55,
        "bootstrap",
        "KD113",
        door="kafka.example.com:9094",
        names={"kafka.example.com": ["10.20.1.5"]},
        others={"10.20.1.5:9094": 1},
        shows=_for("*.demo.abc123.c2.kafka.us-east-1.amazonaws.com"),
        properties=SSL,
    ),
    Met(59, "bootstrap", "KD121", door=f"{EC2}:9092", hangs_up=True, properties=SSL),
    Met(74, "bootstrap", "KD110", door=f"{EC2}:9093", shows=_for(EC2), properties=PLAINTEXT),
    Met(75, "bootstrap", "KD111", properties=SSL),
    Met(76, "bootstrap", "KD117", mechanisms=("PLAIN",), properties=PLAINTEXT, says="PLAIN"),
    Met(
        77,
        "bootstrap",
        "KD110",
        shows=_for(EC2),
        mechanisms=("PLAIN",),
        properties=PLAINTEXT,
    ),
)  # fmt: skip


def _pair(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def _build(world: World, met: Met) -> None:
    world.names.update(met.names)
    world.cluster.offsets_factor = met.offsets_factor
    if met.group:  # whose topic of offsets could not be created
        world.cluster.roles.coordinator = None
    if met.narrow:
        world.narrow.add(_pair(met.door)[0])
    for node, text in enumerate(met.advertised, start=1):
        world.cluster.nodes.append(FakeNode(node, *_pair(text)))
    places = dict(met.others)
    if not (met.nobody or met.hangs_up) and not met.names.get(_pair(met.door)[0]):
        places.setdefault(met.door, 1)
    for text, node in places.items():
        apis = CONTROLLER_APIS if node < 0 else BROKER_APIS
        logins = Logins({"bob": "secret"}, met.mechanisms) if met.mechanisms else None
        broker = FakeBroker(world.cluster, abs(node), control=met.control, apis=apis, sasl=logins)
        await world.broker(*_pair(text), broker, tls=_tls(met))
    if met.hangs_up:
        await world.server(*_pair(met.door), lambda reader, writer: writer.close())
    for text in met.closed:
        world.closed(*_pair(text))


def _tls(met: Met) -> ssl.SSLContext | None:
    if not met.shows:
        return None
    context = showing(met.shows)
    if met.wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=AUTHORITY)
    return context


async def _walked(met: Met) -> Report:
    world = World()
    try:
        await _build(world, met)
        asked = settings(
            met.door,
            topic=met.topic,
            group=met.group,
            timeout=met.timeout,
            answer_timeout=met.timeout,
            properties=met.properties,
        )
        return await walk(asked, world.net, lambda hop, summary: None)
    finally:
        await world.end()


@cache
def reports() -> dict[int, Report]:
    """Every row, walked: some at once, as silence costs a timeout, and not all, as they would keep
    each other from the processor for as long."""

    async def all_of_them() -> list[Report]:
        gate = asyncio.Semaphore(2 * AT_ONCE)

        async def one(met: Met) -> Report:
            async with gate:
                return await _walked(met)

        return await asyncio.gather(*map(one, FIELD))

    return {met.number: r for met, r in zip(FIELD, asyncio.run(all_of_them()), strict=True)}


@pytest.mark.xdist_group("field")  # they are walked once
@pytest.mark.parametrize("met", FIELD, ids=lambda met: str(met.number))
def test_it_is_named(met: Met) -> None:
    report = reports()[met.number]
    found = {(str(finding.hop), finding.code): finding for finding in report.findings}

    assert (met.hop, met.code) in found, [f"{f.hop} {f.code} {f.message}" for f in report.findings]
    named = found[met.hop, met.code]
    assert named.consequence_of is None
    assert report.findings[0] is named
    if named.severity == "error":
        assert (report.failing_hop, report.root_cause) == (met.hop, met.code)
    assert met.says in f"{named.message} {named.evidence} {named.remedies}"
    if met.proven:
        assert any(met.proven in line and "would work" in line for line in named.evidence)


PAGE = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
ROW = re.compile(
    r"^\| (\*\*)?(\d+)(?:\*\*)? \| [^|]+ \| [^|]+ \| (KD\d+|–: [^|]+)[^|]* \|$", re.MULTILINE
)


def rows() -> dict[int, tuple[bool, str]]:
    """The page's rows by their numbers: whether it says that it is walked, and its first word."""
    found = ROW.findall(PAGE.read_text("utf-8"))
    assert len(found) == len({number for _, number, _ in found})
    return {int(number): (bool(bold), code) for bold, number, code in found}


def test_the_page_has_every_number_and_names_nearly_all() -> None:
    assert sorted(rows()) == list(range(1, 86))
    assert sum(code.startswith("KD") for _, code in rows().values()) >= 82


def test_the_page_says_what_is_walked_and_what_comes_of_it() -> None:
    walked = {number: code for number, (bold, code) in rows().items() if bold}

    assert walked == {met.number: met.code for met in FIELD}
    assert len(walked) == len(FIELD)
