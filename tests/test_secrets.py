"""No secret of a configuration comes out: in no format, on no stream, whatever happens."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from kdiag.clients.wire import API_VERSIONS, METADATA, SASL_AUTHENTICATE, Request
from kdiag.demo.broker import HANG_UP, SILENCE
from kdiag.demo.logins import Logins
from kdiag.demo.world import World, WorldNet, endpoint
from kdiag.render import RENDERERS
from kdiag.report import Report
from kdiag.security import Sasl, Security, Tls
from kdiag.settings import UsageError, parse_properties, settings
from kdiag.walk import walk
from tests import walks
from tests.running import Brokers, kdiag

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
    replace(PLAIN, token=TOKEN, client_secret=CLIENT_SECRET),
)


def spelt(secret: str) -> tuple[str, ...]:
    """As it is, and as it may travel."""
    raw = secret.encode()
    plain = base64.b64encode(b"\0alice\0" + raw).decode()
    return (secret, quote(secret, safe=""), base64.b64encode(raw).decode(), plain)


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


def report(build: Build, security: Security = ALL, net: type[WorldNet] = WorldNet) -> Report:
    async def run() -> Report:
        world = World()
        await build(world)
        try:
            asked = replace(settings(endpoint(), timeout=0.5), security=security)
            return await walk(asked, lambda _: net(world, asked), lambda hop, summary: None)
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
}


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
        if form != "openmetrics":  # which has no words
            assert "wrong: " in text
            assert "***" in text


class Broken(WorldNet):
    """A network that fails as none should, and says too much."""

    async def converse(self, *_: Any) -> Any:
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
    asked = replace(settings("a:1"), security=ALL)
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
