"""No secret of a configuration comes out: in no format, on no stream, whatever happens."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import os
import signal
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from kdiag.api import walk
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import UsageError, settings
from kdiag.demo.broker import HANG_UP, SILENCE
from kdiag.demo.logins import Logins
from kdiag.demo.world import CLUSTER_ID, PUBLIC, World, WorldDialer, endpoint
from kdiag.kafka.messages import API_VERSIONS, METADATA, PRODUCE, SASL_AUTHENTICATE, Request
from kdiag.network.attempt import TEXT_LIMIT
from kdiag.report.model import Report
from kdiag.report.render import RENDERERS
from kdiag.walk.runner import Observer
from tests import walks
from tests.running import ENOUGH, Brokers, environment, kdiag, on_terminal, started

PASSWORD, TOKEN = "Wonder&land/7+secret", "tok3n-of-nobody-else"
CLIENT_SECRET, KEY_PASSWORD = "0auth client $ecret", "key=pass:word"
CA = trustme.CA()
OWN = CA.issue_cert("client")
KEY = OWN.private_key_pem.bytes().decode()
SECRETS = (PASSWORD, TOKEN, CLIENT_SECRET, KEY_PASSWORD, *KEY.splitlines()[1:-1])

PLAIN = Sasl("PLAIN", "alice", PASSWORD)
TLS = Tls(certificate=OWN.cert_chain_pems[0].bytes().decode(), key=KEY, key_password=KEY_PASSWORD)
ALL = Security(
    "SASL_PLAINTEXT",
    TLS,
    PLAIN._replace(token=TOKEN, client_secret=CLIENT_SECRET),
)


def spelt(secret: str) -> tuple[str, ...]:
    """As it is, and as it may travel."""
    raw = secret.encode()
    plain = base64.b64encode(b"\0alice\0" + raw).decode()
    return (secret, quote(secret, safe=""), base64.b64encode(raw).decode(), plain, raw.hex())


def leaked(text: str) -> list[str]:
    return [secret for secret in SECRETS if any(form in text for form in spelt(secret))]


def refusing(_: Request) -> Any:
    """A broker that tells the password to everybody who reads error messages."""
    if _.api is not SASL_AUTHENTICATE:
        return None
    said = f"wrong: {_.body['auth_bytes'].decode()} {PASSWORD} for alice"
    return {"error_code": 58, "error_message": said, "auth_bytes": b"", "session_lifetime_ms": 0}


def fails(_: Request) -> Any:
    return SILENCE if _.api is METADATA else None


def hangs_up(request: Request) -> Any:
    return HANG_UP if request.api is API_VERSIONS else None


Build = Callable[[World], Any]


async def refused(world: World) -> None:
    await world.three(sasl=Logins({"alice": PASSWORD}))
    for broker in world.brokers.values():
        broker.control = refusing


async def accepted(world: World) -> None:
    await world.three(sasl=Logins({"alice": PASSWORD}))


async def no_sasl(world: World) -> None:
    await world.three()


async def other_mechanism(world: World) -> None:
    await world.three(sasl=Logins({}, mechanisms=("SCRAM-SHA-256",)))


async def silent(world: World) -> None:
    await world.three(sasl=Logins({"alice": PASSWORD}))
    for broker in world.brokers.values():
        broker.control = fails


async def closed(world: World) -> None:
    await world.three()
    for broker in world.brokers.values():
        broker.control = hangs_up


async def nobody(_: World) -> None:
    return


OUTCOMES: dict[str, Build] = {
    build.__name__: build
    for build in (refused, accepted, no_sasl, other_mechanism, silent, closed, nobody)
}


def unobserved(hop: str, summary: str | None) -> None:
    """Nobody watches."""


def report(
    build: Build,
    security: Security = ALL,
    net: type[WorldDialer] = WorldDialer,
    observe: Observer = unobserved,
) -> Report:
    async def run() -> Report:
        world = World()
        await build(world)
        try:
            asked = settings(endpoint(), timeout=1.0, answer_timeout=1.0)._replace(
                security=security
            )
            return await walk(asked, lambda _: net(world, asked), observe)
        finally:
            await world.end()

    return asyncio.run(run())


@pytest.mark.parametrize("name", OUTCOMES)
def test_no_report_has_one(name: str) -> None:
    made = report(OUTCOMES[name])
    assert leaked(repr(made)) == []
    for form in RENDERERS:
        assert leaked(walks.shown(made, form)) == [], form


def test_the_password_was_really_told_back() -> None:
    """What the test above rests on: the broker's words are shown, without the password."""
    made = report(refused)
    assert made.root_cause == "KD120"
    assert "wrong: " in walks.shown(made)
    assert "***" in walks.shown(made)


