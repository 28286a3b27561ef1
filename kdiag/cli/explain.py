"""kdiag explain: what a finding or an error means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

import click

from kdiag.cli.completion import codes, words

FORMS = ("text", "json")


# A number of librdkafka begins with a dash, and is no option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("subject", metavar="CODE|ERROR", shell_complete=codes)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[=FILE]",
    shell_complete=words(*FORMS),
    help="text or json, to standard output or to a file; may be repeated.",
)
def explain(subject: str, outputs: Sequence[str]) -> int:
    """Say what a finding or an error means, how to prove it and how to fix it.

    CODE is a finding's code or name (KD301, private-address). ERROR is a number or name of Kafka's
    protocol (72, LISTENER_NOT_FOUND, LeaderNotAvailableException) or of librdkafka (-195,
    _TRANSPORT).
    """
    from kdiag.delivery import deliver, destinations

    say = _page(subject) or _unknown(subject)
    with destinations(outputs, FORMS, "text") as opened:
        deliver(say, opened)
    return 0


def _page(subject: str) -> Callable[[str, TextIO], None] | None:
    """What prints the page of a finding or an error; None where it is neither."""
    from kdiag.logs.errors import find
    from kdiag.render.pages import of_error, of_finding
    from kdiag.rule import RULES
    from kdiag.rules import load_all

    load_all()
    wanted = subject.strip().lower()
    for rule in RULES.values():
        if wanted in (rule.code.lower(), rule.name):
            return lambda form, stream: of_finding(form, rule, stream)
    error = find(subject)
    if error is None:
        return None
    return lambda form, stream: of_error(form, error, stream)


def _unknown(subject: str) -> Callable[[str, TextIO], None]:
    """Refuses it, with what resembles it. Raises click.UsageError."""
    from difflib import get_close_matches

    from kdiag.logs.errors import names
    from kdiag.rule import RULES
    from kdiag.usage import quoted

    known = {name.lower(): name for rule in RULES.values() for name in (rule.code, rule.name)}
    known |= {name.lower(): name for name in names()}
    near = get_close_matches(subject.strip().lower(), known, n=1)
    hint = f"; did you mean {known[near[0]]}?" if near else ""
    raise click.UsageError(
        f"{quoted(subject)} is no finding of kdiag and no error of Kafka or librdkafka{hint}"
    )
