"""kdiag serve: probes for Prometheus."""

from __future__ import annotations

from typing import Literal

import click

from kdiag.cli.exits import epilog
from kdiag.cli.extra import require
from kdiag.cli.options import option
from kdiag.config.usage import UsageError, quoted

LISTEN = "127.0.0.1:9797"


@click.command(epilog=epilog("serve"), short_help="Serve probes of targets to Prometheus.")
@click.option(
    "--listen",
    default=LISTEN,
    show_default=True,
    metavar="HOST:PORT",
    help="The address to listen on; 0.0.0.0 or [::] for every interface.",
)
@click.option(
    "--allow-any-target",
    is_flag=True,
    help="Walk to any HOST:PORT that a request names, without credentials. Every client of the "
    "server can then scan the network from here.",
)
@option("trust_project")
@click.option(
    "--at-once",
    type=click.IntRange(1, 1000),
    default=64,
    show_default=True,
    metavar="N",
    help="How many walks may be under way at once.",
)
@click.option(
    "--timeout-offset",
    type=click.FloatRange(0, 60),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="What a walk leaves of a scrape's time.",
)
@click.option(
    "--log-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How changes are logged.",
)
def serve(
    listen: str,
    allow_any_target: bool,
    trust_project: bool,
    at_once: int,
    timeout_offset: float,
    log_format: Literal["text", "json"],
) -> int:
    """Serve probes of the targets of kdiag.toml to Prometheus, as blackbox_exporter does:
    /probe?target=NAME walks the four hops to a target and answers with metrics, the cause among
    them.

    Prometheus says when and how often. A line on standard error tells each change of a target's
    verdict or cause. SIGHUP or POST /-/reload reads kdiag.toml again; SIGTERM ends the server.
    """
    require("serve", "prometheus_client", "starlette", "uvicorn")
    address = _address(listen)
    from kdiag.network.sockets import raise_limit  # 36 ms
    from kdiag.serve.server import ServeOptions
    from kdiag.serve.server import serve as run

    raise_limit()
    run(
        ServeOptions(address, allow_any_target, trust_project, at_once, timeout_offset, log_format),
        lambda line: click.echo(line, err=True),
    )
    return 0


def _address(listen: str) -> tuple[str, int]:
    """The host and the port to listen on. Raises UsageError."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise UsageError(f"--listen {quoted(listen)}: write HOST:PORT, such as {LISTEN}")
    return host, int(port)
