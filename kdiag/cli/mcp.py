"""kdiag mcp: tools for an agent, over standard input and output."""

from __future__ import annotations

import os

import click

from kdiag.cli.exits import epilog
from kdiag.cli.extra import require
from kdiag.cli.options import option
from kdiag.config.usage import UsageError


@click.command(epilog=epilog("mcp"), short_help="Serve read-only tools to an agent (MCP).")
@click.option(
    "--allow-any-target",
    "allow_any",
    is_flag=True,
    help="Let tools check any address, without a login; else only targets of kdiag.toml.",
)
@click.option(
    "--root",
    metavar="FOLDER",
    help="Let tools read files below this folder; without it they take texts only.",
)
@option("trust_project", variables=True)
def mcp(allow_any: bool, root: str | None, trust_project: bool) -> int:
    """Serve check, explain, lint, diff, demo and findings as tools of an agent, by the Model
    Context Protocol, over standard input and output.

    Nothing is written and nothing is changed. check takes the targets of kdiag.toml, by name. It
    takes the package mcp: pip install 'kdiag[mcp]'.
    """
    if root is not None and not os.path.isdir(root):  # noqa: PTH112
        raise UsageError(f"--root {root}: there is no such folder")
    require("mcp", "mcp", "mcp_types", text="the package mcp, 2.0 or newer")
    import asyncio  # 34 ms

    from kdiag.mcp.server import serve  # 900 ms
    from kdiag.mcp.tools import Tools

    async def run() -> None:
        await serve(Tools(allow_any=allow_any, root=root, trust_project=trust_project))

    asyncio.run(run())
    return 0
