"""kdiag completion: the scripts for shells, and the words that complete an argument."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from kdiag.cli.exits import epilog

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=epilog("completion"), short_help="Print what makes a shell complete kdiag's words."
)
@click.argument("shell", type=click.Choice(SHELLS, case_sensitive=False))
def completion(shell: str) -> int:
    """Print what makes SHELL complete commands, options, codes, targets and formats.

    \b
    bash  eval "$(kdiag completion bash)"        in ~/.bashrc
    zsh   eval "$(kdiag completion zsh)"         in ~/.zshrc, after compinit
    fish  kdiag completion fish | source         in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class  # 1.1 ms

    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root.command, {}, "kdiag", "_KDIAG_COMPLETE").source())
    if shell == "bash":  # which takes the @ of a target for a word of its own
        click.echo("COMP_WORDBREAKS=${COMP_WORDBREAKS//@}")
    return 0


def codes(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """The codes of findings, or their names where the user began a name."""
    from kdiag.rules.catalog import every_rule  # 0.9 ms

    by_code = begun[:2].lower() in ("", "k", "kd")
    found = {rule.code if by_code else rule.name: rule.title for rule in every_rule().values()}
    return _items(found.items(), begun.upper() if by_code else begun)


def codes_and_files(
    context: click.Context, parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """The codes of findings, and files, which the shell completes."""
    return codes(context, parameter, begun) or paths(context, parameter, begun)


def scenarios(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """The demo's scenarios."""
    from kdiag.demo.scenarios import SCENARIOS  # 166 ms

    return _items(((name, (s.__doc__ or "").strip()) for name, s in SCENARIOS.items()), begun)


def targets(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """The targets of kdiag.toml as @NAME."""
    from kdiag.config.targets import ALL, names  # 14 ms
    from kdiag.config.usage import UsageError

    try:
        known = names(os.environ)
    except UsageError:
        return []
    return _items(((f"@{name}", "") for name in (*known, ALL)), begun)


def expectations(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """The names of `--expect`."""
    # 42 ms
    import kdiag.rules.expectations  # noqa: F401
    from kdiag.config.expectation import EXPECTABLES

    return _items(((f"{name}", one.doc) for name, one in EXPECTABLES.items()), begun)


def paths(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files and folders, which the shell completes."""
    from click.shell_completion import CompletionItem  # 1.1 ms

    return [CompletionItem(begun, type="file")]


def words(*known: str) -> Callable[..., list[CompletionItem]]:
    """A completion with fixed words."""
    return lambda context, parameter, begun: _items(((word, "") for word in known), begun)


def _items(known: Iterable[tuple[str, str]], begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # 1.1 ms

    return [CompletionItem(name, help=title) for name, title in known if name.startswith(begun)]
