"""Everything in the repository that the code says better: `python3 tests --rewrite` writes it anew.

A page quotes what a command prints between two marks, `<!-- derived: COMMAND -->` and
`<!-- end -->`; what stands between them is replaced by the command's output.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from kdiag.api import play
from kdiag.cli.group import cli
from kdiag.config.expectation import EXPECTABLES
from kdiag.config.options import EVERY, flag, variable, word
from kdiag.demo.scenarios import SCENARIOS
from kdiag.network.attempt import Failure
from kdiag.report.model import Report
from kdiag.report.render import render
from kdiag.report.render.json import schema
from kdiag.rules.catalog import every_rule
from kdiag.rules.rule import Rule
from kdiag.walk.areas import AREAS
from tests import pictures, sbom
from tests.control.page import compatibility
from tests.manual import manual
from tests.texts import GOLDEN, texts

RULES = every_rule()


ROOT = Path(__file__).resolve().parent.parent

WIDTH = 80
PLAIN = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}

DRAWN = "private-address"

TITLES = {0: "The walk itself", **{area.exit_code // 10: area.title for area in AREAS}}

_MARKED = re.compile(r"(<!-- derived: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def derived() -> Iterator[tuple[Path, Callable[[], str]]]:
    """Every file with something derived in it, and what makes its whole text."""
    yield ROOT / "docs/findings.md", findings
    yield ROOT / "docs/compatibility.md", compatibility
    for path in pages():
        if path.name not in ("findings.md", "compatibility.md"):
            yield path, partial(quoted_anew, path)
    yield ROOT / "docs/kdiag.1", manual
    yield GOLDEN, texts
    yield sbom.SBOM, sbom.sbom
    for name, drawn in (("terminal", pictures.terminal), ("page", pictures.page)):
        yield ROOT / f"docs/pictures/{name}.svg", partial(_drawn, drawn)


def _drawn(drawn: Callable[[str, Report], str]) -> str:
    """A picture of the report that the README begins with."""
    return drawn(DRAWN, settled(asyncio.run(play(DRAWN))))


def pages() -> list[Path]:
    """The documentation: README.md and docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def findings() -> str:
    """docs/findings.md: a table of all codes, then a section for each, its docstring."""
    rules = sorted(RULES.values(), key=lambda rule: (rule.area, rule.code))
    lines = [
        "# Findings",
        "",
        "<!-- Written by `python3 tests --rewrite` from the rules' docstrings. -->",
        "",
        "Everything kdiag can find. What a code has before its last two digits is the area; the "
        "same pages are printed by `kdiag explain CODE`. One finding of a report is its root "
        "cause; what only follows from it names it under `consequence_of`. Commands for the "
        "client are those of Linux on this page; a report, and `kdiag explain`, have those of "
        "the client's system.",
        "",
        "| code | name | severity | |",
        "|---|---|---|---|",
        *(
            f"| [{r.code}](#{r.code.lower()}) | {r.name} | {r.severity.value} | {r.title} |"
            for r in rules
        ),
    ]
    area = -1
    for rule in rules:
        if rule.area != area:
            area = rule.area
            lines += ["", f"## {TITLES[area]} (KD{area}xx)"]
        lines += ["", *_section(rule)]
    return "\n".join(lines) + "\n"


def _section(rule: Rule) -> list[str]:
    seen = f" · see it with `kdiag demo {rule.name}`" if rule.name in SCENARIOS else ""
    return [
        f'<a id="{rule.code.lower()}"></a>',
        "",
        f"### {rule.code} {rule.name}",
        "",
        f"**{rule.title}** · {rule.severity.value}{seen}",
        "",
        rule.doc,
    ]


def keys() -> str:
    """The tables of docs/json.md: every object of the report, and its keys."""
    defined: Mapping[str, Any] = json.loads(schema())["$defs"]
    lines: list[str] = []
    for name in sorted(defined, key=lambda name: (name != "Report", name)):
        if "properties" not in defined[name]:
            continue
        lines += [f"### {name}", "", cleandoc(defined[name].get("description", "")), ""]
        lines += ["| key | value |", "|---|---|"]
        lines += [
            f"| `{key}` | {_kind(kind, defined)} |"
            for key, kind in defined[name]["properties"].items()
        ]
        lines.append("")
    return "\n".join(lines)


