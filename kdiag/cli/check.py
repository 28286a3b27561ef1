"""kdiag check: options and environment → settings → walk → report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click
from click.core import ParameterSource

from kdiag import __version__
from kdiag.cli import completion
from kdiag.cli.ahead import begin
from kdiag.cli.exits import EXIT_CODES, epilog
from kdiag.cli.options import REPORTED, check_options, output, shown
from kdiag.cli.settings import ALL, TYPED, all_settings, all_vantages
from kdiag.cli.watching import ready, walked, walked_from
from kdiag.config.options import seconds, variable
from kdiag.report.render import Detail, render

if TYPE_CHECKING:
    from kdiag.config.settings import Settings
    from kdiag.report.model import Report
    from kdiag.report.several import Reports

BUNDLE = "bundle"  # a form that no -o names


class _Check(click.Command):
    """Keeps what was typed: click forgets all but the last of an option that is given twice."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[TYPED] = tuple(args)
        return super().parse_args(ctx, args)


@click.command(
    cls=_Check,
    epilog=epilog("check", EXIT_CODES),
    short_help="Walk the four hops, and say which one fails.",
)
@click.argument(
    "bootstraps",
    nargs=-1,
    metavar="BOOTSTRAP[,BOOTSTRAP...]...",
    envvar=variable("bootstrap"),
    shell_complete=completion.targets,
)
@click.option(
    *("-b", "--bootstrap-server", "--bootstrap-servers"),
    "servers",
    multiple=True,
    metavar="HOST:PORT",
    help="BOOTSTRAP, as Kafka's own tools take it.",
)
@check_options
@output(REPORTED, variables=True)
@click.pass_context
def check(
    context: click.Context,
    /,
    bootstraps: Sequence[str],
    wait: str | None,
    places: Sequence[str],
    bundle: str | None,
    quiet: bool,
    outputs: Sequence[str],
    servers: Sequence[str],
    **written: Any,
) -> int:
    """Walk the four hops from here to BOOTSTRAP, a HOST:PORT (9092 where no port is given), or to
    @NAME, a target of kdiag.toml. Several, or @all for every target, are walked at once.

    Without --topic nothing is written: every broker gets a produce request for a topic that does
    not exist, and its answer proves the path.

    Options can be given in the environment, as KDIAG_TOPIC is for --topic, and so can properties:
    KDIAG_X_SASL_PASSWORD is sasl.password.
    """
    from kdiag.cli.outputs import deliver, destinations, file  # 0.4 ms

    detail = shown(written["verbose"], quiet)
    wait_seconds = None if wait is None else seconds("wait", wait)
    if servers and context.get_parameter_source("bootstraps") is ParameterSource.ENVIRONMENT:
        bootstraps = ()
    bootstraps = _whole([*bootstraps, *servers])
    checks = all_settings(context, bootstraps, written)
    vantages = all_vantages(places, checks, wait_seconds) if places else ()
    away = vantages or bundle or wait_seconds is not None
    begun = () if away else begin(checks, outputs)
    ready()
    with destinations(outputs) as opened, file(BUNDLE, bundle) as packed:
        reports = (
            walked_from(checks, vantages)
            if vantages
            else walked(checks, [each.form for each in opened], wait_seconds, begun)
        )
        single = len(bootstraps) < 2 and bootstraps != [f"@{ALL}"] and len(vantages) < 2
        if single and len(reports) == 1:
            (report,) = reports.values()
            deliver(_writer(report, checks, detail), [*opened, *packed])
            return report.exit_code
        from kdiag.report.several import together  # 47 ms

        several = together(reports, __version__, compared=bool(vantages))
        deliver(_writer(several, checks, detail), [*opened, *packed])
    return several.exit_code


def _whole(bootstraps: Sequence[str]) -> list[str]:
    """The lists of servers; a blank before or after a comma does not end a list."""
    found: list[str] = []
    for part in bootstraps:
        if part.isdigit() and found and ":" not in found[-1]:
            raise click.UsageError(f"{found[-1]} {part}: did you mean {found[-1]}:{part}?")
        if found and (found[-1].endswith(",") or part.startswith(",")):
            found[-1] += part
        else:
            found.append(part)
    return found


def _writer(
    result: Report | Reports, checks: Mapping[str, Settings], detail: Detail
) -> Callable[[str, TextIO], None]:
    """What writes the result to a stream in a format, the bundle among them."""

    def write(form: str, stream: TextIO) -> None:
        if form == BUNDLE:
            from kdiag.cli.bundle import write as pack  # 102 ms

            pack(result, checks, stream.buffer)
        else:
            render(form, result, stream, detail)

    return write
