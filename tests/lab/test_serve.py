"""kdiag serve in the made-up AWS: a real Prometheus scrapes it, and brokers come and go."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.chaos import SHORT, Chaos
from tests.lab.lab import Lab
from tests.lab.needs import require
from tests.lab.network import HOMES
from tests.lab.serving import PATIENCE, prometheus, query, serving
from tests.serve.documented import documented

pytestmark = pytest.mark.lab

SOON = {
    "scrape_interval: 60s": "scrape_interval: 2s",
    "scrape_timeout: 35s": "scrape_timeout: 2s",
    "[prod, stage]": "[healthy, private, dropped]",
    "rule_files:": "global: {evaluation_interval: 500ms, scrape_interval: 1s, scrape_timeout: 1s}\n"
    "rule_files:",
    "for: 2m": "for: 0s",
}


def test_prometheus_scrapes_and_its_rules_quote_the_cause(lab: Lab, tmp_path: Path) -> None:
    """By the files of docs/serve.md, with shorter times and the lab's targets."""
    require("prometheus")
    for name in ("prometheus.yml", "kdiag.rules.yml"):
        text = documented(name)
        for old, new in SOON.items():
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
    assert "targets: [healthy, private, dropped]" in (tmp_path / "prometheus.yml").read_text()
    ca = lab.kafka.certificates / "ca.pem"
    tls = f'properties = {{"security.protocol" = "SSL", "ssl.ca.location" = "{ca}"}}'
    targets = {
        "healthy": f'bootstrap = "{lab.at("PUBLIC")}"',
        "private": f'bootstrap = "{lab.at("PRIVATE")}"',
        "dropped": f'bootstrap = "{lab.at("TLS")}"\n{tls}',
    }
    laptop = lab.network.laptop
    rule = f"ip daddr {HOMES[1]} tcp dport 9110 drop"
    with (
        lab.network.rule(rule),
        serving(lab, tmp_path, targets),
        prometheus(laptop, tmp_path),
    ):
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            firing = query(laptop, 'ALERTS{alertname="KafkaClientsCannotConnect"}')
            up = query(laptop, "kdiag_targets")
            if len(firing) == 2 and up:
                break
            time.sleep(0.3)
        told = {
            alert["metric"]["instance"]: (alert["metric"]["code"], alert["metric"]["hop"])
            for alert in firing
        }
        assert told == {"private": ("KD301", "listeners"), "dropped": ("KD306", "listeners")}
        success = {
            each["metric"]["instance"]: each["value"][1]
            for each in query(laptop, 'probe_success{job="kdiag"}')
        }
        assert success == {"healthy": "1", "private": "0", "dropped": "0"}
        expiries = query(laptop, "probe_ssl_earliest_cert_expiry")
        assert [each["metric"]["instance"] for each in expiries] == ["dropped"]
        assert query(laptop, "kdiag_targets")[0]["value"][1] == "3"


def test_what_comes_and_goes_is_named_once_and_right(lab: Lab, tmp_path: Path) -> None:
    """The ten minutes of `python -m tests.lab.chaos`, cut short: each event once."""
    chaos = Chaos(lab, tmp_path, interval=0.5)
    with chaos.running():
        for event in SHORT:
            chaos.happens(event)
        chaos.nothing_is_left()
