"""kdiag check: options and environment → settings → walk → report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from kdiag.cli.exits import EXIT_CODES
from kdiag.cli.files import configuration, named, read
from kdiag.cli.watching import ready, watched
from kdiag.render import RENDERERS, render

if TYPE_CHECKING:
    from kdiag.expectation import Expectation
    from kdiag.report import Report
    from kdiag.settings import Settings

CHECK_IP = "https://checkip.amazonaws.com"  # says by which address it was asked
MAX_FILE = 1 << 20  # bytes of a properties file


@click.command(epilog=EXIT_CODES)
@click.argument(
    "bootstrap", required=False, metavar="BOOTSTRAP[,BOOTSTRAP...]", envvar="KDIAG_BOOTSTRAP"
)
@click.option(
    "-X", "--property", "given", multiple=True, metavar="KEY=VALUE", help="A client property."
)
@click.option(
    "-F",
    "--command-config",
    metavar="FILE",
    envvar="KDIAG_COMMAND_CONFIG",
    help="A file of client properties, as Java's or librdkafka's clients take them.",
)
@click.option(
    "--topic",
    metavar="NAME",
    envvar="KDIAG_TOPIC",
    help="Check this topic, and write one small record to every leader.",
)
@click.option(
    "--timeout",
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    envvar="KDIAG_TIMEOUT",
    help="For one dial.",
)
@click.option(
    "--deadline",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    envvar="KDIAG_DEADLINE",
    help="For the whole walk.",
)
@click.option(
    "--map",
    "mapped",
    multiple=True,
    envvar="KDIAG_MAP",
    metavar="ADVERTISED=CANDIDATE",
    help="What if it advertised that? Dial it as well, and see which broker answers.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    show_default=True,
    envvar="KDIAG_FAIL_ON",
    help="What fails a hop.",
)
@click.option(
    "--expect",
    multiple=True,
    envvar="KDIAG_EXPECT",
    metavar="NAME=VALUE",
    help="What must be so besides, as brokers=3 or 'certificate-days>=30'; may be repeated.",
)
@click.option(
    "--ignore",
    multiple=True,
    envvar="KDIAG_IGNORE",
    metavar="CODE",
    help="Report this finding, but do not let it count; may be repeated.",
)
@click.option(
    "--aws",
    "ask_aws",
    is_flag=True,
    envvar="KDIAG_AWS",
    help="Ask EC2 which security group, network ACL or route stands in the way (Describe calls).",
)
@click.option(
    "--aws-region", metavar="REGION", envvar="KDIAG_AWS_REGION", help="Instead of finding it out."
)
@click.option("--aws-profile", metavar="NAME", envvar="KDIAG_AWS_PROFILE", help="Of ~/.aws/config.")
@click.option(
    "--aws-source",
    metavar="IP|CIDR",
    envvar="KDIAG_AWS_SOURCE",
    help="The address that this client has for the brokers.",
)
@click.option(
    "--aws-echo",
    metavar="URL|off",
    envvar="KDIAG_AWS_ECHO",
    help="Who tells this client's public address; off in CI.  [default: checkip.amazonaws.com]",
)
@click.option(
    "--config",
    "files",
    multiple=True,
    metavar="FILE",
    help="A file that configures the cluster, as kdiag lint takes it; may be repeated.",
)
@click.option(
    "--strimzi",
    metavar="NAMESPACE/NAME",
    envvar="KDIAG_STRIMZI",
    help="Read the cluster's Strimzi resources, through your own kubectl.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[=FILE]",
    envvar="KDIAG_OUTPUT",
    help=f"{', '.join(RENDERERS)}: to standard output or to a file; may be repeated.",
)
@click.pass_context
def check(
    context: click.Context,
    bootstrap: str | None,
    given: Sequence[str],
    command_config: str | None,
    topic: str | None,
    timeout: float,
    deadline: float,
    mapped: Sequence[str],
    fail_on: str,
    expect: Sequence[str],
    ignore: Sequence[str],
    ask_aws: bool,
    aws_region: str | None,
    aws_profile: str | None,
    aws_source: str | None,
    aws_echo: str | None,
    files: Sequence[str],
    strimzi: str | None,
    outputs: Sequence[str],
) -> int:
    """Walk the four hops from here to BOOTSTRAP, a HOST:PORT (9092 where no port is given), or to
    @NAME, a target of kdiag.toml.

    Without --topic nothing is written: every broker gets a produce request for a topic that does
    not exist, and its answer proves the path.

    Options can be given in the environment, as KDIAG_TOPIC is for --topic, and so can properties:
    KDIAG_X_SASL_PASSWORD is sasl.password.
    """
    from kdiag.delivery import deliver, destinations
    from kdiag.settings import UsageError, parse_properties, parse_property, settings
    from kdiag.targets import Target, from_environment, target

    noted: list[str] = []
    try:
        chosen = Target()
        if bootstrap is not None and bootstrap.startswith("@"):
            chosen, bootstrap = target(bootstrap[1:], os.environ), None
        environment = from_environment(os.environ, noted)
        file = _or(context, "command_config", command_config, chosen.command_config)
        topic = _or(context, "topic", topic, chosen.topic)
        asked = settings(
            chosen.bootstrap if bootstrap is None else bootstrap,
            topic=topic,
            timeout=_or(context, "timeout", timeout, chosen.timeout),
            deadline=_or(context, "deadline", deadline, chosen.deadline),
            properties=dict(parse_property(text) for text in given),
            between=[chosen.properties, environment],
            from_file=parse_properties(_read(file)) if file else None,
            mapped=_or(context, "mapped", mapped, chosen.map),
            fail_on=_or(context, "fail_on", fail_on, chosen.fail_on),
            expect=_expected(_or(context, "expect", expect, chosen.expect), topic),
            ignore=_ignored(_or(context, "ignore", ignore, chosen.ignore)),
            noted=noted,
            aws=_or(context, "ask_aws", ask_aws, chosen.aws),
            aws_source=_or(context, "aws_source", aws_source, chosen.aws_source),
            aws_region=_or(context, "aws_region", aws_region, chosen.aws_region),
            aws_profile=_or(context, "aws_profile", aws_profile, chosen.aws_profile),
            aws_echo=_or(context, "aws_echo", aws_echo, chosen.aws_echo)
            or ("off" if os.environ.get("CI") else CHECK_IP),
            config={named(name): configuration(name) for name in files},
            strimzi=strimzi,
        )
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    ready()
    with destinations(outputs) as opened:
        report = _walked(asked)
        deliver(lambda form, stream: render(form, report, stream), opened)
    return report.exit_code


T = TypeVar("T")


def _or(context: click.Context, name: str, given: T, chosen: T | None) -> T:
    """An option as the command line or the environment gives it, or else the target."""
    default = context.get_parameter_source(name) is ParameterSource.DEFAULT
    return chosen if default and chosen is not None else given


def _expected(texts: Sequence[str], topic: str | None) -> Sequence[Expectation]:
    if not texts:
        return ()
    from kdiag.expectations import expected

    return expected(texts, topic=topic)


def _ignored(names: Sequence[str]) -> Sequence[str]:
    if not names:
        return ()
    from kdiag.walk import ignored

    return ignored(names)


def _walked(asked: Settings) -> Report:
    """The check itself, with the live view where somebody watches."""
    from kdiag.walk import run

    for note in asked.notes:
        click.echo(f"kdiag: note: {note}", err=True)
    with watched() as observe:
        return run(asked, observe=observe)


def _read(name: str) -> str:
    """A properties file; Java writes them in Latin-1, everybody else in UTF-8."""
    data = read(name, MAX_FILE, "a file of client properties: 1 MiB at most")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
