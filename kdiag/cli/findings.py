"""kdiag findings: everything that kdiag can find."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kdiag.cli.options import TEXT_OR_JSON, output


@click.command(short_help="List every finding.")
@output(TEXT_OR_JSON, ("text", "json"))
def findings(outputs: Sequence[str]) -> int:
    """List every finding's code, name and severity; kdiag explain CODE has the page of each."""
    from kdiag.cli.outputs import deliver, destinations
    from kdiag.cli.pages import FORMS, of_all
    from kdiag.rules import load_all

    load_all()
    with destinations(outputs, FORMS, "text") as opened:
        deliver(of_all, opened)
    return 0
