"""What every rule must have, whatever it is about; and what a rule is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from types import ModuleType

import pytest

from kdiag.rules.catalog import every_rule
from kdiag.rules.platform import Platform
from kdiag.rules.rule import Match, Note, Rule, Severity, declared, rule
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners
from kdiag.walk.facts.metadata import Metadata
from tests import walks
from tests.facts import known, listener, listeners, working_bootstrap
from tests.together import together

RULES = every_rule()


# The public contract's table, written down a second time on purpose. A code is never renamed, and
# never used again when it is given up.
CONTRACT = """
KD001 internal-error
KD002 deadline
KD101 name-not-found
KD102 resolver-failed
KD103 refused
KD104 timeout
KD105 unreachable
KD106 address-family
KD107 silent-peer
KD108 not-kafka
KD109 controller-port
KD110 tls-required
KD111 tls-not-offered
KD112 untrusted-certificate
KD113 certificate-name
KD114 certificate-expired
KD115 client-certificate
KD116 tls-handshake
KD117 sasl-required
KD118 sasl-not-offered
KD119 sasl-mechanism
KD120 sasl-credentials
KD121 closed-early
KD201 metadata-unanswered
KD202 metadata-error
KD203 no-brokers
KD204 unknown-topic
KD205 topic-denied
KD206 no-leader
KD207 listener-missing-on-leader
KD208 under-replicated
KD209 bootstraps-disagree
KD210 duplicate-node-id
KD301 private-address
KD302 loopback-address
KD303 unusable-address
KD304 internal-name
KD305 advertised-port-closed
KD306 advertised-blocked
KD307 wrong-broker
KD308 shared-address
KD309 wrong-door
KD310 wrong-cluster
KD311 odd-one-out
KD312 protocol-differs
KD401 produce-unanswered
KD402 path-mtu
KD403 produce-denied
KD404 not-enough-replicas
KD405 not-leader
KD406 record-rejected
KD407 client-disagrees
KD408 throttled
KD501 security-group-blocks
KD502 network-acl-blocks
KD503 no-route
KD504 no-public-address
KD505 open-to-the-world
KD506 instance-not-running
KD507 public-address-found
KD508 aws-unavailable
KD509 address-not-in-account
KD510 load-balancer
KD511 msk-access
KD701 expectation
"""
NAMES = dict(line.split() for line in CONTRACT.split("\n") if line)
RETIRED: dict[str, str] = {}  # code → the name that it had

# Added since; the contract may grow, and these are kept as it is.
ADDED = {
    "KD122": "credentials-in-clear",
    "KD123": "verification-off",
    "KD124": "slow-answer",
    "KD125": "certificate-expires-soon",
    "KD126": "login-limited",
    "KD127": "canonical-name",
    "KD129": "proxy-refused",
    "KD130": "proxy-not-connected",
    "KD313": "no-sni-route",
    "KD409": "write-failed",
    "KD601": "unreadable-file",
    "KD602": "mis-indented",
    "KD603": "unknown-field",
    "KD604": "misplaced-field",
    "KD605": "wrong-value",
    "KD606": "missing-field",
    "KD607": "duplicate-key",
    "KD608": "old-api-version",
    "KD609": "field-not-for-type",
    "KD610": "listener-clash",
    "KD611": "unknown-node-id",
    "KD612": "broker-without-entry",
    "KD613": "node-port-out-of-range",
    "KD614": "node-port-clash",
    "KD615": "brokers-share-address",
    "KD616": "advertises-private",
    "KD617": "advertises-loopback",
    "KD618": "advertises-nothing",
    "KD619": "advertises-internal-name",
    "KD620": "advertises-node-address",
    "KD621": "advertised-port-not-exposed",
    "KD622": "listener-port-advertised",
    "KD623": "node-port-not-pinned",
    "KD624": "name-not-in-certificate",
    "KD625": "local-traffic-policy",
    "KD626": "plaintext-to-the-internet",
    "KD627": "not-rolled-out",
    "KD628": "address-moved",
    "KD629": "kubernetes-unavailable",
    "KD631": "advertised-without-listener",
    "KD632": "listener-without-protocol",
    "KD633": "controller-advertised",
    "KD634": "published-port-differs",
    "KD635": "listener-not-advertised",
    "KD636": "inter-broker-outside",
    "KD637": "listener-not-readable",
    "KD638": "old-setting",
    "KD639": "unknown-setting",
    "KD640": "listens-on-loopback",
    "KD641": "image-needs-setting",
    "KD642": "settings-elsewhere",
    "KD643": "client-property",
    "KD644": "unread-value",
    "KD645": "address-of-another-broker",
    "KD651": "forbidden-setting",
    "KD801": "vantage-unreachable",
    "KD901": "offsets-topic",
    "KD902": "group-denied",
    "KD903": "coordinator-loading",
    "KD904": "coordinator-unavailable",
    "KD905": "coordinator-unreachable",
    "KD906": "group-rebalancing",
    "KD907": "offset-out-of-range",
    "KD908": "read-denied",
    "KD909": "open-transaction",
    "KD910": "transactional-id-denied",
    "KD911": "idempotence-denied",
    "KD912": "unknown-rack",
    "KD913": "reader-disagrees",
    "KD914": "replica-unreachable",
    "KD915": "large-answers",
    "KD916": "state-topic",
    "KD128": "tls-interception",
    "KD410": "idle-connection-dropped",
    "KD1001": "companion-unreachable",
    "KD1002": "companion-tls",
    "KD1003": "companion-login",
    "KD1004": "companion-unhealthy",
    "KD1005": "companion-answer",
    "KD1006": "companion-other-cluster",
}

# What a code has before its last two digits → the modules that declare its rules.
AREAS = {
    "0": {"rules.walk"},
    "1": {
        f"rules.{name}"
        for name in (
            *("canonical", "connection", "interception", "proxy", "slow"),
            *("tls", "certificates", "sasl"),
        )
    },
    "2": {"rules.metadata", "rules.topic"},
    "3": {"rules.listeners", "rules.identity", "rules.mismatch", "rules.routing"},
    "4": {"rules.produce", "rules.records", "hold.rules"},
    "5": {f"aws.rules.{name}" for name in ("blocked", "account", "managed")},
    "6": {
        f"lint.rules.{name}"
        for name in (
            *("shape", "strimzi", "resources", "addresses", "ports", "brokers", "settings"),
            *("containers", "clients", "charts", "live", "kubernetes"),
        )
    },
    "7": {"rules.expect"},
    "8": {"remote.rules"},
    "9": {f"rules.{name}" for name in ("consume", "coordinator", "internal_topics", "roles")},
    "10": {"companions.rules"},
}

# What no scenario of the demo shows, and why. tests/rules has a case for each of them.
NOT_IN_THE_DEMO = {
    "KD001": "would be a bug of kdiag's own",
    "KD002": "is the walk's own limit; tests/report/render/test_json.py has a walk that meets it",
    "KD126": "is Amazon MSK's; tests/control has a server that says so",
    "KD403": "the real client does not take part in the demo: its world is in this process only",
    "KD404": "as KD403",
    "KD405": "as KD403",
    "KD406": "as KD403",
    "KD407": "as KD403",
    "KD409": "as KD403",
    "KD913": "as KD403",
    "KD801": "the demo has one place; tests/remote has ways that do not lead there",
    # Files have no scenario: tests/lint/corpus has a case for each of these.
    **{code: "is about files" for code in RULES if code.startswith("KD6")},
}

EVERY = together("declared", RULES.values())


@EVERY
def test_its_code_and_name_are_the_contracts(declared: Rule) -> None:
    assert {**NAMES, **ADDED}.get(declared.code) == declared.name


@EVERY
def test_its_code_is_of_the_file_it_is_in(declared: Rule) -> None:
    assert declared.judge.__module__.removeprefix("kdiag.") in AREAS[str(declared.area)]


@EVERY
def test_it_has_a_title_of_one_line(declared: Rule) -> None:
    assert 10 < len(declared.title) < 80
    assert declared.title[0].isupper() or declared.title.startswith("kdiag")
    assert not declared.title.endswith(".")


@EVERY
def test_its_page_says_what_it_is_how_to_prove_it_and_how_to_fix_it(declared: Rule) -> None:
    first, _, rest = declared.doc.partition("\n\n")
    assert first.endswith((".", ":"))
    assert rest.strip()
    if declared.code != "KD001":
        assert re.search(r"^Prove it: \S", declared.doc, re.MULTILINE)
    fix = re.search(r"^How to fix: \S.+\.\Z", declared.doc, re.MULTILINE | re.DOTALL)
    assert fix and len(fix[0].split()) >= 8


@EVERY
def test_its_address_is_derived_from_its_code(declared: Rule) -> None:
    assert declared.url.endswith(f"#{declared.code.lower()}")


@EVERY
def test_it_is_silent_about_nothing(declared: Rule) -> None:
    assert list(declared.apply(Facts())) == []


@together("code", sorted(RULES.keys() - NOT_IN_THE_DEMO.keys()))
def test_a_scenario_of_the_demo_shows_it(code: str) -> None:
    shown = {finding.code for report in walks.scenarios().values() for finding in report.findings}
    assert code in shown


def test_what_the_demo_cannot_show_is_listed_for_a_reason() -> None:
    shown = {finding.code for report in walks.scenarios().values() for finding in report.findings}
    assert not shown & NOT_IN_THE_DEMO.keys()
    assert RULES.keys() >= NOT_IN_THE_DEMO.keys()


def test_a_scenario_that_is_named_after_a_rule_leads_to_it() -> None:
    """As the root cause, or as the warning that it shows."""
    codes = {declared.name: declared.code for declared in RULES.values()}
    named = [name for name in walks.scenarios() if name in codes]
    assert len(named) > 20
    for name in named:
        report = walks.scenarios()[name]
        if name == "public-address-found":  # it is what the fix of another is made of
            assert [f.code for f in report.findings if f.consequence_of == "KD301"][-1] == "KD507"
            continue
        if name in ("coordinator-unreachable", "replica-unreachable"):  # hop 3 says why
            assert codes[name] in [f.code for f in report.findings if f.consequence_of == "KD301"]
            continue
        first = report.root_cause or report.findings[0].code
        assert first == codes[name], name


def test_no_name_is_used_twice() -> None:
    names = Counter((*NAMES.values(), *ADDED.values(), *RETIRED.values()))
    assert [name for name, times in names.items() if times > 1] == []
    assert not NAMES.keys() & ADDED.keys()


def test_retired_codes_stay_retired() -> None:
    assert not RETIRED.keys() & RULES.keys()
    assert not set(RETIRED.values()) & {declared.name for declared in RULES.values()}


def test_a_code_is_declared_once() -> None:
    def judge() -> Iterator[Match]:
        return iter(())

    one, other = ModuleType("one"), ModuleType("other")
    one.first = rule("KD301", "first", Severity.ERROR, "First")(judge)  # type: ignore[attr-defined]
    other.again = rule("KD301", "again", Severity.ERROR, "Again")(judge)  # type: ignore[attr-defined]
    assert list(declared(one)) == ["KD301"]
    with pytest.raises(ValueError, match="KD301 is declared twice"):
        declared(one, other)


def test_a_rule_waits_for_the_facts_that_it_needs() -> None:
    def judge(bootstrap: Bootstrap, listeners: Listeners | None) -> Iterator[Match]:
        yield Match("bootstrap", f"{listeners is not None}", ("it",))

    made = Rule(
        "KD999",
        "made-up",
        Severity.WARNING,
        "Made up",
        judge,
        (Bootstrap, Listeners),
        frozenset({Listeners}),
    )
    assert list(made.apply(known(listeners(listener(1, "198.51.100.1:1"))))) == []
    (alone,) = made.apply(known(working_bootstrap()))
    (both,) = made.apply(known(working_bootstrap(), listeners()))
    assert (alone.message, both.message) == ("False", "True")
    assert (alone.code, alone.severity, alone.consequence_of) == ("KD999", "warning", None)


def test_what_a_rule_needs_is_read_from_its_signature() -> None:
    assert RULES["KD310"].needs == (Metadata, Listeners, Platform)
    assert RULES["KD302"].optional == frozenset()
    assert RULES["KD101"].optional == frozenset({Listeners})


def test_what_a_rule_notes_is_no_finding() -> None:
    def judge(bootstrap: Bootstrap) -> Iterator[Match | Note]:
        yield Note("by the way")
        yield Match("bootstrap", "found", ("it",))

    made = Rule("KD999", "made-up", Severity.WARNING, "Made up", judge, (Bootstrap,))
    assert next(made.judged(known(working_bootstrap()))) == Note("by the way")
    assert [finding.message for finding in made.apply(known(working_bootstrap()))] == ["found"]
