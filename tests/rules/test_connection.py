"""KD1xx: what happened to one connection, wherever it was dialled."""

from __future__ import annotations

import pytest

from kdiag.config.settings import settings
from kdiag.network.attempt import NOT_ASKED, Failure
from tests.facts import (
    DOOR,
    bootstrap,
    contact,
    dial,
    found,
    found_by,
    listener,
    listeners,
    working_bootstrap,
)

# How a connection failed → the one code of this area that names it.
NAMES = {
    "dns:not_found": "KD101",
    "dns:resolver_failed": "KD102",
    "refused": "KD103",
    "timeout": "KD104",
    "unreachable": "KD105",
    "kafka:silent": "KD107",
    "sasl:silent": "KD107",
    "kafka:not_kafka": "KD108",
    "kafka:controller": "KD109",
    "tls:tls_required": "KD110",
    "tls:tls_not_offered": "KD111",
    "tls:untrusted": "KD112",
    "tls:name_mismatch": "KD113",
    "tls:expired": "KD114",
    "tls:client_certificate": "KD115",
    "tls:handshake": "KD116",
    "sasl:sasl_required": "KD117",
    "sasl:sasl_not_offered": "KD118",
    "sasl:mechanism": "KD119",
    "sasl:credentials": "KD120",
    "kafka:closed": "KD121",
    "kafka:reset": "KD121",
    "identity:closed": "KD121",
    "identity:silent": "KD107",
}
NAME = "kafka.example.com:9094"


@pytest.mark.parametrize(("failed", "code"), NAMES.items())
def test_a_bootstrap_server_that_fails(failed: str, code: str) -> None:
    (finding,) = found(bootstrap(contact(NAME, failed, detail="why")))
    assert (finding.code, finding.hop, finding.severity) == (code, "bootstrap", "error")
    assert finding.subjects == [f"bootstrap {NAME}"]
    assert any("why" in line for line in finding.evidence)
    assert finding.remedies


@pytest.mark.parametrize(("failed", "code"), NAMES.items())
def test_advertised_addresses_that_fail(failed: str, code: str) -> None:
    met = listeners(
        listener(1, "198.51.100.1:9094", failed),
        listener(2, "198.51.100.2:9094"),
        listener(3, "198.51.100.3:9094", failed),
    )
    (finding,) = found_by(code, working_bootstrap(), met)
    assert (finding.hop, finding.severity) == ("listeners", "error")
    assert finding.subjects == ["broker 1", "broker 3"]
    assert len(finding.evidence) == 2


@pytest.mark.parametrize(("failed", "code"), NAMES.items())
def test_one_of_two_bootstrap_servers_is_a_warning(failed: str, code: str) -> None:
    (finding,) = found(bootstrap(contact(NAME, failed), contact(f"{DOOR}:9094")))
    assert (finding.code, finding.severity) == (code, "warning")


@pytest.mark.parametrize("code", sorted(set(NAMES.values()) | {"KD106"}))
def test_silent_when_all_is_well(code: str) -> None:
    assert found_by(code, working_bootstrap(), listeners(listener(1, "198.51.100.1:9094"))) == []


@pytest.mark.parametrize("code", sorted(set(NAMES.values())))
def test_silent_about_every_other_failure(code: str) -> None:
    others = [failed for failed, named in NAMES.items() if named != code]
    for failed in others:
        assert found_by(code, bootstrap(contact(NAME, failed))) == []


def test_a_login_without_an_answer_is_told_apart() -> None:
    """Of two servers one was tried: nobody knows whether the other is silent."""
    here, there = (contact(f"{host}:9094", "sasl:silent") for host in ("a", "b"))
    (one,) = found(bootstrap(here))
    (two,) = found(bootstrap(here, there))
    assert one.message == "No answer to the login at a:9094"
    assert two.message == "No login to a:9094 and b:9094: the one that was tried got no answer"


def test_every_failure_of_a_first_connection_has_a_code() -> None:
    """A failure that no rule names would be a hop that fails without a finding."""
    elsewhere = {Failure.WRONG_NODE, Failure.WRONG_CLUSTER, *NOT_ASKED}  # KD307, KD310, none
    for failure in set(Failure) - elsewhere:
        layer = "dns" if failure.value in ("not_found", "resolver_failed") else "kafka"
        assert found(bootstrap(contact(NAME, f"{layer}:{failure.value}"))), failure


def test_a_limit_of_connections_is_a_candidate_only_where_others_stand() -> None:
    alone = found(bootstrap(contact(NAME, "kafka:closed")))
    beside = found(working_bootstrap(), listeners(listener(1, "198.51.100.1:9094", "kafka:reset")))
    said = [" ".join(fix.summary for fix in one.remedies) for (one,) in (alone, beside)]
    assert "max.connections" not in said[0]
    assert "max.connections.per.ip" in said[1]
    assert "may be" in said[1]


def test_being_denied_the_proof_of_identity_is_no_failure() -> None:
    assert (
        found(working_bootstrap(), listeners(listener(1, "198.51.100.1:9094", "identity:denied")))
        == []
    )


