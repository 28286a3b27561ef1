"""What can be expected, how it is written, and how it is held to facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdiag
from kdiag.config.expectation import EXPECTABLES, parse
from kdiag.config.usage import UsageError
from kdiag.network.attempt import TlsHandshake
from kdiag.rules.expectations import check_expectations, parse_expectations
from tests.certificates import END, made, name
from tests.facts import (
    CLUSTER_ID,
    bootstrap,
    client,
    contact,
    delivery,
    dial,
    known,
    listener,
    listeners,
    metadata,
    partition,
    produce,
    produced,
    reported,
    topic,
    working_bootstrap,
)

TWO = (listener(1, "b-1.example.com:9094"), listener(2, "b-2.example.com:9094"))
LOST = listener(3, "b-3.example.com:9094", "timeout")
SIX = topic(*(partition(number) for number in range(6)))
ALL = (
    working_bootstrap(),
    metadata(*(x.broker for x in TWO), topic=SIX),
    listeners(*TWO),
    produce(produced(1), produced(2)),
)
PART = (working_bootstrap(), metadata(TWO[0].broker, LOST.broker), listeners(TWO[0], LOST))


def met(text: str, *facts: object) -> bool | None:
    """Whether an expectation is met; None where that is not known."""
    (one,) = check_expectations(
        parse_expectations([text], topic="orders"), known(*facts), ""
    ).results
    return None if one.unknown else one.holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("brokers=2", True),
        ("brokers==2", True),
        ("brokers = 2", True),
        ("brokers!=2", False),
        ("brokers>=3", False),
        ("brokers<3", True),
        ("brokers<=2", True),
        ("brokers>2", False),
        ("advertised=*.example.com:9094", True),
        ("advertised=*.EXAMPLE.com", True),
        ("advertised=b-?.example.com", True),
        ("advertised=b-1.example.com", False),
        ("advertised=*:9092", False),
        ("advertised!=10.*", True),
        ("advertised!=*.example.com:9094", False),
        ("advertised=b-[12].example.com", False),  # no set of characters
        ("protocol=PLAINTEXT", True),
        ("protocol=SASL_SSL", False),
        ("protocol!=PLAINTEXT", False),
        ("identity=proven", True),
        ("identity!=proven", False),
        (f"cluster-id={CLUSTER_ID}", True),
        ("cluster-id=another", False),
        ("cluster-id=hand*", True),
        ("cluster-id=HAND*", False),
        ("topic-partitions>=6", True),
        ("topic-partitions=5", False),
        ("acks-ms<200", True),
        ("acks-ms<1", False),
        ("certificate-days>=0", False),  # nobody has one
        ("certificate-days<30", False),
    ],
)
def test_it_is_held_to_what_was_met(text: str, holds: bool | None) -> None:
    assert met(text, *ALL) is holds


def test_an_ipv6_address_is_matched_with_and_without_its_port() -> None:
    one = listener(1, "[2001:db8::1]:9094")
    facts = (working_bootstrap(), metadata(one.broker), listeners(one))
    assert met("advertised=[2001:db8::1]:9094", *facts) is True
    assert met("advertised=2001:db8::*", *facts) is True
    assert met("advertised=[2001:db8::2]:9094", *facts) is False


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("brokers=2", True),  # hop 2 knows it
        ("identity=proven", None),  # broker 3 was never met
        ("protocol=PLAINTEXT", None),
        ("protocol=SSL", False),  # broker 1 is enough to know
        ("acks-ms<200", None),  # hop 4 did not run
        ("topic-partitions=1", None),  # no topic was told of
    ],
)
def test_what_was_not_met_is_not_known(text: str, holds: bool | None) -> None:
    assert met(text, *PART) is holds


def test_a_broker_that_may_not_be_asked_is_not_proven() -> None:
    shy = listener(1, "b-1.example.com:9094")
    best = shy.contact.dials[0]._replace(answered_as=None)
    shy = shy._replace(contact=shy.contact._replace(dials=(best,)))
    assert (
        met("identity=proven", working_bootstrap(), metadata(shy.broker), listeners(shy)) is False
    )


def test_the_days_that_a_certificate_is_valid() -> None:
    """They count from when it was shown, and every certificate counts."""
    day, chain = 86400, (made(name(cn="b")),)
    end = END.timestamp()
    shown = [
        contact(f"198.51.100.{days}:9094", "", dial("198.51.100.1")._replace(handshake=shake))
        for days in (10, 40)
        for shake in [TlsHandshake("b", "TLSv1.3", "x", chain, end - days * day)]
    ]
    facts = (bootstrap(*shown), listeners())
    assert met("certificate-days>=10", *facts) is True
    assert met("certificate-days>=11", *facts) is False
    assert met("certificate-days<=39", *facts) is False
    after = (
        shown[0].dials[0]._replace(handshake=TlsHandshake("b", "TLSv1.3", "x", chain, end + day))
    )
    expired = bootstrap(shown[0]._replace(dials=(after,)))
    assert met("certificate-days>=0", expired, listeners()) is False


def test_with_a_topic_the_acknowledgements_are_what_counts() -> None:
    answered = produce(produced(1), produced(2), client=client(delivery(1), delivery(2)))
    assert met("acks-ms<=10", *ALL[:3], answered) is True
    assert met("acks-ms<5", *ALL[:3], answered) is False
    lost = produce(produced(1), client=client(delivery(1, "_MSG_TIMED_OUT")))
    assert met("acks-ms<=10", *ALL[:3], lost) is None


# How it is written.


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("borkers=3", "--expect borkers: no such expectation (did you mean brokers?); there is "),
        ("=3", "no such expectation; there is brokers=3, advertised=*.example.com:9094, protocol="),
        ("", "no such expectation"),
        ("certificate-days", "write what is expected of it, in quotes: 'certificate-days>=30'"),
        ("protocol>=SSL", "protocol: >= cannot be used with it; write = or !=, for example 'pro"),
        ("protocol=TLS", "write PLAINTEXT or SSL or SASL_PLAINTEXT or SASL_SSL"),
        ("identity=yes", "identity='yes': write proven"),
        ("brokers=three", "brokers='three': write a number of brokers"),
        ("brokers=-1", "write a number"),
        ("brokers=1e9", "write a number"),
        ("brokers=nan", "write a number"),
        ("brokers=٣", "write a number"),
        ("advertised=", "advertised='': write HOST or HOST:PORT, with * for anything"),
        ("advertised=a b", "write HOST or HOST:PORT"),
        ("cluster-id=\x1b[31m", "write the id of a cluster"),
        ("topic-partitions>=6", "of which topic? Add --topic NAME"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_expectations([text], topic=None)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text(max_size=50))
def test_any_text_is_an_expectation_or_refused(text: str) -> None:
    try:
        one = parse(text)
    except UsageError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 500
    else:
        assert parse(str(one)) == one


def test_each_has_an_example_that_is_one_and_says_what_it_is() -> None:
    for known_as, one in EXPECTABLES.items():
        assert parse(one.example).name == known_as
        assert one.doc.endswith(".")
        assert "\n" not in one.doc


def test_the_same_said_twice_is_one() -> None:
    assert len(parse_expectations(["brokers=3", "brokers==3"], topic=None)) == 1


def test_patterns_cost_no_time() -> None:
    """A pattern that a backtracking matcher takes ages for."""
    one = listener(1, f"{'a' * 250}:9094")
    assert met(f"advertised={'*a' * 100}b", working_bootstrap(), metadata(one.broker)) is False


# In the report.


def test_a_walk_that_passes_and_an_expectation_that_does_not() -> None:
    report = reported(*ALL, expect=["brokers=3", "identity=proven"])
    assert (report.exit_code, report.failing_hop, report.root_cause) == (70, "expect", "KD701")
    assert report.verdict == "fail"
    assert [one.met for one in report.expectations] == [False, True]
    assert report.expectations[0].found == {"": 2}
    assert report.findings[0].message == "Expected brokers=3: it is 2"
    assert report.hops[-1].summary == "1 of 2 expectations met"


def test_all_that_was_expected_is_so() -> None:
    report = reported(*ALL, expect=["brokers=2"])
    assert (report.exit_code, report.verdict) == (0, "pass")
    assert report.hops[-1].status == "pass"


def test_what_is_not_known_fails_where_the_walk_passes() -> None:
    silent = metadata(*(x.broker for x in TWO), cluster_id=None)
    report = reported(working_bootstrap(), silent, *ALL[2:], expect=["cluster-id=x"])
    assert report.exit_code == 70
    assert report.expectations[0].met is None
    said = "Expected cluster-id=x: not known, the walk does not know its cluster-id"
    assert report.findings[0].message == said
    without = reported(working_bootstrap(), metadata(), expect=["cluster-id=x", "advertised=x"])
    reasons = [one.reason for one in without.expectations]
    assert reasons == [None, "not known, the walk does not know its advertised"]


def test_a_path_without_tls_has_no_certificate_that_expires() -> None:
    report = reported(*ALL, expect=["certificate-days>=30"])
    assert report.expectations[0].met is False
    assert set(report.expectations[0].found.values()) == {"no certificate"}
    assert "broker 1: no certificate" in report.findings[0].evidence


def test_a_walk_that_fails_stays_the_cause() -> None:
    """What is not known for that follows from it; what is known to be wrong does not."""
    report = reported(*PART, expect=["acks-ms<200", "brokers=5"])
    assert (report.exit_code, report.failing_hop) == (30, "listeners")
    follows = {f.subjects[0]: f.consequence_of for f in report.findings if f.code == "KD701"}
    assert follows == {
        "expectation acks-ms<200": report.root_cause,
        "expectation brokers=5": None,
    }


def test_the_library_takes_them() -> None:
    with pytest.raises(kdiag.UsageError, match="expect broker: no such expectation"):
        kdiag.check("127.0.0.1:1", expect=["broker=3"])
    with pytest.raises(kdiag.UsageError, match="ignore KD99: no such finding"):
        kdiag.check("127.0.0.1:1", ignore=["KD99"])
    report = kdiag.check("127.0.0.1:1", expect=["brokers=3"])
    assert report.expectations[0].reason == "not known, hop metadata was skipped, bootstrap failed"
