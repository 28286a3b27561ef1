"""Runs the server until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

import uvicorn

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Settings
from kdiag.config.usage import UsageError
from kdiag.named_targets import RequestedTargets, named_targets
from kdiag.serve.app import Endpoints
from kdiag.serve.history import Change
from kdiag.serve.metrics import ServerMetrics
from kdiag.serve.probing import OFFSET, Prober, ready
from kdiag.walk.facts.run import timestamp

MOST_CLIENTS = 400  # connections of HTTP clients; more get 503
LONGEST_REQUEST = 16 << 10  # bytes of a request's line and headers
PATIENCE = 10  # seconds that probes which are under way get after SIGTERM
BACKLOG = 128
GARBAGE = 700  # objects between two searches for cycles, as Python has it


class ServeOptions(NamedTuple):
    """The options of the server. `listen` is its address; times are in seconds."""

    listen: tuple[str, int]
    allow_any: bool = False
    trust_project: bool = False
    at_once: int = 64
    offset: float = OFFSET
    log_format: Literal["text", "json"] = "text"


class Service:
    """The server's parts together: targets that can be reloaded, walks, metrics, pages. `log` gets
    a line for each change of a target, and for each reload."""

    def __init__(
        self, options: ServeOptions, named: Mapping[str, Settings], log: Callable[[str], None]
    ) -> None:
        self._options, self._log = options, log
        requested = RequestedTargets(named, allow_any=options.allow_any)
        self.prober = Prober(requested, options.at_once, self._changed)
        self._metrics = ServerMetrics(self.prober)
        self._reloading = asyncio.Lock()
        pages = Endpoints(self.prober, self._metrics, self.reload, self.say, options.offset)
        self._app = pages.app()

    def http(self) -> uvicorn.Server:
        """The HTTP server. It logs nothing: what fails is logged here."""
        return uvicorn.Server(
            uvicorn.Config(
                self._app,
                http="h11",
                ws="none",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CLIENTS,
                h11_max_incomplete_event_size=LONGEST_REQUEST,
                timeout_graceful_shutdown=PATIENCE,
            )
        )

    async def reload(self) -> int:
        """Takes kdiag.toml as it is now; returns how many targets it has. Raises UsageError where
        it cannot be used: the old targets stay."""
        async with self._reloading:
            try:
                named = await asyncio.to_thread(load, self._options.trust_project)
            except UsageError as error:
                self._metrics.reloaded(successful=False)
                self.say(f"reload failed, the old configuration stays in use: {error}")
                raise
            self.prober.replace(named)
            self._metrics.reloaded(successful=True)
            self.say(f"reloaded: {len(named)} targets")
            return len(named)

    def _changed(self, target: str, change: Change) -> None:
        as_json = self._options.log_format == "json"
        self._log(change.json(target) if as_json else change.text(target))

    def say(self, text: str) -> None:
        """Logs what the server itself does."""
        now = timestamp()
        as_json = self._options.log_format == "json"
        self._log(json.dumps({"time": now, "event": text}) if as_json else f"kdiag: {now} {text}")


def load(trust_project: bool) -> dict[str, Settings]:
    """The targets of kdiag.toml. Raises UsageError for one that cannot be walked to."""
    named = named_targets(trust_project=trust_project)
    ready(named)
    return named


def listening(address: tuple[str, int]) -> socket.socket:
    """A socket that listens there. Raises UsageError."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise UsageError(f"cannot listen on {host}:{port}: {reason}") from None


def serve(options: ServeOptions, log: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT. Raises UsageError before it begins, for targets that cannot
    be used and an address that is not free."""
    named: Mapping[str, Settings] = {}
    try:
        named = load(options.trust_project)
    except UsageError:
        if not options.allow_any:
            raise
    # A command that ends soon looks for garbage seldom, and what walks leave has cycles.
    gc.freeze()
    gc.set_threshold(GARBAGE)
    with listening(options.listen) as sock:
        asyncio.run(_serve(options, named, log, sock))


async def _serve(
    options: ServeOptions,
    named: Mapping[str, Settings],
    log: Callable[[str], None],
    sock: socket.socket,
) -> None:
    service = Service(options, named, log)
    # uvicorn ends at these signals, and raises them again when it has ended.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if sys.platform != "win32":
        reloads: set[asyncio.Task[None]] = set()

        def reload() -> None:
            task = asyncio.get_running_loop().create_task(_reload(service))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    service.say(f"serving on http://{shown}:{port}/ with {len(named)} targets")
    await service.http().serve(sockets=[sock])
    service.say("ended")


async def _reload(service: Service) -> None:
    with suppress(UsageError):  # it is in the log
        await service.reload()
