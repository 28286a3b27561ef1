"""A secret wherever one can be, also in the wrong place: no error, report, file or child has it."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from kdiag.cli.group import cli
from kdiag.config.endpoint import parse_mapped
from kdiag.config.properties.names import KNOWN
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.redaction import without_userinfo
from kdiag.config.settings import UsageError, parse_property, settings
from kdiag.config.targets import target
from kdiag.config.usage import like
from kdiag.demo.logins import Logins
from kdiag.lint.linter import lint
from kdiag.lint.render import FORMS
from kdiag.lint.render import render as render_lint
from kdiag.remote.vantage import parse_vantage
from kdiag.report.render import RENDERERS
from tests.running import ROOT, Brokers, kdiag

# One with signs, and one that would do for a host, a file, a word of any kind.
SECRETS = ("hunter2/Wonder+land==", "wonderland-hunter2-7")


def spelt(secret: str) -> Iterator[str]:
    """As it is, and as it may travel; of base64, at any offset, what no neighbour changes."""
    raw = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield raw.hex()
    yield raw.hex().upper()
    yield json.dumps(secret)[1:-1]
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode()
        inner = whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


def found_in(text: str, *secrets: str) -> list[str]:
    return [form for secret in secrets for form in spelt(secret) if form in text]


def refusal(given: dict[str, str]) -> str:
    """What is said of properties: the error, or the notes."""
    try:
        return " ".join(settings("127.0.0.1:1", properties=given).notes)
    except UsageError as error:
        return str(error)


def test_the_search_can_fail() -> None:
    for secret in SECRETS:
        for form in spelt(secret):
            assert found_in(f"x{form}x", *SECRETS)
        around = base64.b64encode(f"\0alice\0{secret}".encode()).decode()
        assert found_in(around, secret)


# properties

LOGINS: dict[str, dict[str, str]] = {
    "nothing": {},
    "TLS": {"security.protocol": "SSL"},
    "a password": {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
        "sasl.username": "u", "sasl.password": "p",
    },
    "a token": {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.client.id": "id", "sasl.oauthbearer.client.secret": "s",
        "sasl.oauthbearer.token.endpoint.url": "https://127.0.0.1:9/",
    },
    "stores": {
        "security.protocol": "SSL", "ssl.truststore.location": "t.jks",
        "ssl.keystore.location": "k.p12", "ssl.keystore.password": "p",
    },
    "a ticket": {"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"},
}  # fmt: skip
# An address is shown: what stands in its place is dialled and in every report.
OPEN = {"bootstrap.servers", "metadata.broker.list"}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("beside", LOGINS)
def test_as_the_value_of_any_property(beside: str, secret: str) -> None:
    for name in sorted(KNOWN - OPEN):
        assert not found_in(refusal({**LOGINS[beside], name: secret}), secret), name


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("beside", LOGINS)
def test_as_a_file_that_is_not_there(beside: str, secret: str) -> None:
    for name in sorted(name for name in KNOWN if name.endswith((".location", "keytab"))):
        for text in (secret, f"/{secret}", f"./{secret}", f"file://{secret}"):
            assert not found_in(refusal({**LOGINS[beside], name: text}), secret), name


@pytest.mark.parametrize("secret", SECRETS)
def test_as_the_name_of_a_property(secret: str) -> None:
    assert not found_in(refusal({secret: "x"}), secret)
    for text in (secret, f"{secret}=x", f"{secret}:x", f"sasl.password\n{secret}"):
        file = parse_properties(text)
        assert not found_in(" ".join(settings("h:1", from_file=file).notes), secret)
        with pytest.raises(UsageError) as caught:
            parse_property(text.replace("=", " ").replace(":", " "))
        assert not found_in(str(caught.value), secret)


MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
JAAS = (
    "{}", "{} required;", "x {};", 'x required {}="v";', f"{MODULE} required {{}};",
    f'{MODULE} required username="u" password="{{}}"', f"{MODULE} required password={{}};",
    f'{MODULE} required username="u" password="{{}}" more;',
    f'{MODULE} required username="u" {{}}="x";', f'KafkaClient {{{{ {MODULE} password="{{}}" }}}};',
    'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required scope="{}";',
    'software.amazon.msk.auth.iam.IAMLoginModule required awsRoleArn="{}";',
    'com.sun.security.auth.module.Krb5LoginModule required keyTab="{}" principal="{}`";',
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("line", JAAS)
def test_anywhere_in_a_login_module(line: str, secret: str) -> None:
    for mechanism in ("", "PLAIN", "OAUTHBEARER", "AWS_MSK_IAM", "GSSAPI"):
        given = {"sasl.jaas.config": line.replace("{}", secret).replace("{{", "{")}
        said = refusal({**given, **({"sasl.mechanism": mechanism} if mechanism else {})})
        assert not found_in(said, secret)


# the command line

ARGUMENTS = (
    ("-X", "{}"), ("-X", "{}=x"), ("-X", "sasl.mechanism={}"), ("-X", "security.protocol={}"),
    ("-X", "ssl.key.location={}"), ("-X", "ssl.ca.location={}"), ("-F", "{}"),
    ("--map", "{}"), ("--map", "a={}!"), ("--map", "a={}:b:c"), ("--map", "{}!=a"),
    ("--map", "a=bob:{}"), ("--map", "a=bob:{}@b"), ("--map", "a:{}=b"),
    ("--from", "ssh://bob:{}"), ("--from", "ssh://bob:{}@host:22"), ("--from", "{}"),
    ("--from", "ssh://{}:x"), ("--from", "{}://host"), ("--from", "k8s://{}!"),
    ("--config", "{}"), ("bob:{}",), ("bob:{}@h:1",), ("SASL_SSL://bob:{}@h:1",),
    ("-X", "bootstrap.servers=h:1,bob:{}"),
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_as_an_argument(arguments: tuple[str, ...], secret: str) -> None:
    told = [part.format(secret) for part in arguments]
    server = [] if len(told) == 1 or "bootstrap" in told[-1] else ["h:1"]
    done = CliRunner().invoke(cli, ["check", *server, *told], standalone_mode=False)
    assert done.exception is not None
    said = getattr(done.exception, "message", "") or str(done.exception)
    assert said
    assert not found_in(f"{said} {done.output}", secret)


@pytest.mark.parametrize("secret", SECRETS)
def test_as_one_side_of_a_map_or_a_place(secret: str) -> None:
    for text in (secret, f"a={secret}!", f"{secret}!=a", f"a=[{secret}]:1", f"a=b:{secret}"):
        with pytest.raises(UsageError) as caught:
            parse_mapped(text)
        assert not found_in(str(caught.value), secret)
    for text in (secret, f"ssh://bob:{secret}", f"{secret}://x", f"ssm://{secret}"):
        with pytest.raises(UsageError) as caught:
            parse_vantage(text)
        assert not found_in(str(caught.value), secret)


@pytest.mark.parametrize("secret", SECRETS)
def test_in_a_file_of_targets(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (
        f"{secret}", f"'{secret}' = 1", f"[targets.x]\n'{secret}' = 1", f"[{secret}]",
        f"[targets.x.properties]\n'{secret}' = 1", f"[targets.x]\ntimeout = '{secret}'",
        f"[targets.x]\nfail-on = '{secret}'", f"[targets.x]\naws = '{secret}'",
        f"[targets.x.properties]\nsasl.password = ['{secret}']",
        f"[targets.x]\npassword = {secret}", f"[targets.x]\nproperties = '{secret}'",
    ):  # fmt: skip
        (tmp_path / "kdiag.toml").write_text(text)
        with pytest.raises(UsageError) as caught:
            target("x", {"XDG_CONFIG_HOME": "/nonexistent"})
        assert not found_in(str(caught.value), secret)


def test_what_resembles_the_right_word_is_shown() -> None:
    known = ("PLAIN", "SCRAM-SHA-512")
    assert like("SCRAM-SHA512", known) == "SCRAM-SHA512"
    assert like("plain", known) == "plain"
    assert like("hunter2", known) == "…"
    assert "sasl.mechanism=SCRAM-SHA-521" in refusal({"sasl.mechanism": "SCRAM-SHA-521"})
    assert "-X sasl.pasword: no Kafka client" in refusal({"sasl.pasword": "x"})


# files that configure the cluster

LISTED = "INSIDE://:9092,OUTSIDE://bob:{}@0.0.0.0:9094"
FILES = {
    "server.properties": "listeners={0}\nadvertised.listeners={0}\nnode.id=1\n",
    "compose.yaml": "services:\n  kafka:\n    image: apache/kafka\n    environment:\n"
    "      KAFKA_LISTENERS: {0}\n      KAFKA_ADVERTISED_LISTENERS: {0}\n",
    "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {{name: k}}\nspec:\n  containers:\n"
    "    - name: k\n      image: apache/kafka\n      env:\n"
    "        - {{name: KAFKA_ADVERTISED_LISTENERS, value: '{0}'}}\n"
    "        - {{name: KAFKA_LISTENERS, value: '{0}'}}\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("secret", SECRETS)
def test_in_a_listener_s_url(name: str, form: str, secret: str) -> None:
    text = FILES[name].format(LISTED.format(secret))
    report = lint({name: text}, "error", False, False, None)
    assert report.problems
    stream = io.StringIO()
    render_lint(form, report, stream)
    assert not found_in(stream.getvalue(), secret)
    assert not found_in(repr(report.problems), secret)


def test_what_is_left_of_a_url() -> None:
    assert without_userinfo("A://u:p@h:1,B://v:q@[::1]:2") == "A://…@h:1,B://…@[::1]:2"
    assert without_userinfo("A://u:p@ss/w@h:1 and B://h") == "A://…@h:1 and B://h"
    assert without_userinfo("me@example.com") == "me@example.com"
    assert without_userinfo("A://h:1 me@b") == "A://h:1 me@b"


# a walk, with a secret of its own in every place at once

PLACES = {
    "password": "Passw/rd+of+alice==",
    "client": "Client$ecret of 0auth",
    "key": "key=pass:word:77",
    "store": "store-pass-word-88",
    "token": "tok3n-of-nobody-else",
    "user info": "Userinfo-pass-99",
}
WATCH = """
import os, sys
if "KEPT" in os.environ:
    kept, count = os.environ["KEPT"], [0]
    def note(text):
        with os.fdopen(os.open(kept + "/argv", os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as f:
            f.write(text + "\\n")
    def watch(event, given):
        if event == "subprocess.Popen":
            note(repr(given[:2]))
        elif event in ("os.exec", "os.posix_spawn", "os.system"):
            note(repr(given[:2]))
        elif event in ("os.remove", "os.rename") and str(given[0]).startswith(os.environ["TMPDIR"]):
            try:
                with open(given[0], "rb") as source:
                    data = source.read()
            except OSError:
                return
            count[0] += 1
            with open(f"{kept}/removed-{os.getpid()}-{count[0]}", "wb") as copy:
                copy.write(data)
    sys.addaudithook(watch)
"""


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, Any]:
    """An environment in which what a process starts, and what it writes and removes, is kept."""
    for name in ("site", "kept", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WATCH)
    return {
        "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}",
        "KEPT": str(tmp_path / "kept"),
        "TMPDIR": str(tmp_path / "tmp"),
    }


def everything(folder: Path) -> str:
    """All that files of a folder hold, zips unpacked."""
    texts = []
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            texts.append(data.decode("utf-8", "replace"))
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as packed:
                    texts += [packed.read(n).decode("utf-8", "replace") for n in packed.namelist()]
    return "\n".join(texts)


def with_everything(folder: Path, authority: trustme.CA) -> Path:
    """A file of properties with every secret, all of them in use or beside what is."""
    own = authority.issue_cert("client")
    locked = load_pem_private_key(own.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PLACES["key"].encode())
    )
    (folder / "own.pem").write_bytes(locked + own.cert_chain_pems[0].bytes())
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "client.properties").write_text(
        f"sasl.mechanism=PLAIN\nsasl.username=alice\nsasl.password={PLACES['password']}\n"
        f"ssl.key.location={folder / 'own.pem'}\nssl.certificate.location={folder / 'own.pem'}\n"
        f"ssl.key.password={PLACES['key']}\nssl.ca.location={folder / 'ca.pem'}\n"
        f"ssl.keystore.password={PLACES['store']}\n"
        f"sasl.oauthbearer.client.secret={PLACES['client']}\n"
    )
    (folder / "server.properties").write_text(
        f"node.id=1\nadvertised.listeners=A://bob:{PLACES['user info']}@h:9092\nlisteners=A://:1\n"
    )
    return folder / "client.properties"


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("right", [True, False], ids=["accepted", "refused"])
def test_every_output_of_a_walk(
    brokers: Brokers, tmp_path: Path, watched: dict[str, Any], protocol: str, right: bool
) -> None:
    """Of the walk itself, of every output beside it, and of the processes that it starts."""
    import ssl

    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    logins = Logins({"alice": PLACES["password"] if right else "another"})
    brokers.three(sasl=logins, tls=context if protocol == "SASL_SSL" else None)
    given, out = tmp_path / "given", tmp_path / "out"
    given.mkdir()
    out.mkdir()
    file = with_everything(given, authority)
    outputs = [part for form in RENDERERS for part in ("-o", f"{form}={out / form}")]
    done = kdiag(
        "check", brokers.bootstrap, "-F", str(file), "-X", f"security.protocol={protocol}",
        "--bundle", str(out / "all.zip"), "-o", "terminal", *outputs, "--topic", "orders",
        "--config", str(given / "server.properties"),
        KDIAG_OAUTHBEARER_TOKEN=PLACES["token"], **watched,
    )  # fmt: skip
    assert done.returncode in ((0, 20, 30, 40, 60) if right else (10,)), done.stderr
    assert bool(logins.attempts) is True
    assert len(list(out.iterdir())) == len(RENDERERS) + 1
    kept = everything(Path(watched["KEPT"])) + everything(Path(watched["TMPDIR"]))
    for text in (done.stdout, done.stderr, everything(out), kept):
        assert found_in(text, *PLACES.values()) == []


STANDINS = Path(__file__).parent / "remote" / "standins"


@pytest.mark.parametrize("place", ["ssh://there", "docker://there"])
def test_every_child_that_walks_elsewhere(
    brokers: Brokers, tmp_path: Path, watched: dict[str, Any], place: str
) -> None:
    """What a process list over here and over there shows, and what is left behind."""
    brokers.three(sasl=Logins({"alice": PLACES["password"]}))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    log = tmp_path / "kept" / "log"
    done = kdiag(
        "check", brokers.bootstrap, "-X", "security.protocol=SASL_PLAINTEXT",
        "-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=alice", "--from", place,
        **watched, KDIAG_X_SASL_PASSWORD=PLACES["password"], STANDIN_LOG=str(log),
        PATH=f"{STANDINS}:{tmp_path / 'bin'}:{os.environ['PATH']}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    kept = everything(Path(watched["KEPT"])) + everything(Path(watched["TMPDIR"]))
    assert "there" in log.read_text()
    assert "subprocess" in kept or place.partition(":")[0] in kept
    for text in (done.stdout, done.stderr, kept):
        assert found_in(text, *PLACES.values()) == []


def test_the_watch_can_fail(tmp_path: Path, watched: dict[str, Any]) -> None:
    import subprocess

    secret = PLACES["password"]
    code = (
        "import subprocess, sys, tempfile, os\n"
        f"subprocess.run([sys.executable, '-c', 'pass', {secret!r}])\n"
        "with tempfile.NamedTemporaryFile() as file:\n"
        f"    file.write({PLACES['key']!r}.encode()); file.flush()\n"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **watched}, check=True)
    kept = everything(Path(watched["KEPT"]))
    assert found_in(kept, secret)
    assert found_in(kept, PLACES["key"])
