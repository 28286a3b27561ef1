"""kdiag lint: what will go wrong with a Kafka that is configured like this."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from kdiag.cli.completion import paths
from kdiag.cli.exits import EXIT_CODES, epilog
from kdiag.cli.files import CONFIGURATION, MAX_CONFIGURATION, named, read, saved_report, text
from kdiag.cli.options import option, output

if TYPE_CHECKING:
    from kdiag.lint.report import LintReport


@click.command(
    epilog=epilog("lint", EXIT_CODES), short_help="Say what will go wrong with configuration files."
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=paths)
@click.option(
    "--fix",
    is_flag=True,
    help="Write the corrections into the files, and list what remains.",
)
@click.option(
    "--diff",
    "as_diff",
    is_flag=True,
    help="Print the corrections as a unified diff.",
)
@click.option(
    "--patch",
    "as_patch",
    is_flag=True,
    help="Print the corrections as kubectl patch commands, for Strimzi.",
)
@click.option(
    "--report",
    "saved",
    metavar="FILE",
    help="A report of kdiag check -o json: fixes then use its node ids, ports and addresses.",
)
@click.option(
    "--skip-unknown", is_flag=True, help="Ignore files that have nothing to do with Kafka."
)
@option("fail_on", "The lowest severity that makes the exit code 60.", variables=True)
@output(
    "terminal, json, sarif or github, to standard output or to a file; may be repeated.",
    ("terminal", "json", "sarif", "github"),
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
    Compose file takes settings from (env_file, extends), below its folder.

    Without --fix nothing is written. With --fix, --diff or --patch the exit code, and what goes to
    standard error beside a diff or a patch, is about the corrected files. What --fix makes of
    standard input goes to standard output.
    """
    from kdiag.cli.outputs import deliver, destinations  # 0.6 ms
    from kdiag.config.options import choice
    from kdiag.lint.linter import after_fixes, lint
    from kdiag.lint.observed import of_report  # 1.2 ms
    from kdiag.lint.render import FORMS
    from kdiag.lint.render import render as say

    if fix + as_diff + as_patch > 1:
        raise click.UsageError("--fix, --diff and --patch: choose one of them")
    to_stdout = as_diff or as_patch or (fix and "-" in files)
    if to_stdout and outputs:
        raise click.UsageError(
            "corrections go to standard output alone: leave out -o, or --diff and --patch"
        )
    given, sources = _read_all(files)
    live = of_report(saved, saved_report(saved)) if saved else None
    report = lint(
        sources,
        choice("fail_on", fail_on or "error"),
        skip_unknown,
        fix or as_diff or as_patch,
        live,
    )
    left = after_fixes(report) if fix or as_diff or as_patch else report
    with destinations([] if to_stdout else outputs, FORMS) as opened:
        if as_patch:
            left = _patch(report, left)
        for each in report.fixed:
            if as_diff:
                from kdiag.lint.edit import diff  # 9.3 ms

                click.echo(diff(each.name, each.before, each.after), nl=False)
            elif fix and each.name in given:
                _write(each.name, given[each.name], each.after)
        if fix and "-" in given:
            after = {each.name: each.after for each in report.fixed}
            click.echo(after.get("stdin", sources["stdin"]), nl=False)
        if to_stdout:
            say("terminal", left, sys.stderr)
        else:
            deliver(lambda form, stream: say(form, left, stream), opened)
    return left.exit_code


def _read_all(files: Sequence[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The bytes of these files, and of those that they take settings from, by name; and their
    texts, by the names in a report."""
    from kdiag.lint.linter import companions  # 76 ms

    given = {name: read(name, MAX_CONFIGURATION, CONFIGURATION) for name in files}
    sources = {named(name): text(data, name) for name, data in given.items()}
    beside = [name for name in companions(sources) if os.path.isfile(name)]  # noqa: PTH113 - pathlib takes 5 ms to load
    given |= {name: read(name, MAX_CONFIGURATION, CONFIGURATION) for name in beside}
    return given, sources | {name: text(given[name], name) for name in beside}


def _patch(report: LintReport, left: LintReport) -> LintReport:
    """Prints the corrections that kubectl can make; what is wrong with the other files is left."""
    from kdiag.lint.patch import commands  # 76 ms

    made = {x.name: "".join(commands(x.name, x.before, x.after)) for x in report.fixed}
    click.echo("".join(made.values()), nl=False)
    other = {name for name, typed in made.items() if not typed}
    if other:
        click.echo(f"kdiag: no patch for {', '.join(sorted(other))}: use --fix", err=True)
    unmade = [each for each in report.problems if each.file in other]
    rest = [each for each in left.problems if each.file not in other]
    done = tuple(each for each in left.repaired if each.file not in other)
    from dataclasses import replace  # 2.1 ms: the help page needs none

    return replace(left, problems=(*rest, *unmade), repaired=done)


def _write(name: str, before: bytes, after: str) -> None:
    """Gives a file its corrected text, in the encoding that it has. Raises UsageError."""
    from kdiag.cli.outputs import File  # 0.6 ms
    from kdiag.text import encoded

    if read(name, MAX_CONFIGURATION, CONFIGURATION) != before:
        raise click.UsageError(f"{name} was changed meanwhile: it is left as it is")
    try:
        file = File("fix", name)
        try:
            file.stream.buffer.write(encoded(after, before))
            file.keep()
        finally:
            file.drop()
    except OSError as error:
        raise click.UsageError(f"cannot write {name}: {error.strerror}") from None
