"""Walks the hops, applies the rules, and reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import kdiag
from kdiag.config.settings import Endpoint, Settings, UsageError, settings
from kdiag.config.usage import quoted
from kdiag.walk.hop import Companion
from kdiag.walk.runner import MakeDialer, Observer, WalkResult, collect, nobody, plain_dialer

if TYPE_CHECKING:
    from kdiag.aws.facts import AwsClient
    from kdiag.config.expectation import Expectation
    from kdiag.config.security import Sasl
    from kdiag.lint.kubectl import KubectlOutput
    from kdiag.remote.check import Observer as RemoteObserver
    from kdiag.remote.vantage import Vantage
    from kdiag.report.judge import Extension
    from kdiag.report.model import Report

MOST_KUBECTL = 10.0  # seconds


class CheckOptions(TypedDict, total=False):
    """What `check` takes beside the bootstrap servers.

    `timeout` bounds reaching a peer (3 s), `answer_timeout` an answer of a peer that accepted (10
    s) and `deadline` the whole walk (30 s), in seconds. `properties` are client properties;
    `mapped` holds "ADVERTISED=CANDIDATE". Nothing is written unless `topic` is given. With `aws`
    EC2 is asked beside the walk; `aws_echo` is the URL of a service that tells a client its
    address; without it no service is asked. `expect` holds requirements such as "brokers=3";
    findings of the codes or names in `ignore` are reported and do not count. `config` maps names of
    files that configure the cluster to their texts; `strimzi` is NAMESPACE/NAME of its Kafka
    resource, which kubectl reads.
    """

    topic: str | None
    timeout: float | None
    answer_timeout: float | None
    deadline: float
    properties: Mapping[str, str] | None
    mapped: Sequence[str]
    fail_on: Literal["error", "warning"]
    aws: bool
    aws_source: str | None
    aws_region: str | None
    aws_profile: str | None
    aws_echo: str | None
    expect: Sequence[str]
    ignore: Sequence[str]
    config: Mapping[str, str] | None
    strimzi: str | None


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
    asked = _settings(bootstrap, options)
    cloud = await asyncio.to_thread(door, asked)
    report = await walk(asked, plain_dialer, nobody, cloud)
    if report.interrupted:
        raise asyncio.CancelledError
    return report


def _settings(bootstrap: str, options: CheckOptions) -> Settings:
    """The settings of a check from Python. Raises UsageError, which names the argument."""
    for name in options.keys() - CheckOptions.__annotations__.keys():
        raise TypeError(f"check() got an unexpected keyword argument {name!r}")
    fail_on = options.get("fail_on", "error")
    if fail_on not in ("error", "warning"):
        raise UsageError(f'fail_on={fail_on!r}: write "error" or "warning"')
    given: dict[str, Any] = {**options}
    topic = options.get("topic")
    given["expect"] = expected(options.get("expect", ()), topic=topic, place="expect")
    given["ignore"] = ignored(options.get("ignore", ()), place="ignore")
    return settings(bootstrap, **given)


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


def expected(
    texts: Sequence[str], *, topic: str | None, place: str = "--expect"
) -> Sequence[Expectation]:
    """What is to be so besides. Raises UsageError for what is no expectation."""
    if not texts:
        return ()
    from kdiag.rules import expectations

    return expectations.parse_expectations(texts, topic=topic, place=place)


def ignored(names: Sequence[str], place: str = "--ignore") -> tuple[str, ...]:
    """The codes of findings that are not to count. Raises UsageError for what is none."""
    if not names:
        return ()
    from kdiag.catalog import every_rule
    from kdiag.rules.rule import ignorable

    return ignorable(names, every_rule(), place)


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
    from kdiag.kafka.sasl.iam import without_region  # what few logins need

    if without_region(sasl, servers[0].host):
        raise UsageError(
            f"sasl.mechanism=AWS_MSK_IAM: {quoted(servers[0].host)} names no AWS region to sign "
            "for: set AWS_REGION, or a region in the profile"
        )


def run_from(
    asked: Settings, wheres: Sequence[Vantage], observe: RemoteObserver | None = None
) -> dict[str, Report]:
    """The check from every vantage point, by label. Raises UsageError for what cannot be done
    from here."""
    from kdiag.remote import check as remote

    door(asked, here=False)

    async def here(settings: Settings, observer: Observer) -> Report:
        return await walk(settings, plain_dialer, observer)

    return remote.run_from(asked, wheres, here, observe)


async def play(
    name: str, *, timeout: float = 1.0, deadline: float = 30.0, observe: Observer | None = None
) -> Report:
    """Builds a scenario of the demo, walks it, and takes it down again."""
    from kdiag.demo.scenario import built

    async with built(name, timeout, deadline) as (asked, net, cloud):
        return await walk(asked, net, observe or nobody, cloud)


async def walk(
    asked: Settings, make_net: MakeDialer, observe: Observer, cloud: AwsClient | None = None
) -> Report:
    """The walk itself; with `cloud`, AWS is asked too. Cancelled, it still reports what is known so
    far.

    What judges is loaded afterwards, unless the caller has loaded it meanwhile: hop 1 does not wait
    for it (14 ms).
    """
    started = time.perf_counter()
    reading = _reading(asked)
    result = await collect(asked, make_net, observe, _companion(cloud))
    shown = None
    if reading:
        if result.walk.interrupted:
            reading.cancel()
        await asyncio.wait([reading])
        shown = None if reading.cancelled() else reading.result()
    walked = time.perf_counter()
    from kdiag.report.judge import judge

    started += time.perf_counter() - walked  # what is loaded is no part of the walk
    made = judge(asked, result, started, list(_extensions(asked, result, shown)))
    with suppress(asyncio.CancelledError):  # Ctrl-C while this was loaded or judged: it is whole
        await asyncio.sleep(0)
    return made


def _companion(cloud: AwsClient | None) -> Companion | None:
    if cloud is None:
        return None
    from kdiag.aws.hop import AwsCompanion

    return AwsCompanion(cloud)


def _extensions(
    asked: Settings, result: WalkResult, shown: KubectlOutput | None
) -> Iterator[Extension]:
    """The features that have something to add; each is loaded only then."""
    if result.companion.values:
        from kdiag.aws.extension import AwsExtension

        yield AwsExtension()
    if asked.config:
        from kdiag.lint.extension import ConfigExtension

        yield ConfigExtension(asked.config, shown)


def _reading(asked: Settings) -> asyncio.Task[KubectlOutput] | None:
    """kubectl, asked beside the walk, if it is to be asked; it takes no longer than the walk."""
    if asked.config is None or not asked.config.strimzi:
        return None
    from kdiag.lint.kubectl import resources

    namespace, _, name = asked.config.strimzi.partition("/")
    return asyncio.ensure_future(resources(namespace, name, min(MOST_KUBECTL, asked.deadline)))
