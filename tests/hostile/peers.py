"""Peers that mean harm: what they may say, and worlds full of them, the same for the same seed."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from kdiag.api import walk
from kdiag.config.settings import Settings, settings
from kdiag.demo.broker import (
    BROKER_APIS,
    CONTROLLER_APIS,
    HANG_UP,
    SILENCE,
    FakeBroker,
    FakeCluster,
    FakeNode,
)
from kdiag.demo.certificates import Authority, server_context
from kdiag.demo.logins import Logins
from kdiag.demo.world import CLUSTER_ID, PORT, PRIVATE, PUBLIC, Serve, World, endpoint
from kdiag.kafka.codec import Array, Blob, Number, Struct, Type
from kdiag.kafka.messages import Request, encode_response
from kdiag.report.model import Report
from tests import peers

ESCAPES = "\x1b[31m\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7f"
RIGHT_TO_LEFT = "kafka\u202egro.live\u2066\u200f\u061c"
LINES = "a\nb\r\nroot cause: KD999\u2028c\u2029d\x85e\x0b\x0cf"
NUL = "kafka\0.example.com"
MARKUP = "[red]kafka[/red][link=https://evil.example]x[/link] {who} {0} %s"
UNSEEN = "kafka\u200b\ufeff\u00ad\u2063.example.com"
SHELL = ("$(touch PWNED)", "`touch PWNED`", "x;touch PWNED", "x'\"';touch PWNED;'", "x|touch PWNED")
FILES = (
    "x\ntouch PWNED",
    "x #PWNED",
    "!!python/object/apply:os.system [PWNED]",
    "{PWNED: 1}",
    "*PWNED",
    '"PWNED',
    "x: PWNED",
    "x\\\nPWNED=1",
    "x\\u000aPWNED=1",
    "- PWNED",
)
LONG = "k" * 30_000

NASTY = (ESCAPES, RIGHT_TO_LEFT, LINES, NUL, MARKUP, UNSEEN, *SHELL, *FILES, LONG)

TIMEOUT, LONGEST = 0.2, 30.0  # seconds: for one dial, and for a walk
TOPIC = "orders"
NAMED = "broker.example.com"

_NUMBERS = (-(2**31), -2, -1, 0, 1, 2, 3, 4, 9094, 65535, 65536, 2**31 - 1)
_ERRORS = (-1, 0, 0, 0, 3, 5, 29, 31, 33, 34, 35, 42, 58, 72, 87, 9999)
_KEYS = (0, 3, 17, 18, 32, 36, 52, 60, 62)
_HOSTS = (*PUBLIC, *PRIVATE, NAMED, "localhost", "", "0.0.0.0", "::1", "fe80::1%9", "10.0.0.1%x")
_TEXTS = (*_HOSTS, *NASTY, TOPIC, CLUSTER_ID, "1", "2", "PLAIN", "SCRAM-SHA-256", "GSSAPI")
_WORDS = (
    *_TEXTS,
    "Unexpected broker id, expected 2 or empty string, but received 1",
    "Unexpected broker id, expected 9999999999 or empty string, but received 1",
)
_STRANGERS = (
    peers.HTTP,
    peers.SSH,
    peers.TLS_ALERT,
    b"-ERR \x1b[31m\r\n",
    b"HTTP/1.1 200 OK\r\nServer: \x1b]0;x\x07\r\n\r\n",
    b"",
    b"\x16\x03\x03\x40\x00",
    b"E\0\0\x10\0SFATAL\0C\0M\x1b[2J\0",
)
_LOGINS: tuple[dict[str, str], ...] = (
    {"sasl.mechanism": "PLAIN", "sasl.username": "bob", "sasl.password": "bob-secret"},
    {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "bob", "sasl.password": "bob-secret"},
    {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "bob", "sasl.password": "wrong"},
    {"sasl.mechanism": "OAUTHBEARER", "kdiag.oauthbearer.token": "e30.e30.c2ln"},
)
_CHALLENGES = (b"", b"e=other-error", b"v=AAAA", b"r=x,s=AAAA,i=4096", b'{"status":"\x1b"}', b"\0")


def value(rng: random.Random, kind: Type, version: int, name: str = "") -> Any:
    """Any value of a type, more often one that leads somewhere."""
    if isinstance(kind, Struct):
        fields = (field for field in kind.fields if version >= field[2])
        return {name: value(rng, inner, version, name) for name, inner, _ in fields}
    if isinstance(kind, Array):
        return [value(rng, kind.item, version, name) for _ in range(rng.choice((0, 1, 1, 2, 3, 9)))]
    if isinstance(kind, Blob):
        if kind.nullable and rng.random() < 0.2:
            return None
        if kind.text:
            return rng.choice(_WORDS).encode("utf-8", "replace")[: rng.choice((3, 40, 30000))]
        return rng.choice((*_CHALLENGES, rng.randbytes(rng.randrange(40))))
    assert isinstance(kind, Number)
    if kind.format == ">?":
        return rng.random() < 0.5
    chosen = rng.choice(_KEYS if name == "api_key" else _ERRORS if "error" in name else _NUMBERS)
    bits = 8 * struct.calcsize(kind.format)
    return (chosen + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def answers(rng: random.Random, wild: float) -> Callable[[Request], Any]:
    """A broker's control that answers as usual, but for a part of the requests: `wild`."""

    def control(request: Request) -> Any:
        if rng.random() >= wild:
            return None
        pick = rng.random()
        if pick < 0.1:
            return rng.choice((SILENCE, HANG_UP))
        if pick < 0.2:
            return rng.choice((*_STRANGERS, rng.randbytes(rng.randrange(64))))
        body = value(rng, request.api.response, request.version)
        frame = encode_response(request.api, request.version, request.correlation, body)
        if pick < 0.7:
            return frame
        return _mutated(rng, frame)

    return control


