"""Feeds kdiag what it reads, spoilt at random: `python -m tests.fuzz --minutes 30`.

Each of TARGETS takes a random source and fails with anything but what it may refuse: an exception
that is not a sentence for the user, an output that a terminal would obey, or too long a time.
`--target NAME` feeds one of them, `--seed N` once more what failed.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from kdiag.api import walk
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.settings import settings
from kdiag.config.targets import names, target
from kdiag.config.usage import UsageError
from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.certificates import Authority, server_context
from kdiag.demo.logins import Logins
from kdiag.demo.world import CLUSTER_ID, PORT, PUBLIC, World, endpoint
from kdiag.kafka.messages import SASL_AUTHENTICATE, Request, encode_response
from kdiag.lint.linter import lint
from kdiag.lint.observed import of_report
from kdiag.lint.render import FORMS
from kdiag.lint.render import render as render_lint
from kdiag.logs import render as log_renderer
from kdiag.logs.explain import explain
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.serialization import SerializationError, serialize
from kdiag.report.judge import judge
from kdiag.report.load import read_any
from kdiag.report.model import Report
from kdiag.report.render import RENDERERS
from kdiag.walk.facts.run import WalkResult
from tests import walks
from tests.hostile.peers import NASTY, fuzzed
from tests.hostile.walking import holds, obeyed
from tests.lab import goldens
from tests.lint.corpus import cases

LONGEST = 5.0  # seconds of a processor's time for one input
TESTS = Path(__file__).parent

WORDS = (
    *(each.encode("utf-8", "replace") for each in NASTY if len(each) < 200),
    *(b"\0", b"\n", b"\r\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\\u0000", b"\\", b'"', b"'", b"''"),
    *(b"9" * 5000, b"-1", b"1e999", b"NaN", b"0x" + b"f" * 40, b"[" * 2000, b"{" * 2000, b"&a *a"),
    *(b"null", b"true", b"${env:X}", b"file:///etc/passwd", b"!!python/object:x", b"<<: *a", b": "),
    *(b"=", b"#", b",", b";", b"://", b"@", b"::", b"%s%n", b"a" * 4000, b" " * 3000, b"\t" * 50),
)


def spoilt(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Some bytes with a few of them changed, lost, doubled, or with something put among them."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, size = rng.randrange(len(found) + 1), rng.choice((1, 1, 2, 8, 64, 400))
        pick = rng.random()
        if pick < 0.2 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif pick < 0.35:
            del found[at : at + size]
        elif pick < 0.5:
            found[at:at] = found[at : at + size] * rng.choice((1, 2, 50))
        elif pick < 0.85:
            found[at : at + rng.choice((0, 0, size))] = rng.choice(WORDS)
        elif pick < 0.95 and others:
            other = rng.choice(others)
            cut = rng.randrange(len(other) + 1)
            found[at : at + size] = other[cut : cut + rng.choice((20, 200, 2000))]
        else:
            found[at:at] = rng.randbytes(size)
    return bytes(found[: 1 << 20])


def text_of(data: bytes) -> str:
    """As a file's bytes become text: it may be in any encoding."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def refused(error: Exception) -> None:
    """What a user is told is one line, and no terminal obeys it once it is printed."""
    assert str(error).strip()


# What peers say.


def wire(rng: random.Random) -> None:
    """Brokers that answer anything."""
    holds(asyncio.run(fuzzed(rng)))


@cache
def _contexts() -> Sequence[object]:
    authority = Authority("fuzz-ca")
    return [server_context(authority.issue("broker", [PUBLIC[0]])), authority.pem]


