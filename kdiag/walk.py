"""Walks the hops, applies the rules, and reports."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kdiag.rules
from kdiag import __version__
from kdiag.attempt import clean
from kdiag.clients.net import Net
from kdiag.expectations import Expected, expected, held
from kdiag.hop import Halt, Halts, Hop, Walk
from kdiag.hops import HOPS
from kdiag.hops.aws import SPARE, Aws, aws, begin
from kdiag.hops.bootstrap import Bootstrap
from kdiag.hops.metadata import Metadata
from kdiag.hops.produce import Produce
from kdiag.report import INTERRUPTED, Report, Step, report
from kdiag.rule import RULES, Finding, ignorable
from kdiag.rules.words import listed
from kdiag.security import redacted
from kdiag.settings import Settings, UsageError, settings
from kdiag.ways import derived

if TYPE_CHECKING:
    from kdiag.aws.cloud import Cloud

kdiag.rules.load()

Observer = Callable[[str, str | None], None]
MakeNet = Callable[[Settings], Net]


def check(
    bootstrap: str,
    *,
    topic: str | None = None,
    timeout: float = 3.0,
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
) -> Report:
    """Walks the four hops from this machine and says whether a Kafka client can connect.

    `bootstrap` is "host:port[,host:port...]"; `timeout` bounds one dial and `deadline` the whole
    walk, in seconds; `properties` are client properties; `mapped` holds "ADVERTISED=CANDIDATE".
    Nothing is written unless `topic` is given. With `aws` EC2 is asked beside the walk; `aws_echo`
    is the URL of a service that tells a client its address, and nobody is asked without. `expect`
    holds what must be so besides, as "brokers=3"; findings of the codes or names in `ignore` are
    reported, and do not count. Must not be called from a running event loop.

    Raises `kdiag.UsageError` when an argument cannot be used; what fails on the network is in the
    report.
    """
    asked = settings(
        bootstrap,
        topic=topic,
        timeout=timeout,
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
    )
    return run(asked)


def ignored(names: Sequence[str], place: str = "--ignore") -> tuple[str, ...]:
    """The codes of findings that are not to count. Raises UsageError for what is none."""
    if not names:
        return ()
    kdiag.rules.load_all()
    return ignorable(names, place)


def run(
    asked: Settings,
    net: MakeNet | None = None,
    observe: Observer | None = None,
    cloud: Cloud | None = None,
) -> Report:
    """One check in an event loop of its own. `observe` hears each hop's id as it starts, and again
    with its summary as it ends; `cloud` is another AWS than the one that is asked for. Raises
    UsageError for a login that kdiag cannot make."""
    if asked.security.sasl and asked.security.sasl.mechanism == "GSSAPI":
        _has_kerberos(asked.security.protocol or "SASL_PLAINTEXT")
    if asked.aws and cloud is None:
        from kdiag.clients.aws import AwsDoor  # starts to load boto3, beside the walk

        cloud = AwsDoor(asked.aws, asked.deadline)
    return asyncio.run(walk(asked, net or _plain_net, observe or _nobody, cloud))


def _has_kerberos(protocol: str) -> None:
    """Raises UsageError where nobody here can log in with Kerberos."""
    from kdiag.clients.kafka import has_gssapi  # what few logins need

    if not has_gssapi():
        raise UsageError(
            "sasl.mechanism=GSSAPI: the confluent-kafka that is installed here was built without "
            "Kerberos, as its wheels are. Build it against a librdkafka that has it (with "
            "libsasl2): `pip install --no-binary confluent-kafka confluent-kafka`; or use another "
            f"mechanism; or write security.protocol={protocol} without one, to check the path up "
            "to the login and see what the listener offers"
        )


async def walk(
    asked: Settings, make_net: MakeNet, observe: Observer, cloud: Cloud | None = None
) -> Report:
    """The walk itself; with `cloud`, AWS is asked too. Cancelled, it still reports what is known so
    far."""
    started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    started = time.perf_counter()
    facts: dict[type, Any] = {Settings: asked}
    steps: list[Step] = []
    halts: list[Halt] = []
    interrupted = False
    net = make_net(asked)
    shared = Walk(asked, net, cloud, until=asyncio.get_running_loop().time() + asked.deadline)
    for hop in (*HOPS, *((aws,) if cloud else ())):
        left = started + asked.deadline - time.perf_counter()
        if hop is aws:  # what it has learnt when the deadline passes elsewhere is kept
            left = max(left, SPARE)
        try:
            steps.append(await _step(hop, shared, facts, steps, halts, left, observe))
        except asyncio.CancelledError:
            interrupted = True
            steps.append(_skipped(hop, INTERRUPTED))
        if hop.gives is Metadata and Bootstrap in facts:
            begin(shared, facts[Bootstrap], facts.get(Metadata))
    if shared.looking:
        shared.looking.cancel()
    try:
        await net.close()
    except asyncio.CancelledError:
        interrupted = True
    if asked.expect:
        steps.append(_expect(asked, facts, steps, halts, shared.told))
    facts[Halts] = Halts(tuple(halts))
    return report(
        asked,
        facts,
        _judge(facts, halts, shared.told),
        steps,
        version=__version__,
        started_at=started_at,
        elapsed_ms=round((time.perf_counter() - started) * 1000),
        interrupted=interrupted,
        notes=shared.login.notes,
    )


async def _step(
    hop: Hop,
    shared: Walk,
    facts: dict[type, Any],
    before: Sequence[Step],
    halts: list[Halt],
    left: float,
    observe: Observer,
) -> Step:
    """Runs one hop, if what it needs is known, and stores its facts."""
    if any(step.skipped_because == INTERRUPTED for step in before):
        return _skipped(hop, INTERRUPTED)
    if not hop.ready(facts):
        return _skipped(hop, _reason(before, halts))
    observe(hop.id, None)
    started = time.perf_counter()
    try:
        gathering = hop.run(shared, facts)
        gathered = await asyncio.wait_for(gathering, max(left, 0.0))
    except TimeoutError:
        halts.append(Halt(hop.id, shared.settings.deadline))
        return _skipped(hop, "the deadline passed", time.perf_counter() - started)
    except Exception as error:
        halts.append(Halt(hop.id, shared.settings.deadline, _place(error, shared.told)))
        return _skipped(hop, "kdiag failed", time.perf_counter() - started)
    if gathered is None:
        return _skipped(hop, _reason(before, halts))
    facts[hop.gives] = gathered
    observe(hop.id, gathered.summary)
    elapsed_ms = round(gathered.elapsed * 1000)
    if isinstance(gathered, Produce) and gathered.skipped_because:
        return Step(
            hop=hop.id,
            status="skipped",
            elapsed_ms=elapsed_ms,
            skipped_because=gathered.skipped_because,
            summary=gathered.summary,
        )
    return Step(hop=hop.id, status="pass", elapsed_ms=elapsed_ms, summary=gathered.summary)


def _expect(
    asked: Settings,
    facts: dict[type, Any],
    before: Sequence[Step],
    halts: list[Halt],
    told: Sequence[str],
) -> Step:
    """What was expected, held to what the walk has learnt."""
    started = time.perf_counter()
    unseen = [step for step in before if step.status == "skipped" and not step.summary]
    because = f"hop {unseen[0].hop} was skipped, {unseen[0].skipped_because}" if unseen else ""
    try:
        facts[Expected] = held(asked.expect, facts, because)
    except Exception as error:
        halts.append(Halt("expect", asked.deadline, _place(error, told)))
        return Step(hop="expect", status="skipped", elapsed_ms=0, skipped_because="kdiag failed")
    took = round((time.perf_counter() - started) * 1000)
    summary = facts[Expected].summary
    return Step(hop="expect", status="pass", elapsed_ms=took, summary=summary)


def _judge(facts: dict[type, Any], halts: Sequence[Halt], told: Sequence[str]) -> list[Finding]:
    """What all rules find. A rule that fails itself becomes a finding too."""
    findings: list[Finding] = []
    broken = list(halts)
    try:
        if Aws in facts:
            kdiag.rules.load_aws()
            facts.update(derived(facts))
    except Exception as error:
        broken.append(Halt("aws", 0.0, _place(error, told)))
    for rule in RULES.values():
        if rule.code in ("KD001", "KD002"):
            continue
        try:
            findings += rule.apply(facts)
        except Exception as error:
            broken.append(Halt(HOPS[-1].id, 0.0, f"rule {rule.code}: {_place(error, told)}"))
    broken += _unexplained(facts, findings)
    for code in ("KD001", "KD002"):
        findings += RULES[code].apply({Halts: Halts(tuple(broken))})
    return findings


def _unexplained(facts: Mapping[type, Any], findings: Sequence[Finding]) -> Iterator[Halt]:
    """What failed and no rule names: a hop must never pass for want of a finding."""
    for hop in HOPS:
        named = {subject for f in findings if f.hop == hop.id for subject in f.subjects}
        failed = facts[hop.gives].failed if hop.gives in facts else ()
        missed = [subject for subject in failed if subject not in named]
        if missed:
            yield Halt(hop.id, 0.0, clean(f"no rule names the failure of {listed(missed)}"))


def _skipped(hop: Hop, because: str, elapsed: float = 0.0) -> Step:
    return Step(
        hop=hop.id,
        status="skipped",
        elapsed_ms=round(elapsed * 1000),
        skipped_because=because,
    )


def _reason(before: Sequence[Step], halts: Sequence[Halt]) -> str:
    """Why a hop has nothing to work on: the last one that ran left nothing."""
    if halts:
        return f"{halts[0].hop} did not end"
    ran = [step.hop for step in before if step.status != "skipped"]
    return f"{ran[-1]} failed" if ran else "nothing to work on"


def _place(error: Exception, told: Sequence[str]) -> str:
    """What went wrong, and where. Any text may be in an error, so secrets are taken out."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return clean(f"{type(error).__name__} at {where}: {redacted(str(error), told)}", 300)


def _plain_net(asked: Settings) -> Net:
    return Net(asked.timeout, family=asked.family, tls=asked.security.tls)


def _nobody(hop: str, summary: str | None) -> None:
    return