@pytest.mark.parametrize(
    ("works", "fails", "family"),
    [("198.51.100.1", "2001:db8::1", "v4"), ("2001:db8::1", "198.51.100.1", "v6")],
)
def test_one_family_works(works: str, fails: str, family: str) -> None:
    for order in ((works, fails), (fails, works)):
        dials = [dial(each, "" if each == works else "refused") for each in order]
        (finding,) = found(bootstrap(contact(NAME, "", *dials)))
        assert (finding.code, finding.severity) == ("KD106", "warning")
        assert f"broker.address.family={family}" in finding.remedies[0].snippet


JAVA, LIBRDKAFKA = {"max.block.ms": "5000"}, {"statistics.interval.ms": "5000"}


@pytest.mark.parametrize(
    ("given", "dead", "said", "unsaid"),
    [
        ({}, "v6", ["librdkafka does, connects via", "Java's client works"], "whose properties"),
        ({}, "v4", ["librdkafka does, connects via", "Java's client fails"], "whose properties"),
        (LIBRDKAFKA, "v6", ["librdkafka, whose properties these are, tries all"], "Java"),
        (LIBRDKAFKA, "v4", ["librdkafka, whose properties these are, tries all"], "Java"),
        (JAVA, "v6", None, ""),
        (JAVA, "v4", ["Java's client fails"], "librdkafka"),
        ({"client.dns.lookup": "default"}, "v6", None, ""),
        ({"client.dns.lookup": "use_all_dns_ips"}, "v6", ["librdkafka does"], "whose properties"),
        ({**JAVA, **LIBRDKAFKA}, "v6", ["librdkafka does"], "whose properties"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_dead_family_is_a_finding_where_the_client_would_try_it(
    given: dict[str, str], dead: str, said: list[str] | None, unsaid: str, order: int
) -> None:
    addresses = {"v4": "198.51.100.1", "v6": "2001:db8::1"}
    dials = [dial(a, "timeout" if family == dead else "") for family, a in addresses.items()]
    met = bootstrap(contact(NAME, "", *dials[::order]))
    told = found(met, settings(NAME, properties=given))
    if said is None:
        assert told == []
        return
    (finding,) = told
    assert (finding.code, finding.severity) == ("KD106", "warning")
    lines = "\n".join(finding.evidence)
    assert all(text in lines for text in said)
    assert unsaid not in lines


def test_one_family_of_a_broker_works() -> None:
    both = listener(1, NAME, "", dial("198.51.100.1", node=1), dial("2001:db8::1", "unreachable"))
    (finding,) = found(working_bootstrap(), listeners(both))
    assert (finding.code, finding.hop, finding.subjects) == ("KD106", "listeners", ["broker 1"])


def test_no_family_works_is_not_about_the_family() -> None:
    dials = (dial("198.51.100.1", "refused"), dial("2001:db8::1", "unreachable"))
    assert found_by("KD106", bootstrap(contact(NAME, "", *dials))) == []


def test_one_address_of_several_fails() -> None:
    """The name works, for now: a warning that says so, and names the address."""
    dials = (dial("198.51.100.1"), dial("198.51.100.2", "timeout"), dial("198.51.100.3"))
    (finding,) = found(bootstrap(contact(NAME, "", *dials)))
    assert (finding.code, finding.severity) == ("KD104", "warning")
    assert "other addresses of the same name work" in finding.message
    assert any("198.51.100.2:9094" in line for line in finding.evidence)
    assert not any("198.51.100.1:9094" in line for line in finding.evidence)


def test_two_servers_that_fail_alike_are_one_finding() -> None:
    (finding,) = found(bootstrap(contact("a.example.com:1", "timeout"), contact(NAME, "timeout")))
    assert finding.subjects == ["bootstrap a.example.com:1", f"bootstrap {NAME}"]
    assert finding.message.startswith(f"a.example.com:1 and {NAME} do not answer")


def test_two_servers_that_fail_differently_are_two() -> None:
    findings = found(bootstrap(contact("a.example.com:1", "timeout"), contact(NAME, "refused")))
    assert [(f.code, f.severity) for f in findings] == [("KD103", "error"), ("KD104", "error")]


def test_the_banner_of_a_stranger_is_shown() -> None:
    (finding,) = found_by("KD108", bootstrap(contact(NAME, "kafka:not_kafka", detail="SSH-2.0-x")))
    assert any("SSH-2.0-x" in line for line in finding.evidence)


def test_the_mechanisms_of_a_sasl_listener_are_in_the_fix() -> None:
    (finding,) = found_by(
        "KD117", bootstrap(contact(NAME, "sasl:sasl_required", detail="SCRAM-SHA-512, PLAIN"))
    )
    assert "SCRAM-SHA-512, PLAIN" in finding.remedies[0].summary


def test_many_brokers_are_counted_and_not_listed() -> None:
    many = listeners(
        *(listener(node, f"198.51.100.{node}:9094", "timeout") for node in range(1, 201))
    )
    (finding,) = found_by("KD104", working_bootstrap(), many)
    assert len(finding.subjects) == 200
    assert len(finding.message) < 300
