"""The command line: argv → Settings → walk → renderer → exit code. The only place that exits."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeVar

import click
from click.core import ParameterSource

from kdiag import __version__
from kdiag.render import RENDERERS, render

if TYPE_CHECKING:
    from kdiag.report import Report
    from kdiag.settings import Settings
    from kdiag.walk import Observer

USAGE, INTERNAL, INTERRUPTED = 2, 1, 130
CHECK_IP = "https://checkip.amazonaws.com"  # says by which address it was asked
MAX_FILE = 1 << 20  # bytes of a properties file
MAX_LINTED = 8 << 20  # bytes of a file that is linted

EXIT_CODES = """\b
Exit codes:
  0            the path works (warnings allowed, see --fail-on)
  1            kdiag itself failed
  2            wrong usage: option, file or property
  10 20 30 40  the first hop that fails: bootstrap, metadata, listeners, produce
  50           the walk passes, but what AWS says does not
  60           a file that kdiag lint was given has errors
  130          interrupted"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.version_option(__version__, message="kdiag %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Says why a Kafka client cannot connect.

    kdiag walks the four hops of every Kafka client: reach the bootstrap server, get the metadata,
    reach each advertised listener, produce. It names the hop that breaks, the one cause, the
    evidence and the fix.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(epilog=EXIT_CODES)
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
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[=FILE]",
    envvar="KDIAG_OUTPUT",
    help=f"{' or '.join(RENDERERS)}, to standard output or to a file; may be repeated.",
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
    ask_aws: bool,
    aws_region: str | None,
    aws_profile: str | None,
    aws_source: str | None,
    aws_echo: str | None,
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
        asked = settings(
            chosen.bootstrap if bootstrap is None else bootstrap,
            topic=_or(context, "topic", topic, chosen.topic),
            timeout=_or(context, "timeout", timeout, chosen.timeout),
            deadline=_or(context, "deadline", deadline, chosen.deadline),
            properties=dict(parse_property(text) for text in given),
            between=[chosen.properties, environment],
            from_file=parse_properties(_read(file)) if file else None,
            mapped=_or(context, "mapped", mapped, chosen.map),
            fail_on=_or(context, "fail_on", fail_on, chosen.fail_on),
            noted=noted,
            aws=_or(context, "ask_aws", ask_aws, chosen.aws),
            aws_source=_or(context, "aws_source", aws_source, chosen.aws_source),
            aws_region=_or(context, "aws_region", aws_region, chosen.aws_region),
            aws_profile=_or(context, "aws_profile", aws_profile, chosen.aws_profile),
            aws_echo=_or(context, "aws_echo", aws_echo, chosen.aws_echo)
            or ("off" if os.environ.get("CI") else CHECK_IP),
        )
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    _ready()
    with destinations(outputs) as opened:
        report = _walked(asked)
        deliver(lambda form, stream: render(form, report, stream), opened)
    return report.exit_code


@cli.command()
@click.argument("scenario", required=False)
@click.option("--list", "listing", is_flag=True, help="List the scenarios.")
@click.option("--timeout", default=1.0, show_default=True, metavar="SECONDS", help="For one dial.")
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FORMAT[=FILE]", help="As with check."
)
def demo(scenario: str | None, listing: bool, timeout: float, outputs: Sequence[str]) -> int:
    """Walk an embedded cluster: nothing to install, and no packet leaves this machine.

    Without SCENARIO it is a short tour, a healthy cluster and then one that advertises private
    addresses. With SCENARIO it ends as check would.
    """
    from kdiag.delivery import deliver, destinations
    from kdiag.demo.scenarios import SCENARIOS

    if listing:
        width = max(map(len, SCENARIOS))
        for name, build in SCENARIOS.items():
            click.echo(f"{name:{width}}  {(build.__doc__ or '').strip()}")
        return 0
    if scenario is not None and scenario not in SCENARIOS:
        raise click.UsageError(f"no scenario {scenario!r}: see kdiag demo --list")
    if not hasattr(__import__("socket"), "SO_BINDTODEVICE"):
        raise click.UsageError("the demo keeps its packets on loopback by means only Linux has")
    _ready()
    if scenario is not None:
        with destinations(outputs) as opened:
            report = _played(scenario, timeout)
            deliver(lambda form, stream: render(form, report, stream), opened)
        return report.exit_code
    for name in ("healthy", "private-address"):
        click.echo(f"$ kdiag demo {name}\n# {(SCENARIOS[name].__doc__ or '').strip()}")
        report = _played(name, timeout)
        render("terminal", report, sys.stdout)
        if report.interrupted:
            return report.exit_code
        click.echo()
    click.echo("More to see with kdiag demo --list; your own cluster with kdiag check HOST:PORT.")
    return 0


