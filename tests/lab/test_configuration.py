"""Configuration as people have it, on a real Kafka: Java's files and stores, variables, targets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import needs
from tests.lab.client import HEALTHY, Verdict
from tests.lab.goldens import named
from tests.lab.kafka import QUICKLY
from tests.lab.lab import Lab
from tests.lab.listeners import USERS

pytestmark = pytest.mark.kafka

PASSWORD = "changeit"


@pytest.fixture(scope="module")
def stores(kafka: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with trust.KIND (the CA) and key.KIND (the client's identity), by Java's keytool."""
    needs.require("keytool", "openssl")
    folder = tmp_path_factory.mktemp("stores")
    authority, client = (kafka.kafka.certificates / f"{name}.pem" for name in ("ca", "client"))
    secret = f"pass:{PASSWORD}"
    both = ("-in", str(client), "-inkey", str(client), "-out", str(folder / "made.p12"))
    _run("openssl", "pkcs12", "-export", *both, "-name", "client", "-passout", secret)
    for kind in ("JKS", "PKCS12"):
        trust = ("-file", str(authority), "-keystore", str(folder / f"trust.{kind}"))
        _run("keytool", "-importcert", "-noprompt", *trust, *_sealed("-", kind))
        key = (
            "-srckeystore",
            str(folder / "made.p12"),
            "-destkeystore",
            str(folder / f"key.{kind}"),
        )
        source = ("-srcstoretype", "PKCS12", "-srcstorepass", PASSWORD)
        _run("keytool", "-importkeystore", *key, *source, *_sealed("-dest", kind))
    return folder


def _sealed(prefix: str, kind: str) -> tuple[str, ...]:
    return f"{prefix}storetype", kind, f"{prefix}storepass", PASSWORD


def _run(*command: str) -> None:
    quickly = QUICKLY if command[0] == "keytool" else ()
    subprocess.run((*command, *quickly), check=True, timeout=50, capture_output=True)


@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_java_stores_made_by_keytool(kafka: Lab, stores: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "client.properties"
    file.write_text(
        "security.protocol=SSL\n"
        f"ssl.truststore.location={stores}/trust.{kind}\nssl.truststore.password={PASSWORD}\n"
        f"ssl.truststore.type={kind}\n"
        f"ssl.keystore.location={stores}/key.{kind}\nssl.keystore.password={PASSWORD}\n"
        f"ssl.keystore.type={kind}\nssl.key.password={PASSWORD}\n"
    )
    arguments = ("-F", str(file), "--topic", "orders")
    assert kafka.client.check(kafka.at("MTLS"), *arguments).verdict == HEALTHY


def test_a_java_trust_store_of_another_authority(kafka: Lab, stores: Path, tmp_path: Path) -> None:
    store = tmp_path / "other.jks"
    other = ("-file", str(kafka.kafka.certificates / "other-ca.pem"), "-keystore", str(store))
    _run("keytool", "-importcert", "-noprompt", *other, *_sealed("-", "JKS"))
    file = tmp_path / "client.properties"
    # No type is given: Java finds out by itself which of the two a file is.
    file.write_text(
        "security.protocol=SSL\n"
        f"ssl.truststore.location={store}\nssl.truststore.password={PASSWORD}\n"
    )
    report = kafka.client.check(kafka.at("TLS"), "-F", str(file))
    assert report.verdict == ("bootstrap", "KD112", 10), report
    assert f"ssl.truststore.location={store}" in report.cause["remedies"][0]["summary"]


def test_java_properties(kafka: Lab, tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text(
        "security.protocol=SASL_SSL\nssl.truststore.type=PEM\n"
        f"ssl.truststore.location={kafka.kafka.certificates / 'ca.pem'}\n"
        "sasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n"
        f'    username="alice" password="{USERS["alice"]}";\n'
    )
    report = kafka.client.check(kafka.at("LOGINTLS"), "-F", str(file), "--topic", "orders")
    assert report.verdict == HEALTHY, report


def test_variables(kafka: Lab) -> None:
    report = kafka.client.check(
        KDIAG_BOOTSTRAP=kafka.at("LOGINTLS"),
        KDIAG_TOPIC="orders",
        KDIAG_X_SECURITY_PROTOCOL="SASL_SSL",
        KDIAG_X_SSL_CA_LOCATION=str(kafka.kafka.certificates / "ca.pem"),
        KDIAG_X_SASL_MECHANISM="SCRAM-SHA-256",
        KDIAG_X_SASL_USERNAME="alice",
        KDIAG_X_SASL_PASSWORD=USERS["alice"],
    )
    assert report.verdict == HEALTHY, report


def test_a_target(kafka: Lab, tmp_path: Path) -> None:
    """Its password comes from the environment, as one that is shared has none in the file."""
    (tmp_path / "ca.pem").write_bytes((kafka.kafka.certificates / "ca.pem").read_bytes())
    (tmp_path / "kdiag.toml").write_text(
        f'[targets.prod]\nbootstrap = "{kafka.every("LOGINTLS")}"\ntopic = "orders"\n'
        "[targets.prod.properties]\n"
        'security.protocol = "SASL_SSL"\nssl.ca.location = "ca.pem"\n'
        'sasl.mechanism = "SCRAM-SHA-512"\nsasl.username = "alice"\n'
    )
    report = kafka.client.check(
        "@prod", "--trust-project", folder=tmp_path, KDIAG_X_SASL_PASSWORD=USERS["alice"]
    )
    assert report.verdict == HEALTHY, report
    assert report.told["target"] == kafka.every("LOGINTLS").split(",")


@pytest.mark.parametrize(
    ("listener", "protocol", "verdict"),
    [
        ("PUBLIC", "PLAINTEXT", HEALTHY),
        ("TLS", "SSL", ("bootstrap", "KD112", 10)),
        ("MTLS", "SSL", ("bootstrap", "KD112", 10)),
        ("LOGIN", "SASL_PLAINTEXT", ("bootstrap", "KD117", 10)),
        ("LOGINTLS", "SASL_SSL", ("bootstrap", "KD112", 10)),
    ],
    ids=named,
)
def test_nothing_is_said(kafka: Lab, listener: str, protocol: str, verdict: Verdict) -> None:
    """Not even an authority: what it speaks is told all the same."""
    report = kafka.client.check(kafka.at(listener))
    assert report.verdict == verdict, report
    assert (report.told["protocol"], report.told["protocol_found"]) == (protocol, True), report
    for spelling in ("java", "librdkafka"):
        assert f"security.protocol={protocol}" in report.told["client_properties"][spelling]


@pytest.mark.parametrize("listener", ["TLS", "MTLS", "LOGIN", "LOGINTLS"])
def test_all_but_the_protocol_is_said(kafka: Lab, listener: str) -> None:
    given = kafka.properties(listener)
    protocol = given.pop("security.protocol")
    if listener == "MTLS":
        given |= kafka.identity("client")
    if "SASL" in protocol:
        given["sasl.mechanism"] = "SCRAM-SHA-512"
    report = kafka.client.check(kafka.at(listener), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    assert (report.told["protocol"], report.told["protocol_found"]) == (protocol, True), report
