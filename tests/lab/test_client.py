"""The real client in hop 4, on a real Kafka: how it comes in, and each way a record can fail."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from confluent_kafka import Producer

from kdiag.demo.logins import unsecured_token
from tests.lab.client import HEALTHY, Verdict
from tests.lab.kafka import JAVA, jars
from tests.lab.lab import Lab
from tests.lab.listeners import NODES, PORTS

pytestmark = pytest.mark.kafka

SCRAM, BEARER = "SCRAM-SHA-512", "OAUTHBEARER"
RECORD = ("kdiag", "kdiag connectivity check")

CASES: dict[str, tuple[str, str, Verdict, int]] = {
    "PLAINTEXT": ("PUBLIC", "", HEALTHY, 3),
    "SSL": ("TLS", "", HEALTHY, 3),
    "mTLS": ("MTLS", "", HEALTHY, 3),
    "SASL_PLAINTEXT, PLAIN": ("LOGIN", "PLAIN", HEALTHY, 3),
    "SASL_SSL, SCRAM-SHA-512": ("LOGINTLS", SCRAM, HEALTHY, 3),
    "SASL_SSL, OAUTHBEARER": ("LOGINTLS", BEARER, HEALTHY, 3),
    # What fails before hop 4 is never written to.
    "no client certificate": ("MTLS", "none", ("bootstrap", "KD115", 10), 0),
    "another protocol": ("PLAINTOTLS", "", ("listeners", "KD312", 30), 0),
}


@pytest.mark.parametrize(("listener", "login", "verdict", "count"), CASES.values(), ids=CASES)
def test_what_arrives(kafka: Lab, listener: str, login: str, verdict: Verdict, count: int) -> None:
    given = kafka.properties(listener)
    if listener == "MTLS" and not login:
        given |= kafka.identity("client")
    if login in (SCRAM, BEARER):
        given["sasl.mechanism"] = login
    if login == BEARER:
        del given["sasl.username"], given["sasl.password"]
        given["kdiag.oauthbearer.token"] = unsecured_token("alice")
    before = records(kafka)
    report = kafka.client.check(kafka.at(listener), "--topic", "orders", given=given)
    assert report.verdict == verdict, report
    new = [record for record in records(kafka) if record not in before]
    assert [(partition, *rest) for partition, _, *rest in new] == [
        (partition, *RECORD) for partition in range(count)
    ]


def test_what_is_found_out_is_what_the_client_is_given(kafka: Lab) -> None:
    given = kafka.properties("LOGINTLS", sasl_mechanism=SCRAM)
    del given["security.protocol"]
    before = records(kafka)
    report = kafka.client.check(kafka.at("LOGINTLS"), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    assert report.told["protocol"] == "SASL_SSL"
    assert len(records(kafka)) == len(before) + len(NODES)


def test_a_token_that_was_fetched(kafka: Lab, token_endpoint: str) -> None:
    given = kafka.properties("LOGINTLS", sasl_mechanism=BEARER)
    del given["sasl.username"], given["sasl.password"]
    given["sasl.oauthbearer.method"] = "oidc"
    given["sasl.oauthbearer.token.endpoint.url"] = token_endpoint
    given |= {"sasl.oauthbearer.client.id": "c", "sasl.oauthbearer.client.secret": "s-e-c-r-e-t"}
    before = records(kafka)
    report = kafka.client.check(kafka.at("LOGINTLS"), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    assert len(records(kafka)) == len(before) + len(NODES)


def test_a_user_who_may_not_write(kafka: Lab) -> None:
    given = kafka.properties("LOGIN", sasl_mechanism=SCRAM) | kafka.login("reader")
    before = records(kafka)
    report = kafka.client.check(kafka.at("LOGIN"), "--topic", "orders", given=given)
    assert report.verdict == ("produce", "KD403", 40), report
    assert report.cause["subjects"] == [f"broker {node}" for node in NODES]
    assert records(kafka) == before


@pytest.fixture(scope="package")
def slow(kafka: Lab) -> dict[str, str]:
    """The properties of a client that may send one byte a second."""
    command = [*JAVA, "-cp", f"{jars()}/*", "kafka.admin.ConfigCommand", "--alter"]
    command += ["--bootstrap-server", f"{kafka.kafka.homes[0]}:{PORTS['INTERNAL']}"]
    command += ["--entity-type", "clients", "--entity-name", "slow"]
    command += ["--add-config", "producer_byte_rate=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {"client.id": "slow"}


def test_a_client_that_is_throttled(kafka: Lab, slow: dict[str, str]) -> None:
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "orders", given=slow)
    assert (report.told["verdict"], report.told["exit_code"]) == ("warn", 0), report
    assert [finding["code"] for finding in report.told["findings"]] == ["KD408"]


def test_a_client_that_must_not_be_throttled(kafka: Lab, slow: dict[str, str]) -> None:
    arguments = ("--topic", "orders", "--fail-on", "warning")
    report = kafka.client.check(kafka.at("PUBLIC"), *arguments, given=slow)
    assert report.verdict == ("produce", "KD408", 40), report


def test_the_client_disagrees_about_the_family_of_an_address(kafka: Lab) -> None:
    given = {"broker.address.family": "v6"}
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "orders", given=given)
    assert report.verdict == ("produce", "KD407", 40), report
    assert "the client says: " in " ".join(report.cause["evidence"])
    assert "Address family for hostname not supported" in " ".join(report.cause["evidence"])


PRODUCER = {
    "acks": "1",
    "compression.type": "zstd",
    "enable.idempotence": "false",
    "linger.ms": "20",
    "max.request.size": "2000000",
    "delivery.timeout.ms": "20000",
    "client.rack": "eu-west-2a",
    "client.dns.lookup": "use_all_dns_ips",
}


def test_a_producer_s_own_properties(kafka: Lab) -> None:
    before = records(kafka)
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "orders", given=PRODUCER)
    assert report.verdict == HEALTHY, report
    assert not [note for note in report.told["notes"] if "not used" in note]
    new = [record for record in records(kafka) if record not in before]
    assert [value for *_, value in new] == [RECORD[1] * 40] * 3


def test_an_idempotent_producer(kafka: Lab) -> None:
    before = records(kafka)
    given = {"enable.idempotence": "true"}
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    assert len(records(kafka)) == len(before) + len(NODES)


def test_a_producer_that_is_in_use_is_not_fenced(kafka: Lab) -> None:
    given = {"transactional.id": "in-use"}
    running = Producer({"bootstrap.servers": kafka.at("PUBLIC"), "transactional.id": "in-use"})
    running.init_transactions(30)
    running.begin_transaction()
    report = kafka.client.check(kafka.at("PUBLIC"), "--topic", "orders", given=given)
    assert report.verdict == HEALTHY, report
    assert any("may use transactional.id in-use" in note for note in report.told["notes"])
    running.produce("orders", b"after", b"kdiag", partition=0)
    running.commit_transaction(30)
    assert [0, b"after".decode()] in [[r[0], r[3]] for r in records(kafka)]


@pytest.fixture
def token_endpoint() -> Iterator[str]:
    """Where anybody gets alice's token."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = {"access_token": unsecured_token("alice"), "token_type": "Bearer"}
            body = json.dumps(answer | {"expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    server.server_close()


def records(kafka: Lab) -> list[list[object]]:
    """What a consumer reads from the topic, as [partition, offset, key, value]."""
    found = kafka.ask("read", "orders")
    assert isinstance(found, list)
    return found
