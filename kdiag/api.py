"""Walks the hops, applies the rules, and reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import kdiag
from kdiag.config.endpoint import Endpoint
from kdiag.config.options import CheckOptions, Spelling, argument, flag
from kdiag.config.settings import Settings
from kdiag.config.settings import settings as make_settings
from kdiag.config.usage import UsageError, quoted
from kdiag.walk.facts.run import WalkResult
from kdiag.walk.hop import Companion
from kdiag.walk.runner import MakeDialer, Observer, collect, nobody, plain_dialer

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient
    from kdiag.companions.facts import Companions
    from kdiag.config.security import Sasl
    from kdiag.lint.kubectl import KubectlOutput
    from kdiag.remote.check import VantageObserver
    from kdiag.remote.vantage import Vantage
    from kdiag.report.judge import Extension
    from kdiag.report.model import Report

MOST_KUBECTL = 10.0  # seconds

T = TypeVar("T")


def check(bootstrap: str, **options: Unpack[CheckOptions]) -> kdiag.Report:
    """Walks the four hops from this machine and says whether a Kafka client can connect.

    `bootstrap` is "host:port[,host:port...]"; CheckOptions describes the options. Inside a running
    event loop use `check_async`.

    Raises `kdiag.UsageError` when an argument cannot be used; what fails on the network is in the
    report.
    """
    _no_loop()
    return run(_settings(bootstrap, options))


async def check_async(bootstrap: str, **options: Unpack[CheckOptions]) -> kdiag.Report:
    """As `check`, inside a running event loop. When it is cancelled, it raises CancelledError."""
    settings = _settings(bootstrap, options)
    aws = await asyncio.to_thread(prepare, settings)
    report = await walk(settings, plain_dialer, nobody, aws)
    if report.interrupted:
        raise asyncio.CancelledError
    return report


def _settings(bootstrap: str, options: CheckOptions) -> Settings:
    """The settings of a check from Python. Raises UsageError, which names the argument."""
    for name in options.keys() - CheckOptions.__annotations__.keys():
        raise TypeError(f"check() got an unexpected keyword argument {name!r}")
    values = {name: value for name, value in options.items() if value is not None}
    return make_settings(bootstrap, spelled=argument, **{**values, **judged(values, argument)})


def _no_loop() -> None:
    """Raises UsageError inside of a running event loop: the walk has one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "kdiag.check runs an event loop of its own, and one is running here: "
        "write await kdiag.check_async(...)"
    )


def judged(values: Mapping[str, Any], spelled: Spelling = flag) -> dict[str, Any]:
    """The options that rules read, made of their texts in `values`: `expect` as expectations,
    `ignore` as codes of findings. Raises UsageError."""
    found: dict[str, Any] = {}
    if values.get("expect"):
        from kdiag.rules.expectations import parse_expectations  # 12 ms

        found["expect"] = parse_expectations(
            values["expect"], topic=values.get("topic"), place=spelled("expect", "")
        )
    if values.get("ignore"):
        from kdiag.rules.catalog import every_rule  # 0.7 ms
        from kdiag.rules.rule import ignorable

        found["ignore"] = ignorable(values["ignore"], every_rule(), spelled("ignore", ""))
    return found


def run(
    settings: Settings,
    make_dialer: MakeDialer | None = None,
    observe: Observer | None = None,
    aws: AwsClient | None = None,
) -> Report:
    """One check in an event loop of its own. `observe` is called with each hop's id as it starts,
    and again with its summary as it ends; `aws` stands in for the client of AWS. Raises UsageError
    as `prepare` does."""
    aws = prepare(settings, aws)
    return asyncio.run(walk(settings, make_dialer or plain_dialer, observe or nobody, aws))


def prepare(
    settings: Settings, aws: AwsClient | None = None, *, local: bool = True
) -> AwsClient | None:
    """The client of AWS, where AWS is asked and `aws` is none. `local` says that the walk starts on
    this machine. Raises UsageError for a login that kdiag cannot make, and for files of a kind that
    it does not know."""
    sasl, options = settings.security.sasl, settings.options
    if options.topic and local and not options.proxy:
        _has_client("a topic")
    if sasl and sasl.mechanism == "GSSAPI":
        _has_client("a login by Kerberos")
        _has_kerberos(settings.security.protocol or "SASL_PLAINTEXT")
    if sasl and sasl.mechanism == "AWS_MSK_IAM" and local:
        _has_region(sasl, settings.bootstrap)
    if options.aws and aws is None:
        from kdiag.aws.client import Ec2Client  # 35 ms: starts to load boto3, beside the walk
        from kdiag.config.access import AwsAccess

        access = AwsAccess(
            options.aws_source, options.aws_region, options.aws_profile, options.aws_echo
        )
        aws = Ec2Client(access, options.deadline)
    if options.config:
        # 76 ms
        from kdiag.lint.linter import refuse_client, refuse_unknown  # loads where there are files

        refuse_client(options.config, "--config")
        refuse_unknown(options.config)
    return aws


def _has_client(use: str) -> None:
    """Raises UsageError where the real client, which that use takes, is not installed."""
    try:
        # 11 ms
        import kdiag.kafka.client  # noqa: F401
    except ImportError:
        raise UsageError(
            f"{use} takes confluent-kafka, which is not installed: pip install confluent-kafka. "
            "kdiag checks the rest of the path without it"
        ) from None


