"""Walks the hops, applies the rules, and reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import kdiag.rules
from kdiag import __version__
from kdiag.aws.hop import AwsFacts
from kdiag.aws.paths import derived
from kdiag.config.settings import Endpoint, Settings, UsageError, settings
from kdiag.config.usage import quoted
from kdiag.network.attempt import clean
from kdiag.report.model import HopResult, Report, report
from kdiag.rules import versions
from kdiag.rules.rule import RULES, Finding, Match, ignorable
from kdiag.rules.text import listed
from kdiag.walk.hop import HopFailure, HopFailures
from kdiag.walk.hops import HOPS
from kdiag.walk.runner import (
    INTERRUPTED,
    HopRun,
    MakeDialer,
    Observer,
    WalkResult,
    collect,
    error_location,
    nobody,
    not_walked,
    plain_dialer,
)

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient
    from kdiag.config.access import ConfigAccess
    from kdiag.config.expectation import Expectation
    from kdiag.config.security import Sasl
    from kdiag.lint.kubectl import KubectlOutput

kdiag.rules.load()

MOST_KUBECTL = 10.0  # seconds


def check(
    bootstrap: str,
    *,
    topic: str | None = None,
    timeout: float | None = None,
    answer_timeout: float | None = None,
    deadline: float = 30.0,
    properties: Mapping[str, str] | None = None,
    mapped: Sequence[str] = (),
    fail_on: str = "error",
    aws: bool = False,
    aws_source: str | None = None,
    aws_region: str | None = None,
    aws_profile: str | None = None,
    aws_echo: str | None = None,
    expect: Sequence[str] = (),
    ignore: Sequence[str] = (),
    config: Mapping[str, str] | None = None,
    strimzi: str | None = None,
) -> Report:
    """Walks the four hops from this machine and says whether a Kafka client can connect.

    `bootstrap` is "host:port[,host:port...]"; `timeout` bounds reaching a peer (3 s),
    `answer_timeout` an answer of a peer that accepted (10 s) and `deadline` the whole walk, in
    seconds; `properties` are client properties; `mapped` holds "ADVERTISED=CANDIDATE".
    Nothing is written unless `topic` is given. With `aws` EC2 is asked beside the walk; `aws_echo`
    is the URL of a service that tells a client its address, and nobody is asked without. `expect`
    holds what must be so besides, as "brokers=3"; findings of the codes or names in `ignore` are
    reported, and do not count. `config` are files that configure the cluster, names and texts,
    `strimzi` NAMESPACE/NAME of its Kafka resource, which kubectl is asked for. From a running
    event loop, write `await asyncio.to_thread(kdiag.check, ...)`.

    Raises `kdiag.UsageError` when an argument cannot be used; what fails on the network is in the
    report.
    """
    _no_loop()
    asked = settings(
        bootstrap,
        topic=topic,
        timeout=timeout,
        answer_timeout=answer_timeout,
        deadline=deadline,
        properties=properties,
        mapped=mapped,
        fail_on=fail_on,
        aws=aws,
        aws_source=aws_source,
        aws_region=aws_region,
        aws_profile=aws_profile,
        aws_echo=aws_echo,
        expect=expected(expect, topic=topic, place="expect"),
        ignore=ignored(ignore, place="ignore"),
        config=config,
        strimzi=strimzi,
    )
    return run(asked)


def _no_loop() -> None:
    """Raises UsageError inside of a running event loop: the walk has one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "kdiag.check runs an event loop of its own, and one is running here: "
        "await asyncio.to_thread(kdiag.check, ...)"
    )


def expected(
    texts: Sequence[str], *, topic: str | None, place: str = "--expect"
) -> Sequence[Expectation]:
    """What is to be so besides. Raises UsageError for what is no expectation."""
    if not texts:
        return ()
    from kdiag.rules import expectations

    return expectations.expected(texts, topic=topic, place=place)


def ignored(names: Sequence[str], place: str = "--ignore") -> tuple[str, ...]:
    """The codes of findings that are not to count. Raises UsageError for what is none."""
    if not names:
        return ()
    kdiag.rules.load_all()
    return ignorable(names, place)


def run(
    asked: Settings,
    net: MakeDialer | None = None,
    observe: Observer | None = None,
    cloud: AwsClient | None = None,
) -> Report:
    """One check in an event loop of its own. `observe` hears each hop's id as it starts, and again
    with its summary as it ends; `cloud` is another AWS than the one that is asked for. Raises
    UsageError for a login that kdiag cannot make, and for files that it knows nothing of."""
    cloud = door(asked, cloud)
    return asyncio.run(walk(asked, net or plain_dialer, observe or nobody, cloud))


