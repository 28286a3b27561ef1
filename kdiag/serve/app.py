"""The pages of the server: probes, metrics, health, reload and reports."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from kdiag.config.usage import UsageError, raised_at
from kdiag.serve.metrics import CONTENT_TYPE, ServerMetrics, probe_text
from kdiag.serve.pages import index
from kdiag.serve.probing import OFFSET, BusyError, Prober

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_LONGEST_HEADER = 20  # characters
# Browsers show what brokers say: nothing is kept, and nothing is taken for another type.
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

Handler = Callable[[Request], Awaitable[Response]]


class Endpoints:
    """The handler of each path. `reload` takes the kdiag.toml that is there now, and raises
    UsageError where it cannot be used; `say` logs a line; `offset` are the seconds by which a
    scrape's time is shortened."""

    def __init__(
        self,
        prober: Prober,
        metrics: ServerMetrics,
        reload: Callable[[], Awaitable[int]],
        say: Callable[[str], None],
        offset: float = OFFSET,
    ) -> None:
        self._prober, self._metrics, self._reload = prober, metrics, reload
        self._say, self._offset = say, offset

    def app(self) -> Starlette:
        """The application; when it ends, walks that are under way are ended."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await self._prober.end()

        routes = [
            Route("/", self._index),
            Route("/report", self._report),
            Route("/probe", self._probe),
            Route("/metrics", self._own_metrics),
            Route("/-/healthy", self._healthy),
            Route("/-/ready", self._healthy),
            Route("/-/reload", self._reloaded, methods=["POST", "PUT"]),
        ]
        return Starlette(
            routes=routes, lifespan=lifespan, exception_handlers={Exception: self._failed}
        )

    async def _failed(self, _: Request, error: Exception) -> Response:
        """The answer where kdiag itself failed."""
        self._say(f"failed itself: {raised_at(error)}")
        return _refused(f"kdiag failed itself: {raised_at(error)}", 500)

    async def _probe(self, request: Request) -> Response:
        try:
            target = _only(request, "target")
            limit = _limit(request.headers.get(TIMEOUT_HEADER), self._offset)
            probe = await self._prober.probe(target, limit)
        except UsageError as error:
            self._metrics.probed("rejected")
            return _refused(str(error), 400)
        except BusyError as error:
            self._metrics.probed("busy")
            return _refused(str(error), 503)
        self._metrics.probed("withheld" if probe.withheld else "walked", probe)
        text = await asyncio.to_thread(probe_text, probe)
        return Response(text, media_type=CONTENT_TYPE, headers=_HEADERS)

    async def _own_metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE, headers=_HEADERS)

    async def _healthy(self, _: Request) -> Response:
        return PlainTextResponse("kdiag serve is ready\n", headers=_HEADERS)

    async def _reloaded(self, _: Request) -> Response:
        try:
            targets = await self._reload()
        except UsageError as error:
            return _refused(f"the old configuration stays in use: {error}", 500)
        return PlainTextResponse(f"{targets} targets are in use\n", headers=_HEADERS)

    async def _index(self, _: Request) -> Response:
        page = await asyncio.to_thread(index, dict(self._prober.histories))
        return HTMLResponse(page, headers=_HEADERS)

    async def _report(self, request: Request) -> Response:
        try:
            target, number = _only(request, "target"), _only(request, "number")
        except UsageError as error:
            return _refused(str(error), 400)
        history = self._prober.histories.get(target)
        short = number.isascii() and number.isdigit() and len(number) < 19
        past = history.find(int(number)) if history and short else None
        if past is None:
            return _refused("this report is not kept: the last 100 of each target are", 404)
        page = await asyncio.to_thread(lambda: past.report().render("html"))
        return HTMLResponse(page, headers=_HEADERS)


def _only(request: Request, name: str) -> str:
    """The one value of a parameter. Raises UsageError."""
    found = request.query_params.getlist(name)
    if len(found) != 1 or not found[0]:
        raise UsageError(f"write one {name}: {request.url.path}?{name}=…")
    return found[0]


def _limit(header: str | None, offset: float) -> float | None:
    """The seconds for a walk within a scrape, None where no scrape's time is known. Raises
    UsageError for what is no time."""
    if header is None:
        return None
    try:
        seconds = float(header) if len(header) <= _LONGEST_HEADER else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{TIMEOUT_HEADER} is no number of seconds")
    # As blackbox: a time that is shorter than the offset is taken as it is.
    return seconds - offset if seconds > offset else seconds


def _refused(text: str, status: int) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status, headers=_HEADERS)