ENCODED: dict[str, Callable[[bytes], str]] = {
    "the whole message": lambda said: base64.b64encode(said).decode(),
    "the message after a byte": lambda said: base64.b64encode(b"x" + said).decode(),
    "the password": lambda _: base64.b64encode(PASSWORD.encode()).decode(),
    "for a URL": lambda said: base64.urlsafe_b64encode(said).decode(),
    "a URL": lambda _: f"https://idp/?u=alice&p={quote(PASSWORD, safe='')}",
    "a path": lambda _: f"https://idp/{quote(PASSWORD)}",
    "hex": lambda said: said.hex(),
    "JSON": lambda said: json.dumps({"said": said.decode()}),
    "letter by letter": lambda _: "\0".join(PASSWORD),
    "cut at the end of what is kept": lambda _: "x " * (TEXT_LIMIT // 2 - 10) + PASSWORD,
}
# The beginning of it, as it may be left in front of a cut.
BEGINNING = PASSWORD[:6]


@pytest.mark.parametrize("name", ENCODED)
def test_nor_in_another_spelling(name: str) -> None:
    def echo(request: Request) -> Any:
        if request.api is not SASL_AUTHENTICATE:
            return None
        said = f"wrong: {ENCODED[name](request.body['auth_bytes'])}"
        return {
            "error_code": 58, "error_message": said, "auth_bytes": b"", "session_lifetime_ms": 0
        }  # fmt: skip

    async def echoing(world: World) -> None:
        await refused(world)
        for broker in world.brokers.values():
            broker.control = echo

    made = report(echoing)
    assert made.root_cause == "KD120"
    for form in RENDERERS:
        text = walks.shown(made, form)
        assert leaked(text) == []
        assert BEGINNING not in text
        if form != "openmetrics":  # which has no words
            assert "wrong: " in text
            assert "***" in text


def named(spell: Callable[[str], str]) -> Build:
    """Brokers that were told the password, and give it for a name to whoever asks."""

    async def build(world: World) -> None:
        await accepted(world)
        host = "".join(char if char.isalnum() else "-" for char in spell(PASSWORD))
        world.cluster.id = spell(PASSWORD)
        world.cluster.nodes[1] = replace(world.cluster.nodes[1], host=f"{host}.example.com")
        world.names[f"{host}.example.com"] = [PUBLIC[1]]

    return build


NAMED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in another case": str.upper,
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("spell", NAMED.values(), ids=NAMED)
def test_nor_as_a_name_that_a_broker_gives(spell: Callable[[str], str]) -> None:
    seen: list[str | None] = []
    made = report(named(spell), observe=lambda hop, summary: seen.append(summary))
    assert made.cluster and len(made.cluster.brokers) == 3
    assert made.cluster.id and made.cluster.id.startswith("***")
    assert any("***" in (summary or "") for summary in seen)
    for text in (*(walks.shown(made, form) for form in RENDERERS), repr(made), repr(seen)):
        assert leaked(text) == []
        assert spell(PASSWORD) not in text
        assert "".join(filter(str.isalnum, spell(PASSWORD))).lower() not in text.lower()


def test_a_password_that_is_a_common_word_takes_nothing_with_it() -> None:
    """It is hidden where it stands alone, and what rules go by is as it was."""
    word = "none"
    plain = ALL._replace(sasl=Sasl("PLAIN", "alice", word))

    async def build(world: World) -> None:
        await world.three(sasl=Logins({"alice": word}))

    made = report(build, plain)
    assert (made.verdict, made.root_cause) == ("warn", None)
    assert made.cluster and made.cluster.id == CLUSTER_ID


async def untrusted(world: World) -> None:
    await world.three(tls=served(trustme.CA()), sasl=Logins({"alice": PASSWORD}))


async def expired(world: World) -> None:
    await world.three(tls=served(CA, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)))


async def a_client_of_their_own(world: World) -> None:
    context = served(CA)
    context.verify_mode = ssl.CERT_REQUIRED
    trustme.CA().configure_trust(context)
    await world.three(tls=context, sasl=Logins({"alice": PASSWORD}))


