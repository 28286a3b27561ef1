"""OpenMetrics: read by the parsers of both formats that a collector may read it as."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from kdiag.report.model import Report
from tests import walks
from tests.facts import brokers, listener, listeners, metadata, reported, working_bootstrap
from tests.report.render.cases import report, shown

HOSTILE = ('"', "\\", '\\"', '"} 1\nevil 1', "{}", "# EOF", "\\n", "é漢", "a=b,c")


def families(text: str, parse: Callable[[str], Iterable[Metric]] = openmetrics) -> list[Metric]:
    return list(parse(text))


def read(made: Report) -> dict[str, Metric]:
    return {family.name: family for family in families(walks.shown(made, "openmetrics"))}


def value(made: Report, name: str, **labels: str) -> float:
    """The value of the only sample that has these labels."""
    return only(read(made), name, **labels)


def only(told: dict[str, Metric], name: str, **labels: str) -> float:
    found = [
        sample.value for sample in told[name].samples if labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


def both_formats_read_the_same(name: str) -> None:
    text = shown(name, "openmetrics")
    new, old = families(text), families(text, prometheus)
    assert [f.samples for f in new] == [f.samples for f in old]
    assert [(f.name, f.type, f.documentation) for f in new] == [
        (f.name, f.type, f.documentation) for f in old
    ]
    assert {family.type for family in new} == {"gauge"}
    series = [(s.name, frozenset(s.labels.items())) for f in new for s in f.samples]
    assert len(series) == len(set(series))


def test_the_reader_can_say_no() -> None:
    text = walks.shown(report("healthy"), "openmetrics")
    for wrong in (
        text.replace("# EOF\n", ""),
        text.replace("gauge", "gage"),
        text.replace("{", ""),
    ):
        with pytest.raises(ValueError):
            families(wrong)


def every_series_says_of_which_target_it_is(name: str) -> None:
    """Two files of the textfile collector must not have the same series."""
    made = report(name)
    told = families(shown(name, "openmetrics"))
    targets = {sample.labels.get("target") for family in told for sample in family.samples}
    assert targets == {",".join(made.target)}


def it_says_what_the_report_says(name: str) -> None:
    made = report(name)
    told = {family.name: family for family in families(shown(name, "openmetrics"))}
    assert only(told, "kdiag_check_success") == made.ok
    assert only(told, "kdiag_check_exit_code") == made.exit_code
    for step in made.hops:
        assert only(told, "kdiag_hop_status", hop=step.hop, status=step.status) == 1
    for finding in made.findings:
        assert only(told, "kdiag_finding", code=finding.code, hop=finding.hop) >= 1
    if made.cluster:
        assert only(told, "kdiag_cluster_brokers") == len(made.cluster.brokers)


def test_the_layer_that_fails_at_a_broker_is_named() -> None:
    made = report("port-closed")
    assert value(made, "kdiag_broker_reachable", broker="1") == 1
    assert value(made, "kdiag_broker_reachable", broker="2") == 0
    assert value(made, "kdiag_broker_failure", broker="2", layer="tcp", failure="refused") == 1
    assert value(made, "kdiag_broker_produce_success", broker="3") == 1


def test_when_certificates_expire() -> None:
    made = walks.dated("certificate-expires-soon")
    started = value(made, "kdiag_check_timestamp_seconds")
    expires = value(made, "kdiag_certificate_not_after_timestamp_seconds", subject="broker 2")
    assert 19 < (expires - started) / 86400 < 21


@pytest.mark.parametrize("said", HOSTILE)
def test_a_label_is_read_as_it_was_said(said: str) -> None:
    plain = reported(working_bootstrap(), metadata(*brokers(1)))
    made = replace(plain, protocol=said, target=[said])
    labels = read(made)["kdiag_check_info"].samples[0].labels
    assert (labels["protocol"], labels["target"]) == (said, said)
    assert "evil" not in read(made)


def test_a_broker_that_is_listed_twice_is_told_once() -> None:
    met = listener(1, "198.51.100.1:9094", "refused")
    made = reported(working_bootstrap(), metadata(met.broker, met.broker), listeners(met, met))
    assert value(made, "kdiag_broker_reachable", broker="1") == 0
    assert value(made, "kdiag_cluster_brokers") == 2