def tls(rng: random.Random) -> None:
    """A peer of TLS whose records are spoilt on their way, in its handshake or later."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import ssl

        context = _contexts()[0]
        assert isinstance(context, ssl.SSLContext)
        heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = context.wrap_bio(heard, said, server_side=True)
        spoils = rng.random()
        while data := await reader.read(65536):
            heard.write(data)
            with suppress(ssl.SSLError):
                peer.do_handshake()
                peer.read(65536)
                peer.write(rng.randbytes(rng.randrange(200)))
            out = said.read()
            if rng.random() < spoils:
                out = spoilt(rng, out)
            if rng.random() < 0.05:
                out = b"\x16\x03\x03" + rng.randbytes(2) + rng.randbytes(300)
            writer.write(out)
            await writer.drain()

    async def run() -> Report:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: None)
        world = World()
        try:
            await world.server(PUBLIC[0], PORT, served)
            given = {"security.protocol": "SSL"} if rng.random() < 0.7 else {}
            if rng.random() < 0.5:
                given["ssl.ca.pem"] = str(_contexts()[1])
            asked = settings(
                endpoint(), timeout=0.3, answer_timeout=0.3, deadline=3.0, properties=given
            )
            return await walk(asked, world.net, lambda hop, summary: None)
        finally:
            await world.end()

    holds(asyncio.run(run()))


def sasl(rng: random.Random) -> None:
    """A broker whose words in a login are spoilt: SCRAM's, PLAIN's and a token's."""

    def control(request: Request) -> object:
        if request.api is not SASL_AUTHENTICATE or rng.random() < 0.3:
            return None
        asked = bytes(request.body.get("auth_bytes") or b"")
        nonce = asked.rpartition(b"r=")[2]
        said = rng.choice((
            b"r=" + nonce + b"x,s=QSXCR+Q6sek8bf92,i=" + str(rng.choice((1, 4096, 10**9))).encode(),
            b"v=" + rng.randbytes(20), b"e=other-error", b"", rng.randbytes(60),
            b'{"status":"invalid_token","scope":"' + rng.choice(WORDS)[:300] + b'"}',
        ))  # fmt: skip
        body = {
            "error_code": rng.choice((0, 0, 58, 34, -1)),
            "error_message": rng.choice((None, text_of(rng.choice(WORDS)[:300]))),
            "auth_bytes": spoilt(rng, said)[:5000],
            "session_lifetime_ms": rng.choice((0, -1, 2**62)),
        }
        with suppress(Exception):
            return encode_response(request.api, request.version, request.correlation, body)
        return rng.randbytes(40)

    async def run() -> Report:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: None)
        world = World()
        try:
            world.cluster = FakeCluster(CLUSTER_ID, [FakeNode(1, PUBLIC[0], PORT)])
            broker = FakeBroker(world.cluster, 1, control, sasl=Logins({"bob": "bob-secret"}))
            await world.broker(PUBLIC[0], PORT, broker)
            mechanism = rng.choice(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"))
            given = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism}
            given |= (
                {"kdiag.oauthbearer.token": "e30.e30.c2ln"}
                if mechanism == "OAUTHBEARER"
                else {"sasl.username": "bob", "sasl.password": "bob-secret"}
            )
            asked = settings(
                endpoint(), timeout=0.3, answer_timeout=0.3, deadline=3.0, properties=given
            )
            return await walk(asked, world.net, lambda hop, summary: None)
        finally:
            await world.end()

    holds(asyncio.run(run()))


# What files say.

JAAS = (
    b"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n"
    b'  username="bob" password="bob-secret";\nsecurity.protocol=SASL_SSL\n'
    b"sasl.mechanism=SCRAM-SHA-512\nssl.truststore.certificates=-----BEGIN CERTIFICATE-----\\n\n",
    b"sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
    b"username='a\\u0041' password=x serviceName=\"kafka\";\nsasl.mechanism=PLAIN\n",
    b"bootstrap.servers=a:1,[::1]:2\nsecurity.protocol=SSL\nssl.keystore.type=PEM\n"
    b"ssl.key.pem=x\nrequest.timeout.ms=30000\nclient.dns.lookup=use_all_dns_ips\nacks=all\n",
)


def properties(rng: random.Random) -> None:
    """A file of client properties, with JAAS in it."""
    text = text_of(spoilt(rng, rng.choice(JAAS), JAAS))
    try:
        settings("h:1", from_file=parse_properties(text))
    except UsageError as error:
        refused(error)


TOML = (
    b'[targets.prod]\nbootstrap = ["a:1", "b:2"]\ntimeout = 3\nexpect = ["brokers=3"]\n'
    b'[targets.prod.properties]\nsasl.username = "bob"\nsecurity.protocol = "SSL"\n',
    b'[targets."a b"]\nbootstrap = "a:1"\nmap = ["a:1=b:2"]\naws = true\nfail-on = "warning"\n',
)


def toml(rng: random.Random) -> None:
    """A kdiag.toml of the user's own."""
    told = {"XDG_CONFIG_HOME": _folder()}
    Path(_folder(), "kdiag", "kdiag.toml").write_bytes(spoilt(rng, rng.choice(TOML), TOML))
    try:
        for name in names(told)[:5]:
            target(name, told)
    except UsageError as error:
        refused(error)


@cache
def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="kdiag-fuzz-")
    Path(folder, "kdiag").mkdir()
    return folder


@cache
def _corpus() -> Sequence[tuple[str, bytes]]:
    return [(case.name, case.text.encode()) for case in cases()]


