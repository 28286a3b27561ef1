"""What the control run shares: the servers' loop, Java's client, and the runs, begun together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.control import clients
from tests.control.clients import Java
from tests.control.outcome import Outcome, Target, at_once
from tests.control.partial import Served
from tests.control.servers import SERVERS, Fake
from tests.lab import needs

AT_ONCE = 5  # servers, each with all its clients: most of them wait
ENOUGH = 30.0


@pytest.fixture(scope="package")
def java() -> Iterator[Java | None]:
    """Java's client, where Java is."""
    if needs.absent(*needs.KAFKA):
        yield None
        return
    with clients.java() as started:
        yield started


@pytest.fixture(scope="package")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own, for servers that other processes dial."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(ENOUGH)
    made.close()


@pytest.fixture(scope="package")
def outcomes(
    request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop, java: Java | None
) -> Iterator[Callable[[Fake], Outcome]]:
    """The outcome of every server whose test was selected: they are all begun by the first."""

    def do(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(ENOUGH)

    def control(fake: Fake) -> Outcome:
        served = Served(fake.partial)
        do(served.start())
        try:
            return at_once(
                Target(
                    served.bootstrap,
                    fake.topic,
                    len(fake.partial.nodes),
                    fake.properties,
                    fake.java,
                    fake.options,
                    fake.patience,
                ),
                java,
            )
        finally:
            do(served.stop())

    wanted = {
        getattr(item.callspec.params["server"], "name", "")
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        slowest_first = sorted(SERVERS, key=lambda fake: -fake.patience)
        runs: dict[str, Future[Outcome]] = {
            fake.name: pool.submit(control, fake) for fake in slowest_first if fake.name in wanted
        }
        yield lambda fake: runs[fake.name].result()
        for run in runs.values():
            run.cancel()
