"""kdiag check: options and environment → settings → walk → report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from kdiag import __version__
from kdiag.cli import completion
from kdiag.cli.ahead import begin
from kdiag.cli.exits import EXIT_CODES
from kdiag.cli.options import REPORTED, fail_on, output
from kdiag.cli.settings import ALL, all_asked, all_wheres
from kdiag.cli.watching import ready, walked, walked_from
from kdiag.report.render import render

if TYPE_CHECKING:
    from kdiag.config.settings import Settings
    from kdiag.report.model import Report
    from kdiag.report.several import Reports

BUNDLE = "bundle"  # a form that no -o names
MOST_WAIT = 86400  # seconds


@click.command(epilog=EXIT_CODES, short_help="Walk the four hops, and say which one fails.")
@click.argument(
    "bootstraps",
    nargs=-1,
    metavar="BOOTSTRAP[,BOOTSTRAP...]...",
    envvar="KDIAG_BOOTSTRAP",
    shell_complete=completion.targets,
)
@click.option(
    "-X", "--property", "given", multiple=True, metavar="KEY=VALUE", help="A client property."
)
@click.option(
    "-F",
    "--command-config",
    metavar="FILE",
    envvar="KDIAG_COMMAND_CONFIG",
    shell_complete=completion.paths,
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
    type=float,
    metavar="SECONDS",
    envvar="KDIAG_TIMEOUT",
    help="To reach a peer: DNS, TCP, TLS.  [default: 3.0]",
)
@click.option(
    "--answer-timeout",
    type=float,
    metavar="SECONDS",
    envvar="KDIAG_ANSWER_TIMEOUT",
    help="For an answer of a peer that accepted.  [default: 10.0]",
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
    "--trust-project",
    is_flag=True,
    envvar="KDIAG_TRUST_PROJECT",
    help="Take kdiag.toml of this folder for your own: it may name who gets your secrets.",
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=float,
    envvar="KDIAG_WAIT",
    help="Walk again and again until it passes, for so long at most.",
)
@click.option(
    "--map",
    "map",
    multiple=True,
    envvar="KDIAG_MAP",
    metavar="ADVERTISED=CANDIDATE",
    help="What if it advertised that? Dial it as well, and see which broker answers.",
)
@fail_on("What fails a hop.")
@click.option(
    "--expect",
    multiple=True,
    envvar="KDIAG_EXPECT",
    shell_complete=completion.expectations,
    metavar="NAME=VALUE",
    help="What must be so besides, as brokers=3 or 'certificate-days>=30'; may be repeated.",
)
@click.option(
    "--ignore",
    multiple=True,
    envvar="KDIAG_IGNORE",
    shell_complete=completion.codes,
    metavar="CODE",
    help="Report this finding, but do not let it count; may be repeated.",
)
@click.option(
    "--aws",
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
    shell_complete=completion.paths,
    help="A file that configures the cluster, as kdiag lint takes it; may be repeated.",
)
@click.option(
    "--strimzi",
    metavar="NAMESPACE/NAME",
    envvar="KDIAG_STRIMZI",
    help="Read the cluster's Strimzi resources, through your own kubectl.",
)
@click.option(
    "--from",
    "places",
    multiple=True,
    envvar="KDIAG_FROM",
    metavar="WHERE",
    help="Walk from there instead: ssh://HOST, k8s://NAMESPACE/POD, docker://CONTAINER, "
    "ssm://INSTANCE or local; may be repeated.",
)
@click.option(
    "--bundle",
    metavar="FILE.zip",
    envvar="KDIAG_BUNDLE",
    shell_complete=completion.paths,
    help="Write what a ticket needs: report, page, settings without secrets, versions, resolver "
    "and routes.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    envvar="KDIAG_VERBOSE",
    help="Repeat also what servers say that are no brokers and that you did not name.",
)
@output(REPORTED, envvar="KDIAG_OUTPUT")
@click.pass_context
def check(
    context: click.Context,
    /,
    bootstraps: Sequence[str],
    wait: float | None,
    places: Sequence[str],
    bundle: str | None,
    outputs: Sequence[str],
    **written: Any,
) -> int:
    """Walk the four hops from here to BOOTSTRAP, a HOST:PORT (9092 where no port is given), or to
    @NAME, a target of kdiag.toml. Several, or @all for every target, are walked at once.

    Without --topic nothing is written: every broker gets a produce request for a topic that does
    not exist, and its answer proves the path.

    Options can be given in the environment, as KDIAG_TOPIC is for --topic, and so can properties:
    KDIAG_X_SASL_PASSWORD is sasl.password.
    """
    from kdiag.cli.outputs import deliver, destinations, file
    from kdiag.config.settings import UsageError

    if wait is not None and not 0 <= wait <= MOST_WAIT:
        raise click.UsageError(f"--wait {wait:g}: write seconds between 0 and {MOST_WAIT}")
    bootstraps = _whole(bootstraps)
    try:
        asked = all_asked(context, bootstraps, written)
        wheres = all_wheres(places, asked, wait) if places else ()
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    begun = () if wheres or bundle or wait is not None else begin(asked, outputs)
    ready()
    with destinations(outputs) as opened, file(BUNDLE, bundle) as packed:
        reports = (
            walked_from(asked, wheres)
            if wheres
            else walked(asked, [each.form for each in opened], wait, begun)
        )
        one = len(bootstraps) < 2 and bootstraps != [f"@{ALL}"] and len(wheres) < 2
        if one and len(reports) == 1:
            (report,) = reports.values()
            deliver(_writer(report, asked), [*opened, *packed])
            return report.exit_code
        from kdiag.report.several import together

        several = together(reports, __version__, compared=bool(wheres))
        deliver(_writer(several, asked), [*opened, *packed])
    return several.exit_code


def _whole(bootstraps: Sequence[str]) -> list[str]:
    """The lists of servers, each in one piece: a blank beside a comma does not end one."""
    found: list[str] = []
    for part in bootstraps:
        if found and (found[-1].endswith(",") or part.startswith(",")):
            found[-1] += part
        else:
            found.append(part)
    return found


def _writer(said: Report | Reports, asked: Mapping[str, Settings]) -> Callable[[str, TextIO], None]:
    """What writes the answer in any form."""

    def write(form: str, stream: TextIO) -> None:
        if form == BUNDLE:
            from kdiag.cli.bundle import write as pack

            pack(said, asked, stream.buffer)
        else:
            render(form, said, stream)

    return write