def _has_kerberos(protocol: str) -> None:
    """Raises UsageError where nobody here can log in with Kerberos."""
    from kdiag.kafka.client import has_gssapi  # 12 ms: few logins need it

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
    from kdiag.kafka.sasl.iam import without_region  # 14 ms: few logins need it

    if without_region(sasl, servers[0].host):
        raise UsageError(
            f"sasl.mechanism=AWS_MSK_IAM: {quoted(servers[0].host)} names no AWS region to sign "
            "for: set AWS_REGION, or a region in the profile"
        )


def run_from(
    settings: Settings, places: Sequence[Vantage], observe: VantageObserver | None = None
) -> dict[str, Report]:
    """The check from every vantage point, by label. Raises UsageError for what cannot be done
    from here."""
    from kdiag.remote import check as remote  # 71 ms

    prepare(settings, local=False)
    topic = settings.options.topic and not settings.options.proxy
    if topic and any(place.scheme == "local" for place in places):
        _has_client("a topic")

    async def walk_here(settings: Settings, observe: Observer) -> Report:
        return await walk(settings, plain_dialer, observe)

    return remote.run_from(settings, places, walk_here, observe)


async def play(
    name: str, *, timeout: float = 1.0, deadline: float = 30.0, observe: Observer | None = None
) -> Report:
    """Builds a scenario of the demo, walks it, and takes it down again."""
    from kdiag.demo.scenario import built  # 37 ms

    async with built(name, timeout, deadline) as (settings, make_dialer, aws):
        return await walk(settings, make_dialer, observe or nobody, aws)


async def walk(
    settings: Settings,
    make_dialer: MakeDialer,
    observe: Observer,
    aws: AwsClient | None = None,
    collected: Callable[[WalkResult], None] | None = None,
) -> Report:
    """Walks the hops and judges the facts; with `aws`, AWS is asked beside the walk. `collected` is
    called with the facts. A walk that is cancelled still reports what is known so far.

    What judges is loaded after the walk, unless the caller has loaded it meanwhile: hop 1 does not
    wait for it (14 ms).
    """
    kubectl, asking = _kubectl(settings), _rest(settings, make_dialer)
    result = await collect(settings, make_dialer, observe, _companion(aws))
    if collected:
        collected(result)
    started = time.perf_counter() - result.walk.elapsed_ms / 1000
    beside = [task for task in (kubectl, asking) if task]
    if result.walk.interrupted:
        for task in beside:
            task.cancel()
    if beside:
        await asyncio.wait(beside)
    resources, companions = _result(kubectl), _result(asking)
    walked = time.perf_counter()
    from kdiag.report.judge import Judgement  # 41 ms

    started += time.perf_counter() - walked  # loading is no part of the walk
    extensions = list(_extensions(settings, result, resources, companions))
    judgement = Judgement(settings, result, extensions)
    report = judgement.report(started)
    if settings.options.hold:
        from kdiag.hold.extension import held  # 20 ms: loads where it is asked for

        holding = await held(settings, make_dialer, observe, result, report)
        judgement.add(holding)
        report = judgement.report(started, interrupted=holding.found.interrupted)
    with suppress(asyncio.CancelledError):  # while this loaded or judged: the report is whole
        await asyncio.sleep(0)
    return report


def _companion(aws: AwsClient | None) -> Companion | None:
    if aws is None:
        return None
    from kdiag.aws.hop import AwsCompanion  # 1.6 ms

    return AwsCompanion(aws)


def _extensions(
    settings: Settings,
    result: WalkResult,
    resources: KubectlOutput | None,
    companions: Companions | None,
) -> Iterator[Extension]:
    """The features that add to the report; each is loaded only where it adds something."""
    if result.companion.values:
        from kdiag.aws.extension import AwsExtension  # 63 ms

        yield AwsExtension()
    options = settings.options
    if options.config or options.strimzi:
        from kdiag.lint.extension import ConfigExtension  # 106 ms

        yield ConfigExtension(options.config, options.strimzi, resources)
    if settings.rest:
        from kdiag.companions.extension import CompanionsExtension  # 10 ms

        yield CompanionsExtension(companions, result.walk.facts, result.walk.interrupted)


def _rest(settings: Settings, make_dialer: MakeDialer) -> asyncio.Task[Companions] | None:
    """Asking the servers with a REST API, beside the walk and no longer than its deadline."""
    if not settings.rest:
        return None
    from kdiag.companions.probe import ask_all  # 20 ms

    asking = ask_all(settings, make_dialer(settings))
    return asyncio.ensure_future(asyncio.wait_for(asking, settings.options.deadline))


def _result(task: asyncio.Task[T] | None) -> T | None:
    """The result of a task that has ended; None without one, and where it was not in time."""
    if task is None or task.cancelled() or isinstance(task.exception(), TimeoutError):
        return None
    return task.result()


def _kubectl(settings: Settings) -> asyncio.Task[KubectlOutput] | None:
    """kubectl, which runs beside the walk where `--strimzi` is given, and no longer than it."""
    if not settings.options.strimzi:
        return None
    from kdiag.lint.kubectl import resources  # 3.9 ms

    namespace, _, name = settings.options.strimzi.partition("/")
    longest = min(MOST_KUBECTL, settings.options.deadline)
    return asyncio.ensure_future(resources(namespace, name, longest))
