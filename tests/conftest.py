"""What many tests share: a small internet on loopback, taken down afterwards."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import pytest_asyncio

from kdiag.demo.world import World
from kdiag.walk.facts import run
from tests.running import Brokers

# A shell that starts the tests with `&` has them ignore Ctrl-C, and whatever they start with them.
# The tests of Ctrl-C need it to mean what it means on a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The golden reports have the commands of Linux; the tests of other systems' commands name theirs.
run._SYSTEM = "linux"

# What tests print is no summary of the job that runs them.
os.environ.pop("GITHUB_STEP_SUMMARY", None)

# The machine may be busy: an example that takes long is no failure.
hypothesis.settings.register_profile("kdiag", deadline=None)
hypothesis.settings.load_profile("kdiag")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """The tests are half a million objects that stay: Python looks for no garbage among them, while
    it makes them and later. It took a third of the collection, and then 0.4 s each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several workers, none is to begin with what takes longest when the others are done."""
    if hasattr(config, "workerinput"):
        from tests.scheduling import longest_first

        longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """With --dist loadgroup, tests in no group go to the workers some at a time."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from tests.scheduling import Scheduling

    return Scheduling(config, log)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """An empty world; what listens in it is stopped when the test ends, passed or failed."""
    made = World()
    yield made
    await made.end()


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    """Where brokers for another process can be started; they are stopped when the test ends."""
    made = Brokers()
    made.start()
    yield made
    made.stop()