@cli.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--fix", is_flag=True, help="Print the corrected file, and what is left to do.")
@click.option("--diff", "as_diff", is_flag=True, help="Print the corrections as a unified diff.")
@click.option(
    "--skip-unknown", is_flag=True, help="Pass over files that have nothing to do with Kafka."
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    show_default=True,
    envvar="KDIAG_FAIL_ON",
    help="What makes the exit code 60.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[=FILE]",
    help="text, json, sarif or github, to standard output or to a file; may be repeated.",
)
def lint(
    files: Sequence[str],
    fix: bool,
    as_diff: bool,
    skip_unknown: bool,
    fail_on: str,
    outputs: Sequence[str],
) -> int:
    """Say what will go wrong with a Kafka that is configured like this, before it is deployed.

    FILEs are Strimzi resources, Docker Compose, server.properties or Helm values, and what kubectl
    get -o yaml prints; - is standard input. They are judged together. kdiag lint needs PyYAML: pip
    install 'kdiag[lint]'.

    With --fix or --diff the exit code, and what goes to standard error, is about the corrected
    files.
    """
    from kdiag.delivery import deliver, destinations
    from kdiag.lint.edit import diff
    from kdiag.linting import after_fixes, lint
    from kdiag.render.lint import FORMS
    from kdiag.render.lint import render as say

    if (fix or as_diff) and outputs:
        raise click.UsageError("--fix and --diff have standard output to themselves: leave -o out")
    if fix and (as_diff or len(files) > 1):
        raise click.UsageError("--fix prints one corrected file; --diff is for several")
    sources = {"stdin" if name == "-" else name: _linted(name) for name in files}
    report = lint(sources, fail_on, skip_unknown, fix or as_diff)
    if not fix and not as_diff:
        with destinations(outputs, FORMS, "text") as opened:
            deliver(lambda form, stream: say(form, report, stream), opened)
        return report.exit_code
    left = after_fixes(report)
    fixed = {each.name: each.after for each in report.fixed}
    for name, before in sources.items():
        after = fixed.get(name, before)
        click.echo(after if fix else diff(name, before, after), nl=False)
    say("text", left, sys.stderr)
    return left.exit_code


@cli.command()
@click.argument("code")
def explain(code: str) -> int:
    """Explain a finding's CODE or name: KD301, private-address."""
    from kdiag.rule import RULES
    from kdiag.rules import load_all

    load_all()
    wanted = code.strip().lower()
    for rule in RULES.values():
        if wanted in (rule.code.lower(), rule.name):
            click.echo(f"{rule.code} {rule.name} ({rule.severity.value})\n{rule.title}\n")
            click.echo(f"{rule.doc}\n\nsee {rule.url}")
            return 0
    from difflib import get_close_matches

    names = {name.lower(): name for rule in RULES.values() for name in (rule.code, rule.name)}
    near = get_close_matches(wanted, names, n=1)
    hint = f"; did you mean {names[near[0]]}?" if near else ""
    raise click.UsageError(f"{code!r} is no finding of kdiag{hint}")


def main() -> NoReturn:
    """Runs the command line and ends the process, whatever threads a resolver has left behind."""
    # Whoever starts kdiag may have closed them: what is written there goes nowhere then.
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="kdiag", standalone_mode=False)
    except click.ClickException as error:
        code = _refused(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click's way to say that nobody reads any more
        code = 0
    except Exception as error:
        from kdiag.usage import UsageError

        if isinstance(error, UsageError):
            code = _refused(str(error))
        else:
            click.echo(f"kdiag: failed itself: {_place(error)}", err=True)
            code = INTERNAL
    _exit(code if isinstance(code, int) else 0)


def _place(error: Exception) -> str:
    """Which error, and where; never its text, in which any secret of the configuration may be."""
    from traceback import extract_tb

    *_, last = extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _refused(words: str) -> int:
    click.echo(f"kdiag: {' '.join(words.split())}", err=True)
    return USAGE


T = TypeVar("T")


def _or(context: click.Context, name: str, given: T, chosen: T | None) -> T:
    """An option as the command line or the environment gives it, or else the target."""
    default = context.get_parameter_source(name) is ParameterSource.DEFAULT
    return chosen if default and chosen is not None else given


def _ready() -> None:
    """Loads the walk. Until then Ctrl-C ends the process at once, for an import that is interrupted
    may fail in any way; from then on it ends the walk, and what is known is printed."""
    import kdiag.walk  # noqa: F401

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _walked(asked: Settings) -> Report:
    """The check itself, with the live view where somebody watches."""
    from kdiag.walk import run

    for note in asked.notes:
        click.echo(f"kdiag: note: {note}", err=True)
    with _watched() as observe:
        return run(asked, observe=observe)


def _played(scenario: str, timeout: float) -> Report:
    import asyncio

    from kdiag.demo.scenarios import play

    with _watched() as observe:
        return asyncio.run(play(scenario, timeout=timeout, observe=observe))


@contextmanager
def _watched() -> Iterator[Observer | None]:
    """A live view on a terminal's stderr; none in CI or a pipe."""
    if not sys.stderr.isatty() or os.environ.get("CI") or os.environ.get("TERM") == "dumb":
        yield None
        return
    from kdiag.render.terminal import live

    with live(sys.stderr) as observe:
        yield observe


def _read(name: str) -> str:
    """A properties file; Java writes them in Latin-1, everybody else in UTF-8."""
    data = _bytes(name, MAX_FILE, "a file of client properties: 1 MiB at most")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _linted(name: str) -> str:
    """The text of a file, its lines ending as they do."""
    data = _bytes(name, MAX_LINTED, "a file of configuration: 8 MiB at most")
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "ascii"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


def _bytes(name: str, most: int, what: str) -> bytes:
    try:
        with click.open_file(name, "rb") as file:
            data: bytes = file.read(most + 1)
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from None
    if len(data) > most:
        raise click.UsageError(f"{name} is larger than {what}")
    return data


def _exit(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
