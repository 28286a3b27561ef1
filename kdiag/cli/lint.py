"""kdiag lint: what will go wrong with a Kafka that is configured like this."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kdiag.cli.completion import paths
from kdiag.cli.exits import EXIT_CODES
from kdiag.cli.files import configuration, named, read, text
from kdiag.cli.options import option, output


@click.command(epilog=EXIT_CODES, short_help="Say what will go wrong with configuration files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=paths)
@click.option("--fix", is_flag=True, help="Print the corrected file, and what is left to do.")
@click.option("--diff", "as_diff", is_flag=True, help="Print the corrections as a unified diff.")
@click.option(
    "--patch", "as_patch", is_flag=True, help="Print them as kubectl patch commands, for Strimzi."
)
@click.option(
    "--report",
    "saved",
    metavar="FILE",
    help="A report of kdiag check, -o json: fixes have its node ids, ports and addresses.",
)
@click.option(
    "--skip-unknown", is_flag=True, help="Pass over files that have nothing to do with Kafka."
)
@option("fail_on", "What makes the exit code 60.", variables=True)
@output(
    "text, json, sarif or github, to standard output or to a file; may be repeated.",
    ("text", "json", "sarif", "github"),
)
def lint(
    files: Sequence[str],
    fix: bool,
    as_diff: bool,
    as_patch: bool,
    saved: str | None,
    skip_unknown: bool,
    fail_on: str | None,
    outputs: Sequence[str],
) -> int:
    """Say what will go wrong with a Kafka that is configured like this, before it is deployed.

    FILEs are Strimzi resources, Docker Compose, server.properties or Helm values, and what kubectl
    get -o yaml prints; - is standard input. They are judged together, with the files that a
    Compose file takes settings from (env_file, extends), below its folder. kdiag lint needs PyYAML:
    pip install 'kdiag[lint]'.

    With --fix, --diff or --patch the exit code, and what goes to standard error, is about the
    corrected files.
    """
    from kdiag.cli.outputs import deliver, destinations
    from kdiag.config.options import choice
    from kdiag.lint.edit import diff
    from kdiag.lint.linter import after_fixes, companions, lint
    from kdiag.lint.observed import of_report
    from kdiag.lint.patch import commands
    from kdiag.lint.render import FORMS
    from kdiag.lint.render import render as say

    fail_on = choice("fail_on", fail_on or "error")
    corrections = fix + as_diff + as_patch
    if corrections and outputs:
        raise click.UsageError(
            "--fix, --diff and --patch have standard output to themselves: leave -o out"
        )
    if corrections > 1 or (fix and len(files) > 1):
        raise click.UsageError(
            "--fix prints one corrected file; --diff and --patch are for several"
        )
    sources = {named(name): configuration(name) for name in files}
    sources |= {name: configuration(name) for name in companions(sources) if Path(name).is_file()}
    live = None
    if saved:
        from kdiag.report.load import MOST

        live = of_report(saved, text(read(saved, MOST, "a report: 32 MiB at most")))
    report = lint(sources, fail_on, skip_unknown, bool(corrections), live)
    if not corrections:
        with destinations(outputs, FORMS, "text") as opened:
            deliver(lambda form, stream: say(form, report, stream), opened)
        return report.exit_code
    left = after_fixes(report)
    fixed = {each.name: each.after for each in report.fixed}
    for name, before in sources.items():
        after = fixed.get(name, before)
        if as_patch:
            click.echo("".join(commands(name, before, after)), nl=False)
        else:
            click.echo(after if fix else diff(name, before, after), nl=False)
    say("text", left, sys.stderr)
    return left.exit_code
