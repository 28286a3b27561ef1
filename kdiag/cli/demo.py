"""kdiag demo: the walk in an embedded cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from kdiag.cli.completion import scenarios
from kdiag.cli.exits import epilog
from kdiag.cli.options import REPORTED, details, output, shown
from kdiag.cli.watching import ready, watched
from kdiag.config.options import seconds
from kdiag.config.usage import near
from kdiag.report.render import render

if TYPE_CHECKING:
    from kdiag.report.model import Report


@click.command(epilog=epilog("demo"), short_help="Walk an embedded cluster: nothing to install.")
@click.argument("scenario", required=False, shell_complete=scenarios)
@click.option("--list", "listing", is_flag=True, help="List the scenarios.")
@click.option(
    "--timeout", default="1s", show_default=True, metavar="SECONDS", help="Time limit of each step."
)
@details
@output(REPORTED)
def demo(
    scenario: str | None,
    listing: bool,
    timeout: str,
    verbose: bool,
    quiet: bool,
    outputs: Sequence[str],
) -> int:
    """Walk an embedded cluster: nothing to install, and no packet leaves this machine.

    Without SCENARIO it is a short tour, a healthy cluster and then one that advertises private
    addresses. With SCENARIO it ends as check would.
    """
    from kdiag.cli.outputs import deliver, destinations  # 0.5 ms
    from kdiag.demo.scenarios import SCENARIOS

    detail = shown(verbose, quiet)
    limit = seconds("timeout", timeout)
    if listing:
        width = max(map(len, SCENARIOS))
        for name, build in SCENARIOS.items():
            click.echo(f"{name:{width}}  {(build.__doc__ or '').strip()}")
        return 0
    if scenario is not None and scenario not in SCENARIOS:
        raise click.UsageError(
            f"no scenario {scenario!r}{near(scenario, SCENARIOS)}: see kdiag demo --list"
        )
    ready()
    if scenario is not None:
        with destinations(outputs) as opened:
            report = _played(scenario, limit)
            deliver(lambda form, stream: render(form, report, stream, detail), opened)
        return report.exit_code
    for name in ("healthy", "private-address"):
        click.echo(f"$ kdiag demo {name}\n# {(SCENARIOS[name].__doc__ or '').strip()}")
        report = _played(name, limit)
        render("terminal", report, sys.stdout, detail)
        if report.interrupted:
            return report.exit_code
        click.echo()
    click.echo("More to see with kdiag demo --list; your own cluster with kdiag check HOST:PORT.")
    return 0


def _played(scenario: str, timeout: float) -> Report:
    import asyncio  # 34 ms

    from kdiag.api import play

    with watched() as observe:
        return asyncio.run(play(scenario, timeout=timeout, observe=observe))