def door(asked: Settings, cloud: AwsClient | None = None, *, here: bool = True) -> AwsClient | None:
    """The door to AWS, where it is to be asked and there is none yet. `here` says that the walk
    starts on this machine. Raises UsageError for what cannot be done: a login, files that kdiag
    knows nothing of."""
    sasl = asked.security.sasl
    if sasl and sasl.mechanism == "GSSAPI":
        _has_kerberos(asked.security.protocol or "SASL_PLAINTEXT")
    if sasl and sasl.mechanism == "AWS_MSK_IAM" and here:
        _has_region(sasl, asked.bootstrap)
    if asked.aws and cloud is None:
        from kdiag.aws.client import Ec2Client  # starts to load boto3, beside the walk

        cloud = Ec2Client(asked.aws, asked.deadline)
    if asked.config:
        from kdiag.lint.linter import refuse_unknown  # what reads files loads where there are some

        refuse_unknown(asked.config.files)
    return cloud


def _has_kerberos(protocol: str) -> None:
    """Raises UsageError where nobody here can log in with Kerberos."""
    from kdiag.kafka.client import has_gssapi  # what few logins need

    if not has_gssapi():
        raise UsageError(
            "sasl.mechanism=GSSAPI: the confluent-kafka that is installed here was built without "
            "Kerberos, as its wheels are: `pip install --no-binary confluent-kafka "
            "confluent-kafka==VERSION`, with the version of Debian's librdkafka-dev, builds one "
            f"that has it. Or write security.protocol={protocol} without a mechanism, to check the "
            "path up to the login and see what the listener offers"
        )


def _has_region(sasl: Sasl, servers: Sequence[Endpoint]) -> None:
    """Raises UsageError where nothing says which region a login to AWS is to be signed for."""
    from kdiag.kafka.sasl.iam import configured_region, region_of  # what few logins need

    named = sasl.region or region_of(servers[0].host) or configured_region(sasl.profile)
    if not named:
        raise UsageError(
            f"sasl.mechanism=AWS_MSK_IAM: {quoted(servers[0].host)} names no AWS region to sign "
            "for: set AWS_REGION, or a region in the profile"
        )


async def walk(
    asked: Settings, make_net: MakeDialer, observe: Observer, cloud: AwsClient | None = None
) -> Report:
    """The walk itself; with `cloud`, AWS is asked too. Cancelled, it still reports what is known so
    far."""
    started = time.perf_counter()
    reading = _reading(asked)
    haul = await collect(asked, make_net, observe, cloud)
    shown = None
    if reading:
        if haul.gathered.interrupted:
            reading.cancel()
        await asyncio.wait([reading])
        shown = None if reading.cancelled() else reading.result()
    return judged(asked, haul, started, shown)


def _reading(asked: Settings) -> asyncio.Task[KubectlOutput] | None:
    """kubectl, asked beside the walk, if it is to be asked; it takes no longer than the walk."""
    if asked.config is None or not asked.config.strimzi:
        return None
    from kdiag.lint.kubectl import resources

    namespace, _, name = asked.config.strimzi.partition("/")
    return asyncio.ensure_future(resources(namespace, name, min(MOST_KUBECTL, asked.deadline)))


def unwalked(asked: Settings) -> Report:
    """The report on a walk that was interrupted before it began."""
    nothing = not_walked(INTERRUPTED)._replace(interrupted=True)
    return judged(asked, WalkResult(nothing), time.perf_counter())


def judged(
    asked: Settings, haul: WalkResult, started: float, shown: KubectlOutput | None = None
) -> Report:
    """The report on what was gathered since `started` (time.perf_counter), here or elsewhere;
    `shown` is what kubectl has shown beside it."""
    gathered = haul.gathered
    facts: dict[type, Any] = {Settings: asked, **gathered.facts}
    if haul.aws:
        facts[AwsFacts] = haul.aws
    steps = [_step(leg) for leg in gathered.legs]
    if haul.unreached:
        facts[type(haul.unreached)] = haul.unreached
        steps.insert(
            0, HopResult(hop="vantage", status="pass", elapsed_ms=0, summary="not reached")
        )
    halts = list(gathered.halts)
    if asked.config:
        steps.append(_config(asked.config, facts, shown))
    if asked.expect:
        steps.append(_expect(asked, facts, steps, halts, haul.told))
    facts[HopFailures] = HopFailures(tuple(halts))
    findings, notes = _judge(facts, halts, haul.told)
    notes += versions.notes(facts)
    return report(
        asked,
        facts,
        findings,
        steps,
        version=__version__,
        started_at=gathered.started_at,
        elapsed_ms=round((time.perf_counter() - started) * 1000),
        interrupted=gathered.interrupted,
        notes=[*gathered.notes, *notes],
    )