def _mutated(rng: random.Random, frame: bytes) -> bytes:
    """A frame with some of its bytes changed, lost or doubled, its length among them."""
    changed = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        if rng.random() < 0.5:
            changed[at : at + 1] = rng.choice(
                (b"\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff")
            )
        elif rng.random() < 0.5:
            del changed[at : at + rng.randint(1, 8)]
        else:
            changed[at:at] = rng.randbytes(rng.randint(1, 8))
    if rng.random() < 0.7 and len(changed) > 4:  # a length that fits: the rest of it is read then
        changed[:4] = struct.pack(">i", len(changed) - 4)
    return bytes(changed)


@lru_cache(maxsize=1)
def _tls() -> Sequence[ssl.SSLContext]:
    """Servers of TLS: with names that fit, with others, and one that wants to know the client."""
    authority = Authority("fuzz-ca")
    good = authority.issue("broker", [*PUBLIC, NAMED])
    odd = authority.issue("\x1b[31m\u202e", ["*.example.com"], days=-1)
    return server_context(good), server_context(odd), server_context(good, authority)


async def _peopled(rng: random.Random, world: World) -> None:
    """Brokers that may say anything, at some of the addresses that they advertise."""
    wild = rng.choice((0.03, 0.1, 0.3, 0.9))
    world.cluster = FakeCluster(
        CLUSTER_ID, topics={TOPIC: [rng.choice((1, 2, 3, -1)) for _ in "abc"]}
    )
    world.names[NAMED] = rng.choice(([PUBLIC[0]], ["::1", PUBLIC[1]], -2, -3))
    sasl = Logins({"bob": "bob-secret"}) if rng.random() < 0.3 else None
    tls = rng.choice(_tls()) if rng.random() < 0.2 else None
    for node in (1, 2, 3):
        host = PUBLIC[node - 1] if rng.random() < 0.6 else rng.choice(_TEXTS)[:2000]
        port = PORT if rng.random() < 0.8 else rng.choice(_NUMBERS)
        world.cluster.nodes.append(FakeNode(node, host, port))
        what = rng.random()
        at = PUBLIC[node - 1], PORT
        if what < 0.8 or node == 1:
            broker = FakeBroker(world.cluster, node, answers(rng, wild), _table(rng), sasl=sasl)
            muted = rng.choice((0, 0, 0, 0, 1, 2**31 - 1))
            broker.quota = lambda _, muted=muted: muted  # type: ignore[misc]
            world.brokers[node] = await world.broker(*at, broker, tls)
        elif what < 0.9:
            await world.server(*at, _stranger(rng))
        else:
            world.closed(*at)


def _table(rng: random.Random) -> Mapping[int, tuple[int, int]]:
    """A broker's table of ApiVersions, now and then one that no broker has."""
    pick = rng.random()
    if pick < 0.05:
        return CONTROLLER_APIS
    if pick < 0.8:
        return BROKER_APIS
    ends = (-1, 0, 0, 1, 2, 3, 4, 7, 99)
    odd = {key: (rng.choice(ends), rng.choice(ends)) for key in _KEYS if rng.random() < 0.9}
    return {**odd, 18: (0, 3)}


def _stranger(rng: random.Random) -> Serve:
    said = rng.choice(_STRANGERS)
    kinds: Sequence[Serve] = (
        peers.silent,
        peers.hangs_up,
        peers.hangs_up_when_asked,
        peers.resets,
        peers.resets_in_the_middle,
        peers.says(said),
        peers.says_and_hangs_up(said),
        peers.greets(said),
        peers.drips(said, 0.01),
        peers.floods(said),
    )
    return rng.choice(kinds)


def _asked(rng: random.Random) -> Settings:
    protocol = rng.choice(("", "", "", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"))
    given = {"security.protocol": protocol} if protocol else {}
    if protocol.startswith("SASL") or (not protocol and rng.random() < 0.4):
        given.update(rng.choice(_LOGINS))
    one, two, named = endpoint(), endpoint(PUBLIC[1]), endpoint(NAMED)
    return settings(
        rng.choice((one, one, f"{one},{two}", named)),
        topic=TOPIC if rng.random() < 0.4 else None,
        timeout=TIMEOUT,
        answer_timeout=TIMEOUT,
        deadline=rng.choice((0.1, 20.0, 20.0, 20.0)),
        properties=given,
        mapped=[f"{PRIVATE[0]}={PUBLIC[0]}"] if rng.random() < 0.2 else [],
        fail_on=rng.choice(("error", "warning")),
    )


async def fuzzed(rng: random.Random) -> Report:
    """One walk in a world that is random through and through."""
    world = World()
    try:
        await _peopled(rng, world)
        walking = walk(_asked(rng), world.net, lambda hop, summary: None)
        return await asyncio.wait_for(walking, LONGEST)
    finally:
        await world.end()
