"""Sockets and the limit on descriptors: kdiag stays within it, and raises it where it may."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kdiag.network.sockets import MAX_OPEN, Sockets
from tests.running import ENOUGH, Brokers, environment

_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)

LIMITED = """
import resource, sys
soft, hard = map(int, sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
"""
CAPACITY = "from kdiag.network.sockets import capacity; print(capacity())"
RAISED = f"""
from kdiag.cli.watching import ready
ready()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
{CAPACITY}
"""
COMMAND = "sys.argv[1:3] = ['check']; from kdiag.cli import main; main()"
LIBRARY = "import kdiag; print(kdiag.check(sys.argv[3]))"


def limited(soft: int, hard: int, code: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process with these limits on descriptors."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED + code, str(soft), str(hard), *more],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=ENOUGH,
    )


@pytest.mark.parametrize(
    ("descriptors", "least", "most"), [(64, 1, 64), (256, 64, 255), (1024, 512, 1023)]
)
def test_capacity_keeps_within_the_limit_on_descriptors(
    descriptors: int, least: int, most: int
) -> None:
    done = limited(descriptors, HARD, CAPACITY)
    assert least <= int(done.stdout) <= most, done.stderr


@pytest.mark.parametrize("hard", [64, 300, HARD])
def test_the_soft_limit_is_raised_as_far_as_needed_and_allowed(hard: int) -> None:
    done = limited(64, hard, RAISED)
    soft, still, capacity = map(int, done.stdout.split())
    assert still == hard
    assert soft == min(hard, MAX_OPEN + 64), done.stderr
    assert capacity == max(8, soft - 64)


@pytest.fixture(scope="module")
def hundred() -> Iterator[Brokers]:
    brokers = Brokers()
    brokers.start()
    try:
        yield brokers.many(100)
    finally:
        brokers.stop()


@pytest.mark.parametrize(
    ("hard", "code"),
    [(HARD, COMMAND), (64, COMMAND), (64, LIBRARY)],
    ids=["cli", "hard", "library"],
)
def test_a_hundred_brokers_are_walked_with_64_descriptors(
    hundred: Brokers, hard: int, code: str
) -> None:
    done = limited(64, hard, code, hundred.bootstrap)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout or "pass: the path works" in done.stdout
    assert not done.stderr


async def test_whoever_closes_a_socket_makes_room_for_one_more() -> None:
    sockets = Sockets(4)  # three, and one for a second look
    held = [await sockets.open(socket.AF_INET, further=False) for _ in range(3)]
    waiting = asyncio.ensure_future(sockets.open(socket.AF_INET, further=False))
    second = await sockets.open(socket.AF_INET, further=True)
    await asyncio.sleep(0)
    assert not waiting.done()
    held[0].close()
    held[0].close()  # only the first time counts
    more = await waiting
    blocked = asyncio.ensure_future(sockets.open(socket.AF_INET, further=False))
    await asyncio.sleep(0)
    assert not blocked.done()
    for sock in (second, more, *held):
        sock.close()
    (await blocked).close()
