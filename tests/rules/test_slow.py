"""KD124 and KD002: what comes late is a warning, and names what is most often behind it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kdiag.network.attempt import Failure, LayerResult
from kdiag.rules.rule import Finding
from kdiag.rules.slow import SLOW
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import MetadataAnswer
from kdiag.walk.facts.produce import BrokerProduce, Produce, ProduceResult
from kdiag.walk.facts.run import HopFailure, HopFailures
from tests.facts import at, brokers, found_by, listener, listeners, metadata, working_bootstrap

LATE = SLOW + 3


def late(layer: str, seconds: float = LATE, failure: Failure | None = None) -> Bootstrap:
    """A bootstrap whose connection took that long in one layer."""
    there = working_bootstrap()
    (contact,) = there.contacts
    (dial,) = contact.dials
    attempts = [a for a in dial.attempts if a.layer != layer]
    slow = LayerResult(layer, seconds, failure)
    dial = dial._replace(attempts=(*attempts, slow))
    return there._replace(contacts=(contact._replace(dials=(dial,)),))


def found(*facts: object) -> list[Finding]:
    return found_by("KD124", *facts)


def fixes(finding: Finding) -> str:
    return "\n".join(f"{fix.summary} {fix.snippet}" for fix in finding.remedies)


def test_a_late_login_names_the_brokers_own_reverse_dns_first() -> None:
    (finding,) = found(late("sasl"))
    assert (finding.hop, finding.severity) == ("bootstrap", "warning")
    assert finding.evidence == ["3.10.139.221:9094: the login took 5 s"]
    assert "getent hosts 3.10.139.221" in finding.remedies[0].snippet
    assert "LDAP" in fixes(finding)
    assert "RequestHandlerAvgIdlePercent" not in fixes(finding)


@pytest.mark.parametrize("layer", ["kafka", "identity"])
def test_a_late_answer_of_another_layer_does_not(layer: str) -> None:
    (finding,) = found(late(layer))
    assert "getent" not in fixes(finding)
    assert "RequestHandlerAvgIdlePercent" in fixes(finding)


@pytest.mark.parametrize(
    "bootstrap",
    [
        late("kafka", SLOW - 0.1),
        late("dns", LATE),
        late("tcp", LATE),
        late("sasl", LATE, Failure.CREDENTIALS),
        late("kafka", LATE, Failure.SILENT),
    ],
    ids=["in time", "dns", "tcp", "refused", "never came"],
)
def test_what_is_no_late_answer(bootstrap: Bootstrap) -> None:
    assert found(bootstrap) == []


def test_a_late_lookup_is_of_this_machines_resolver() -> None:
    there = working_bootstrap()
    (contact,) = there.contacts
    slow = there._replace(contacts=(contact._replace(dns=LayerResult("dns", LATE)),))
    (finding,) = found(slow)
    assert finding.evidence == ["3.10.139.221:9094: the lookup of its name took 5 s"]
    assert "DNS servers of this machine" in fixes(finding)
    assert "RequestHandlerAvgIdlePercent" not in fixes(finding)
    failed = contact._replace(dns=LayerResult("dns", LATE, Failure.RESOLVER_FAILED))
    assert found(there._replace(contacts=(failed,))) == []


def test_every_hop_says_so_for_itself() -> None:
    answer = MetadataAnswer(at("3.10.139.221:9094"), LATE)
    slow = BrokerProduce(2, ProduceResult(0.1, "NONE"), ProduceResult(LATE, "NONE"))
    there = listeners(listener(1, "198.51.100.1:9094"))
    told = found(
        working_bootstrap(),
        metadata(*brokers(1), answers=(answer,)),
        there,
        Produce((slow,), (), None, 9),
    )
    assert [(f.hop, f.subjects) for f in told] == [
        ("metadata", ["bootstrap 3.10.139.221:9094"]),
        ("produce", ["broker 2"]),
    ]


def deadline(facts: Sequence[object]) -> Finding:
    passed = HopFailures((HopFailure("listeners", 30.0),))
    (finding,) = found_by("KD002", passed, *facts)
    return finding


def test_a_deadline_that_late_answers_used_up_proves_nothing() -> None:
    answer = MetadataAnswer(at("3.10.139.221:9094"), LATE)
    finding = deadline((working_bootstrap(), metadata(*brokers(1), answers=(answer,))))
    assert finding.severity == "warning"
    assert "3.10.139.221:9094: Metadata took 5 s" in finding.evidence
    assert deadline((late("kafka"),)).severity == "warning"


def test_any_other_deadline_fails_the_hop() -> None:
    assert deadline((working_bootstrap(), metadata(*brokers(1)))).severity == "error"
    assert deadline(()).severity == "error"