def _step(leg: HopRun) -> HopResult:
    return HopResult(
        hop=leg.hop,
        status="skipped" if leg.skipped_because else "pass",
        elapsed_ms=leg.elapsed_ms,
        skipped_because=leg.skipped_because,
        summary=leg.summary,
    )


def _config(given: ConfigAccess, facts: dict[type, Any], shown: KubectlOutput | None) -> HopResult:
    """The files as they were given, and what kubectl has shown."""
    from kdiag.lint.observed import KUBECTL
    from kdiag.lint.sources import ConfigSource

    sources = dict(given.files)
    if shown and shown.text:
        sources[f"{KUBECTL}{given.strimzi}"] = shown.text
    took, untold = (shown.elapsed, shown.untold) if shown else (0.0, ())
    facts[ConfigSource] = found = ConfigSource(sources, took, given.strimzi, untold)
    return HopResult(
        hop="config", status="pass", elapsed_ms=round(took * 1000), summary=found.summary
    )


def _expect(
    asked: Settings,
    facts: dict[type, Any],
    before: Sequence[HopResult],
    halts: list[HopFailure],
    told: Sequence[str],
) -> HopResult:
    """What was expected, held to what the walk has learnt."""
    from kdiag.rules.expectations import CheckedExpectations, held

    kdiag.rules.load_expect()
    started = time.perf_counter()
    unseen = [step for step in before if step.status == "skipped" and not step.summary]
    because = f"hop {unseen[0].hop} was skipped, {unseen[0].skipped_because}" if unseen else ""
    try:
        facts[CheckedExpectations] = held(asked.expect, facts, because)
    except Exception as error:
        halts.append(HopFailure("expect", asked.deadline, error_location(error, told)))
        return HopResult(
            hop="expect", status="skipped", elapsed_ms=0, skipped_because="kdiag failed"
        )
    took = round((time.perf_counter() - started) * 1000)
    summary = facts[CheckedExpectations].summary
    return HopResult(hop="expect", status="pass", elapsed_ms=took, summary=summary)


def _judge(
    facts: dict[type, Any], halts: Sequence[HopFailure], told: Sequence[str]
) -> tuple[list[Finding], list[str]]:
    """What all rules find, and their notes. A rule that fails itself becomes a finding too."""
    findings: list[Finding] = []
    notes: list[str] = []
    broken = list(halts)
    try:
        if AwsFacts in facts:
            kdiag.rules.load_aws()
            facts.update(derived(facts))
    except Exception as error:
        broken.append(HopFailure("aws", 0.0, error_location(error, told)))
    asked: Settings = facts[Settings]
    joined = None
    try:
        if asked.config:
            from kdiag.lint.merge import merge

            joined = merge(facts)
            facts.update(joined.facts())
    except Exception as error:
        broken.append(HopFailure("config", 0.0, error_location(error, told)))
    for rule in RULES.values():
        if rule.code in ("KD001", "KD002"):
            continue
        try:
            for said in rule.judged(facts):
                if isinstance(said, Match):
                    findings.append(rule.finding(said))
                else:
                    notes.append(said.text)
        except Exception as error:
            broken.append(
                HopFailure(HOPS[-1].id, 0.0, f"rule {rule.code}: {error_location(error, told)}")
            )
    findings = joined.beside(findings) if joined else findings
    broken += _unexplained(facts, findings)
    for code in ("KD001", "KD002"):
        findings += RULES[code].apply({HopFailures: HopFailures(tuple(broken))})
    return findings, notes


def _unexplained(facts: Mapping[type, Any], findings: Sequence[Finding]) -> Iterator[HopFailure]:
    """What failed and no rule names: a hop must never pass for want of a finding."""
    for hop in HOPS:
        named = {subject for f in findings if f.hop == hop.id for subject in f.subjects}
        failed = facts[hop.gives].failed if hop.gives in facts else ()
        missed = [subject for subject in failed if subject not in named]
        if missed:
            yield HopFailure(hop.id, 0.0, clean(f"no rule names the failure of {listed(missed)}"))