def configuration(rng: random.Random) -> None:
    """Files that configure Kafka: YAML of each kind, server.properties."""
    name, data = rng.choice(_corpus())
    every = [each for _, each in _corpus()]
    sources = {name: text_of(spoilt(rng, data, every))}
    if rng.random() < 0.3:  # files that belong together
        beside = text_of(spoilt(rng, rng.choice(every), every))
        sources = {"compose.yml": sources[name], "compose.override.yml": beside}
    try:
        report = lint(sources, fix=True)
    except UsageError as error:
        refused(error)
        return
    for form in FORMS:
        stream = io.StringIO()
        render_lint(form, report, stream)
        assert obeyed(stream.getvalue()) <= {"\n"}, form


@cache
def _reports() -> Sequence[bytes]:
    found = [path.read_bytes() for path in sorted((TESTS / "goldens/json").glob("*.json"))]
    found += [
        json.dumps(one.report, indent=2).encode()
        for module in goldens.modules()
        for one in goldens.kept(module).values()
    ]
    return [data for data in found if len(data) < 60_000]


def saved(rng: random.Random) -> None:
    """A report that `kdiag show`, `diff` and `lint --report` read."""
    data = spoilt(rng, rng.choice(_reports()), _reports())
    with suppress(UsageError):
        of_report("report.json", data)
    try:
        report = read_any(data, "report.json")
    except UsageError as error:
        refused(error)
        return
    if isinstance(report, Report):
        for form in RENDERERS:
            assert obeyed(walks.shown(report, form)) <= {"\n"}, form


@cache
def _answer() -> tuple[object, bytes]:
    from tests.remote.test_answer import ASKED, FACTS

    return ASKED, serialize(FACTS)


def far_side(rng: random.Random) -> None:
    """What comes back from elsewhere, whole and through a shell."""
    asked, answer = _answer()
    question = RemoteWalk(asked, "mark")  # type: ignore[arg-type]
    data = spoilt(rng, answer)
    heard = spoilt(rng, b"\nWelcome\nmark %d\n%s\n" % (len(data), data))
    with suppress(SerializationError):
        question.span(heard)
    with suppress(SerializationError):
        question.narrow(text_of(heard))
    try:
        found = question.gathered(data)
    except SerializationError:
        return
    report = judge(asked, WalkResult(found), time.perf_counter())  # type: ignore[arg-type]
    for form in RENDERERS:
        assert obeyed(walks.shown(report, form)) <= {"\n"}, form


@cache
def _logs() -> Sequence[bytes]:
    found = sorted((TESTS / "logs").rglob("*.log"))
    return [path.read_bytes()[:20_000] for path in found]


def logs(rng: random.Random) -> None:
    """A log of a client or a broker."""
    data = spoilt(rng, rng.choice(_logs()), _logs())
    explanation = explain(io.BytesIO(data), "client.log")
    for form in ("terminal", "json"):
        stream = io.StringIO()
        log_renderer.render(form, [explanation], stream)
        assert obeyed(stream.getvalue()) <= {"\n"}, form


TARGETS: Mapping[str, Callable[[random.Random], None]] = {
    "wire": wire,
    "tls": tls,
    "sasl": sasl,
    "properties": properties,
    "toml": toml,
    "configuration": configuration,
    "saved": saved,
    "far-side": far_side,
    "logs": logs,
}


def fed(name: str, seed: int) -> None:
    """One input. Raises what it brought up, and AssertionError where it took too long."""
    begun = time.process_time()
    TARGETS[name](random.Random(f"{name} {seed}"))
    took = time.process_time() - begun
    assert took < LONGEST, f"{took:.1f} s"


def main() -> int:
    """Feeds the targets in turn until the time is up; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--seed", type=int, help="this input only")
    asked = parser.parse_args()
    chosen = asked.target or list(TARGETS)
    first = random.randrange(1 << 32) if asked.seed is None else asked.seed
    end = time.monotonic() + 60 * asked.minutes
    count, failed = Counter[str](), Counter[str]()
    seed = first
    while time.monotonic() < end and (asked.seed is None or seed == first):
        for name in chosen:
            # Those that wait for peers get as much time as the others, not as many inputs.
            for at in _share(name, seed, end) if asked.seed is None else [seed]:
                count[name] += 1
                try:
                    fed(name, at)
                except Exception:
                    failed[name] += 1
                    sys.stderr.write(f"--target {name} --seed {at}\n{traceback.format_exc()}\n")
        seed += 1 << 20
    told = ", ".join(f"{name} {count[name]}" for name in chosen)
    sys.stdout.write(f"from seed {first}: {told}; {failed.total()} failed {dict(failed)}\n")
    return 1 if failed else 0


def _share(name: str, seed: int, end: float) -> Iterator[int]:
    until = min(end, time.monotonic() + 5.0)
    while time.monotonic() < until:
        yield seed
        seed += 1


if __name__ == "__main__":
    sys.exit(main())
