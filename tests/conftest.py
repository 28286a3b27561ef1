"""What many tests share: a small internet on loopback, taken down afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from kdiag.demo.world import World


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """An empty world; what listens in it is stopped when the test ends, passed or failed."""
    made = World()
    yield made
    await made.end()