def served(ca: trustme.CA, until: datetime.datetime | None = None) -> ssl.SSLContext:
    """What a server shows that is certified by that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begin = until and until - datetime.timedelta(days=9)
    ca.issue_cert(PUBLIC[0], not_before=begin, not_after=until).configure_cert(context)
    return context


TLS_FAILURES: dict[str, tuple[Build, str]] = {
    "another authority": (untrusted, "KD112"),
    "expired": (expired, "KD114"),
    "our certificate refused": (a_client_of_their_own, "KD115"),
    "no TLS there": (accepted, "KD111"),
}


@pytest.mark.parametrize(("build", "code"), TLS_FAILURES.values(), ids=TLS_FAILURES)
def test_nor_when_tls_fails(build: Build, code: str) -> None:
    tls = TLS._replace(ca=CA.cert_pem.bytes().decode())
    made = report(build, ALL._replace(protocol="SASL_SSL", tls=tls))
    assert made.root_cause == code
    assert leaked(repr(made)) == []
    for form in RENDERERS:
        assert leaked(walks.shown(made, form)) == [], form


class Broken(WorldDialer):
    """A network that fails as none should, and says too much."""

    async def open(self, *_: Any) -> Any:
        raise RuntimeError(f"cannot log in with {PASSWORD}, {quote(CLIENT_SECRET)} or {TOKEN}")


def test_nor_in_a_failure_of_our_own() -> None:
    made = report(accepted, net=Broken)
    assert made.root_cause == "KD001"
    for form in RENDERERS:
        assert leaked(walks.shown(made, form)) == []
    assert "cannot log in with ***, *** or ***" in walks.shown(made)


def test_nor_where_the_command_itself_fails(tmp_path: Path) -> None:
    """A library that breaks as it is loaded, with a secret in its words."""
    (tmp_path / "rich.py").write_text(
        "import os\nraise RuntimeError(os.environ['KDIAG_X_SASL_PASSWORD'])"
    )
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}"
    done = kdiag("demo", "not-kafka", PYTHONPATH=path, KDIAG_X_SASL_PASSWORD=PASSWORD)
    assert done.returncode == 1
    assert leaked(done.stdout + done.stderr) == []
    assert done.stderr.strip() == "kdiag: failed itself: RuntimeError at rich.py:2"


def test_the_check_can_fail() -> None:
    assert leaked(f"x{PASSWORD}x") == [PASSWORD]
    assert leaked(quote(CLIENT_SECRET, safe="")) == [CLIENT_SECRET]
    assert leaked(base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()) == [PASSWORD]


def test_no_value_shows_one() -> None:
    asked = settings("a:1")._replace(security=ALL)
    for value in (asked, ALL, ALL.tls, ALL.sasl):
        assert leaked(repr(value)) == []
        assert leaked(str(value)) == []


JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'username="alice" password="{PASSWORD}";'
)
# A line of a file of properties that is wrong, each in another way, beside what is secret.
WRONG: Mapping[str, str] = {
    "no end of the login module": f"sasl.jaas.config={JAAS[:-1]}",
    "two mechanisms": f"sasl.mechanism=PLAIN\nsasl.mechanisms=GSSAPI\nsasl.password={PASSWORD}",
    "a key that is none": f"ssl.key.pem={KEY_PASSWORD}\nssl.certificate.pem={KEY_PASSWORD}",
    "a store that is not there": (
        f"ssl.keystore.location=/nonexistent.p12\nssl.keystore.password={KEY_PASSWORD}"
    ),
    "an unknown protocol": f"security.protocol={PASSWORD}",
    "an unknown mechanism": f"sasl.mechanism={PASSWORD}",
    "a broken token": "sasl.mechanism=OAUTHBEARER\nsecurity.protocol=SASL_SSL\n"
    f"kdiag.oauthbearer.token={CLIENT_SECRET}",
    "an odd endpoint": "sasl.mechanism=OAUTHBEARER\nsecurity.protocol=SASL_SSL\n"
    f"sasl.oauthbearer.token.endpoint.url=ftp://u:{PASSWORD}@h\n"
    f"sasl.oauthbearer.client.id=a\nsasl.oauthbearer.client.secret={CLIENT_SECRET}",
    "a mistyped name": f"sasl.pasword={PASSWORD}",
    "a password for a name": f"{PASSWORD}=sasl.password",
    "a server with a password": f"bootstrap.servers=SASL_SSL://alice:{PASSWORD}@kafka:9092",
}


@pytest.mark.parametrize("name", WRONG)
def test_no_error_repeats_one(name: str) -> None:
    text = f"bootstrap.servers=127.0.0.1:1\n{WRONG[name]}"
    said = ""
    try:
        asked = settings(None, from_file=parse_properties(text))
        said = " ".join(asked.notes)
    except UsageError as error:
        said = str(error)
    assert leaked(said) == []


LOGIN = ("-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=PLAIN",
         "-X", "sasl.username=alice")  # fmt: skip


@pytest.fixture
def telling(brokers: Brokers) -> Brokers:
    """Brokers with a login, whose cluster is named like the password."""
    brokers.three(sasl=Logins({"alice": PASSWORD}))
    brokers.cluster.id = f"the password is {PASSWORD}"
    return brokers


def test_nor_while_the_walk_is_watched_on_a_terminal(telling: Brokers) -> None:
    """It takes so long that there is something to watch."""
    telling.brokers[3].control = lambda request: SILENCE if request.api is PRODUCE else None
    asked = ("check", telling.bootstrap, *LOGIN, "--answer-timeout", "3")
    out, err = on_terminal(*asked, KDIAG_X_SASL_PASSWORD=PASSWORD)
    assert "cluster the password is ***" in out
    assert "cluster the password is ***" in err
    assert leaked(out + err) == []


def test_nor_when_it_is_interrupted(telling: Brokers, tmp_path: Path) -> None:
    here, patient = threading.Event(), ("--timeout", "600", "--deadline", "600")

    def hanging(_: Request) -> object:
        here.set()
        return SILENCE

    telling.brokers[3].control = hanging
    files = {form: tmp_path / form for form in RENDERERS}
    outputs = [part for form, file in files.items() for part in ("-o", f"{form}={file}")]
    env = environment(KDIAG_X_SASL_PASSWORD=PASSWORD)
    asked = ("check", telling.bootstrap, *LOGIN, *patient, "-o", "terminal", *outputs)
    with started(*asked, env=env) as process:
        assert here.wait(ENOUGH)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130, err
    assert "cluster the password is ***" in out
    for text in (out, err, *(file.read_text("utf-8") for file in files.values())):
        assert leaked(text) == []
        assert "Traceback" not in text


FILES: dict[str, str] = {
    "for Java": "ssl.keystore.type=PEM\nssl.keystore.location={identity}\n"
    "ssl.key.password={password}\nssl.truststore.type=PEM\nssl.truststore.location={ca}\n",
    "for librdkafka": "ssl.certificate.location={identity}\nssl.key.location={identity}\n"
    "ssl.key.password={password}\nssl.ca.location={ca}\n",
}


@pytest.mark.parametrize("right", [True, False], ids=["the right password", "a wrong one"])
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_nor_of_a_file_with_an_encrypted_key(
    brokers: Brokers, tmp_path: Path, text: str, right: bool
) -> None:
    context = served(CA)
    context.verify_mode = ssl.CERT_REQUIRED
    CA.configure_trust(context)
    target = brokers.three(tls=context).bootstrap
    identity, authority, file = (tmp_path / name for name in ("own.pem", "ca.pem", "client"))
    locked = load_pem_private_key(KEY.encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(KEY_PASSWORD.encode())
    )
    identity.write_bytes(locked + OWN.cert_chain_pems[0].bytes())
    authority.write_bytes(CA.cert_pem.bytes())
    password = KEY_PASSWORD if right else CLIENT_SECRET
    given = text.format(identity=identity, ca=authority, password=password)
    file.write_text(f"security.protocol=SSL\nssl.endpoint.identification.algorithm=\n{given}")
    reports = {form: tmp_path / f"report.{form}" for form in RENDERERS}
    outputs = [part for form, path in reports.items() for part in ("-o", f"{form}={path}")]
    done = kdiag("check", target, "-F", str(file), *outputs)
    assert done.returncode == (0 if right else 2), done.stdout + done.stderr
    assert [path.exists() for path in reports.values()] == [right] * len(reports)
    said = [done.stdout + done.stderr, *(r.read_text() for r in reports.values() if right)]
    for text in said:
        assert leaked(text) == []
        assert not any(line in text for line in locked.decode().split()[3:-4])


def test_the_whole_command(brokers: Brokers, tmp_path: Path) -> None:
    """Every place that properties come from, and both streams."""
    target = brokers.three().bootstrap
    path = tmp_path / "client.properties"
    path.write_text(f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n{JAAS}\n")
    runs = [
        kdiag("check", target, "-F", str(path), "-X", f"sasl.password={PASSWORD}"),
        kdiag("check", target, "-X", f"sasl.pasword={PASSWORD}"),
        kdiag("check", target, KDIAG_X_SASL_PASSWORD=PASSWORD, KDIAG_OAUTHBEARER_TOKEN=TOKEN),
        kdiag(
            "check", target, "-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=PLAIN",
            "-X", "sasl.username=alice", "-o", "json", KDIAG_X_SASL_PASSWORD=PASSWORD,
        ),
        kdiag("check", f"alice:{PASSWORD}@kafka:9092"),
    ]  # fmt: skip
    for done in runs:
        assert leaked(done.stdout + done.stderr) == [], done.args
        assert "Traceback" not in done.stderr
    (toml := tmp_path / "kdiag.toml").write_text(
        f'[targets.prod]\nbootstrap = "{target}"\nproperties = '
        f'{{"sasl.password" = "{PASSWORD}", "sasl.mechanism" = 7}}\n'
    )
    done = kdiag("check", "@prod", cwd=toml.parent, PYTHONPATH=str(Path(__file__).parents[1]))
    assert done.returncode == 2
    assert leaked(done.stdout + done.stderr) == []
