"""kdiag explain: what a finding, an error or a log means."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

from kdiag.cli.completion import codes_and_files
from kdiag.cli.exits import EXIT_CODES, epilog
from kdiag.cli.options import TERMINAL_OR_JSON, output
from kdiag.config.usage import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdiag.logs.explanation import Explanation

FORMS = ("terminal", "json")
OPTIONS = ("--output", "--format", "--json", "--no-color", "--help")


# A number of librdkafka begins with a dash, and is no option.
@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=epilog("explain", EXIT_CODES),
    short_help="Say what a code, an error or a log means.",
)
@click.argument(
    "subjects",
    metavar="CODE|ERROR|FILE|-",
    nargs=-1,
    required=True,
    shell_complete=codes_and_files,
)
@output(TERMINAL_OR_JSON, FORMS)
def explain(subjects: Sequence[str], outputs: Sequence[str]) -> int:
    """Say what a finding, an error or a log means, how to prove it and how to fix it.

    CODE is a finding's code or name (KD301, private-address). ERROR is a number or name of Kafka's
    protocol (72, LISTENER_NOT_FOUND, LeaderNotAvailableException) or of librdkafka (-195,
    _TRANSPORT).

    FILE is a log of a client or a broker, - is standard input: kdiag finds the lines that matter,
    and says which hop fails, and why. Several files are explained one after another; gzip and zstd
    are unpacked. A line of a log will do too. Nothing is dialled. The exit code is that of the hop,
    where the log tells it, and 0 where it says nothing.
    """
    from kdiag.cli.outputs import deliver, destinations
    from kdiag.report.pages import page_of
    from kdiag.rules.catalog import every_rule  # 6.6 ms

    for subject in subjects:
        if re.fullmatch(r"--[a-z-]+(=.*)?", subject):
            from difflib import get_close_matches  # 1.6 ms

            raise click.NoSuchOption(subject, possibilities=get_close_matches(subject, OPTIONS))
    say = page_of(subjects[0], every_rule()) if len(subjects) == 1 else None
    code = 0
    if say is None:
        say, code = _logs(subjects)
    with destinations(outputs, FORMS) as opened:
        deliver(say, opened)
    return code


def _logs(subjects: Sequence[str]) -> tuple[Callable[[str, TextIO], None], int]:
    """What prints the explanations of logs, and the exit code. Subjects of which none is a file
    are the words of one line. Raises click.UsageError."""
    from kdiag.logs.render import exit_code, render  # 131 ms

    if not any(subject == "-" or _exists(subject) for subject in subjects):
        explanations = [_line(" ".join(subjects))]
    else:
        explanations = [_log(subject) for subject in subjects]
    return lambda form, stream: render(form, explanations, stream), exit_code(explanations)


def _log(subject: str) -> Explanation:
    """The explanation of a file or of standard input. Raises click.UsageError."""
    from kdiag.logs.explain import explain as explained  # 94 ms
    from kdiag.logs.stream import PackedLogError
    from kdiag.network.attempt import clean

    try:
        with _opened(subject) as (stream, name):
            return explained(stream, clean(name, 200))
    except OSError as error:
        raise click.UsageError(f"cannot read {subject}: {error.strerror or error}") from None
    except PackedLogError as error:
        raise click.UsageError(f"cannot read {subject}: {error}") from None


def _line(text: str) -> Explanation:
    """The explanation of a line. A word alone, of which no client is known to print it, is no line
    but something mistyped. Raises click.UsageError."""
    from kdiag.logs.explain import explain as explained  # 94 ms

    result = explained(BytesIO(text.encode("utf-8", "surrogateescape")), "the line")
    if len(text.split()) > 1 or result.findings or result.outcomes:
        return result
    raise _unknown(text)


@contextmanager
def _opened(subject: str) -> Iterator[tuple[BinaryIO, str]]:
    """The bytes of a file or of standard input, and its name."""
    from kdiag.config.reading import opened  # 0.3 ms

    if subject == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise click.UsageError("standard input is closed: pipe a log into it, or name a file")
        yield sys.stdin.buffer, "standard input"
        return
    if not _exists(subject):
        raise _unknown(subject)
    with opened(subject) as stream:
        yield stream, subject


def _exists(subject: str) -> bool:
    from pathlib import Path  # 5.2 ms

    try:
        return Path(subject).exists()
    except (OSError, ValueError):  # longer than any name, or with a zero byte in it
        return False


def _unknown(subject: str) -> click.UsageError:
    """What is said of something that is nothing known, with what resembles it."""
    from difflib import get_close_matches  # 1.6 ms

    from kdiag.kafka.error_catalog import names  # 5.7 ms
    from kdiag.rules.catalog import every_rule

    wanted = subject.strip().lower()
    hint = _near_codes(wanted, every_rule())
    if not hint:
        known = {rule.name: rule.name for rule in every_rule().values()}
        known |= {name.lower(): name for name in names()}
        near = get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {known[near[0]]}?" if near else ""
    return click.UsageError(
        f"{quoted(subject)} is no finding of kdiag, no error of Kafka or librdkafka, and no file"
        f"{hint}"
    )


def _near_codes(wanted: str, codes: Iterable[str]) -> str:
    """The codes that are nearest to a code that there is not, or the groups of codes; "" for what
    is no code."""
    digits = re.fullmatch(r"kd[ _-]?0*(\d{1,9})", wanted)
    if not digits:
        return ""
    number = int(digits[1])
    near = sorted(codes, key=lambda code: (abs(int(code[2:]) - number), code))[:3]
    near = sorted(code for code in near if int(code[2:]) // 100 == number // 100)
    written = digits[1]  # or one digit too many
    near = near or sorted({f"KD{written[:i]}{written[i + 1 :]}" for i in range(4)} & {*codes})
    if near:
        return f"; did you mean {' or '.join(near)}? kdiag findings lists all"
    groups = sorted({f"{code[:3]}xx" for code in codes})
    return f": there are {', '.join(groups)}, and kdiag findings lists all"
