"""The bundle for a ticket: all of it, no secret, and whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import json
import zipfile
from pathlib import Path
from urllib.parse import quote

from tests.running import ROOT, Brokers, kdiag

MEMBERS = {
    *("README.txt", "report.json", "report.html", "report.txt"),
    *("settings.json", "versions.json", "resolver.txt", "routes.txt"),
}
PASSWORD, TOKEN, USER = "tr0ub4dor & three/9", "tok-0123456789-abcdef", "billing-api-key-77"


def unpacked(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        names = {name.removeprefix("kdiag/"): name for name in file.namelist()}
        return {short: file.read(name).decode() for short, name in names.items()}


def test_it_has_what_a_ticket_needs(brokers: Brokers, tmp_path: Path) -> None:
    path = tmp_path / "ticket.zip"
    done = kdiag("check", brokers.three().bootstrap, "--bundle", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "PASS" in done.stdout  # the report is printed as ever
    found = unpacked(path)
    assert set(found) == MEMBERS
    assert json.loads(found["report.json"])["verdict"] == "pass"
    assert "PASS" in found["report.txt"]
    assert found["report.html"].lower().startswith("<!doctype html>")
    (asked,) = json.loads(found["settings.json"]).values()
    assert asked["bootstrap"] == [brokers.bootstrap]
    versions = json.loads(found["versions.json"])
    assert versions["libraries"]["confluent-kafka"]
    assert versions["openssl"].startswith("OpenSSL")
    assert "# /etc/resolv.conf" in found["resolver.txt"]
    assert " dev lo" in found["routes.txt"]
    saved = tmp_path / "report.json"
    saved.write_text(found["report.json"])
    assert kdiag("show", str(saved)).stdout == done.stdout
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def spellings(secret: str) -> set[str]:
    raw = secret.encode()
    encoded = base64.b64encode(b"\0u\0" + raw).decode()
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], encoded[6:-4]}


def test_no_secret_is_in_it(brokers: Brokers, tmp_path: Path) -> None:
    """Also where the peer repeats what it was told, and where properties come from a file."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 " + PASSWORD.encode() + b" " + TOKEN.encode() + b"\r\n\r\n")
        writer.close()

    port = brokers.serve(echo)
    properties = tmp_path / "client.properties"
    properties.write_text(
        "security.protocol=SASL_PLAINTEXT\n"
        "sasl.mechanism=PLAIN\n"
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{USER}" password="{PASSWORD}";\n'
    )
    login = ["-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=PLAIN"]
    login += ["-X", f"sasl.username={USER}", "-X", f"sasl.password={PASSWORD}"]
    bearer = ["-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=OAUTHBEARER"]
    for name, secret, more, token in (
        ("file", PASSWORD, ["-F", str(properties)], ""),
        ("options", PASSWORD, login, ""),
        ("token", TOKEN, bearer, TOKEN),
    ):
        path = tmp_path / f"{name}.zip"
        done = kdiag(
            *("check", f"127.0.0.1:{port}", "--bundle", str(path), *more),
            KDIAG_OAUTHBEARER_TOKEN=token,
        )
        assert done.returncode == 10, done.stderr
        found = unpacked(path)
        for member, text in found.items():
            for spelling in spellings(secret):
                assert spelling not in text, (name, member, spelling)
        assert "***" in found["report.json"]  # the peer said it, and it was taken out
        settings = json.loads(found["settings.json"])[f"127.0.0.1:{port}"]
        assert USER not in found["settings.json"]
        assert settings["sasl"]["password"] == (secret == PASSWORD)
        assert settings["sasl"]["token"] == (secret == TOKEN)


def test_it_appears_whole_or_not_at_all(brokers: Brokers, tmp_path: Path) -> None:
    path = tmp_path / "ticket.zip"
    path.write_text("yesterday's")
    done = kdiag("check", brokers.three().bootstrap, "--bundle", str(path), "-o", "json=/dev/full")
    assert done.returncode == 2  # the other one could not be written; this one could
    assert set(unpacked(path)) == MEMBERS
    path.write_text("yesterday's")
    done = kdiag("check", "127.0.0.1:1", "--bundle", str(path), "-X", "nope")
    assert done.returncode == 2
    assert path.read_text() == "yesterday's"
    done = kdiag("check", brokers.bootstrap, "--bundle", str(tmp_path / "no" / "ticket.zip"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write" in done.stderr
    done = kdiag("check", brokers.bootstrap, "--bundle", "/dev/full")
    assert done.returncode == 2
    assert "/dev/full" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["ticket.zip"]


def test_several_checks_fit_in_one(brokers: Brokers, tmp_path: Path) -> None:
    path = tmp_path / "ticket.zip"
    bootstrap = brokers.three().bootstrap
    done = kdiag("check", bootstrap, "127.0.0.1:1", "--bundle", str(path))
    assert done.returncode == 10
    found = unpacked(path)
    assert set(json.loads(found["report.json"])["reports"]) == {bootstrap, "127.0.0.1:1"}
    assert set(json.loads(found["settings.json"])) == {bootstrap, "127.0.0.1:1"}


def test_what_is_told_of_the_settings_is_named_one_by_one() -> None:
    """A new setting stays out until somebody says that it is no secret."""
    text = (ROOT / "kdiag/cli/bundle.py").read_text("utf-8")
    assert "asdict" not in text
    assert "vars(" not in text
