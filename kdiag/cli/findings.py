"""kdiag findings: everything that kdiag can find."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kdiag.cli.exits import epilog
from kdiag.cli.options import TERMINAL_OR_JSON, output


@click.command(epilog=epilog("findings"), short_help="List every finding.")
@output(TERMINAL_OR_JSON, ("terminal", "json"))
def findings(outputs: Sequence[str]) -> int:
    """List every finding's code, name and severity; kdiag explain CODE has the page of each."""
    from kdiag.cli.outputs import deliver, destinations
    from kdiag.report.pages import FORMS, of_all
    from kdiag.rules.catalog import every_rule  # 1.1 ms

    with destinations(outputs, FORMS) as opened:
        deliver(lambda form, stream: of_all(form, every_rule(), stream), opened)
    return 0