def _kind(kind: Mapping[str, Any], defined: Mapping[str, Any]) -> str:
    """A JSON Schema type in words: `string or null`, `list of Finding`."""
    if "anyOf" in kind:
        return " or ".join(_kind(one, defined) for one in kind["anyOf"])
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        return (
            _kind(defined[name], defined)
            if "enum" in defined[name]
            else f"[{name}](#{name.lower()})"
        )
    if "enum" in kind:
        if "ok" in kind["enum"]:
            return "an [outcome](#outcomes-of-a-layer) or null"
        return " or ".join(
            "null" if value is None else f"`{json.dumps(value)}`" for value in kind["enum"]
        )
    if kind.get("type") == "array":
        return f"list of {_kind(kind['items'], defined)}"
    if "properties" in kind:
        return ", ".join(
            f"`{key}`: {_kind(value, defined)}" for key, value in kind["properties"].items()
        )
    if kind.get("type") == "object":
        return f"object of {_kind(kind['additionalProperties'], defined)}"
    return str(kind.get("type", "any"))


def outcomes() -> str:
    """Every failure that a layer can have."""
    return "\n".join(f"- `{failure.value}`" for failure in Failure) + "\n"


def expectations() -> str:
    """What can be expected, in a table."""
    return "\n".join(
        [
            "| for example | of what | with |",
            "|---|---|---|",
            *(
                f"| `{one.example}` | {one.doc} | `{' '.join(one.form.operators)}` |"
                for one in EXPECTABLES.values()
            ),
        ]
    )


def options() -> str:
    """Every option, and how it is written in each place."""
    lines = ["| option | variable | `kdiag.toml` | `kdiag.check` | |", "|---|---|---|---|---|"]
    for name, option in EVERY.items():
        key = {"properties": "properties"}.get(name, word(name))
        cells = (
            "BOOTSTRAP" if name == "bootstrap" else f"`{flag(name)}`",
            f"`{variable(name)}`" if option.variable else "`KDIAG_X_…`",
            f"`{key}`" if option.toml else "",
            f"`{name}`" if option.python else "",
            option.help.replace("|", "\\|"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


TABLES = {"options": options, "keys": keys, "outcomes": outcomes, "expectations": expectations}


def quoted_anew(path: Path) -> str:
    """A page with everything that it quotes put to what is said now."""
    return _MARKED.sub(_block, path.read_text("utf-8"))


def _block(match: re.Match[str]) -> str:
    head, command, tail = match.groups()
    if command in TABLES:
        return f"{head}\n{TABLES[command]()}\n{tail}"
    said = output(command)
    if said.startswith("{"):
        return f"{head}```json\n{said}```\n{tail}"
    return f"{head}```console\n$ {command}\n{said}```\n{tail}"


def output(command: str) -> str:
    """What a `kdiag ...` command prints on a plain terminal of 80 columns.

    A demo's times are rounded to seconds or to 2 ms, so that the same text comes out every time.
    """
    _, *arguments = shlex.split(command)
    if arguments[0] == "demo" and arguments[1:2] and arguments[1] in SCENARIOS:
        form = arguments[3] if arguments[2:3] == ["-o"] else "terminal"
        stream = io.StringIO()
        with patch.dict(os.environ, PLAIN):
            render(form, settled(asyncio.run(play(arguments[1]))), stream)
        return stream.getvalue()
    ran = CliRunner().invoke(
        cli, arguments, prog_name="kdiag", env=PLAIN, terminal_width=WIDTH, catch_exceptions=False
    )
    if ran.exit_code:
        raise ValueError(f"{command}: exit code {ran.exit_code}")
    return ran.stdout


def settled(report: Report) -> Report:
    """The report as if the machine had been exactly as fast as it usually is."""
    steps = [
        replace(step, elapsed_ms=(round(step.elapsed_ms, -3) or 2) if step.summary else 0)
        for step in report.hops
    ]
    return replace(
        report,
        hops=steps,
        elapsed_ms=sum(step.elapsed_ms for step in steps),
        started_at="2026-01-31T12:00:00Z",
    )


def main() -> None:
    """Writes what has drifted, and names it."""
    for path, text in derived():
        made = text()
        if not path.exists() or path.read_text("utf-8") != made:
            path.write_text(made, "utf-8")
            print(f"rewrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
