"""A real Kafka without reverse DNS takes seconds for each login, and clients get through."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.lab import needs
from tests.lab.lookups import LOGIN, SERVER, Lookups, lookups

pytestmark = pytest.mark.lab

FORGOTTEN = 11.0  # seconds, after which the JVM has forgotten that a lookup failed
MARK = "got through after"
REAL = f"""
import time
from confluent_kafka import Producer
started = time.monotonic()
client = Producer({{"bootstrap.servers": {SERVER!r}, **{LOGIN!r}}})
errors = []
client.produce("orders", b"x", on_delivery=lambda error, message: errors.append(error))
client.flush(40)
assert errors == [None], errors
print({MARK!r}, time.monotonic() - started)
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookups]:
    needs.require(*needs.LAB, root=True)
    with lookups(tmp_path_factory.mktemp("lookups")) as started:
        yield started


def test_the_real_client_gets_through_late(slow: Lookups) -> None:
    time.sleep(FORGOTTEN)
    done = subprocess.run(
        [*slow.place.inside, sys.executable, "-c", REAL],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.removeprefix(MARK)) >= 2.0, done.stdout


def test_the_real_client_that_kdiag_runs_is_given_the_time_as_well(slow: Lookups) -> None:
    time.sleep(FORGOTTEN)
    report = slow.client.check(SERVER, "--topic", "orders", given=LOGIN)
    assert report.verdict == (None, None, 0), f"{report}\n{slow.last_words()}"
    assert report.brokers[1]["produce"] == "ok"


def test_kdiag_gets_through_and_says_why_it_takes_so_long(slow: Lookups) -> None:
    time.sleep(FORGOTTEN)
    report = slow.client.check(SERVER, given=LOGIN)
    assert report.verdict == (None, None, 0), f"{report}\n{slow.last_words()}"
    late = [finding for finding in report.told["findings"] if finding["code"] == "KD124"]
    assert [finding["hop"] for finding in late] == ["bootstrap"], report
    assert "the login took" in late[0]["evidence"][0]
    assert "getent hosts 10.9.9.1" in late[0]["remedies"][0]["snippet"]
    assert report.brokers[1]["layers"]["sasl"] == "ok"
