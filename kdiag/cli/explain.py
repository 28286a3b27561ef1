"""kdiag explain: what a finding means."""

from __future__ import annotations

import click


@click.command()
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
