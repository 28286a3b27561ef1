"""What many brokers over TLS cost at once: turns, connections that leave nothing behind, memory."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import weakref
from pathlib import Path

import pytest

from kdiag.kafka.connection import KafkaConnection
from kdiag.network import tls_transport
from kdiag.walk import turns
from kdiag.walk.turns import MOST_AT_ONCE, Turns
from tests.crowd import crowd
from tests.running import ROOT, command, environment, kdiag, measured

MANY = 200
MORE = 24 << 10  # kB that they may take beside what two take; 58 MB before there were turns


async def test_so_many_begin_and_each_end_lets_one_more_begin() -> None:
    asked = Turns()
    begun = [await asked.take() for _ in range(MOST_AT_ONCE)]
    waiting = [asyncio.ensure_future(asked.take()) for _ in range(3)]
    await asyncio.sleep(0)
    begun[5].cancel()
    begun[6].set_result(None)
    done, pending = await asyncio.wait(waiting, timeout=turns._MOMENT / 2)
    assert (len(done), len(pending)) == (2, 1)
    for each in pending:
        each.cancel()


async def test_peers_that_are_all_silent_keep_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "_MOMENT", 0.001)
    asked = Turns()
    taken = [await asked.take() for _ in range(5 * MOST_AT_ONCE)]
    assert not any(turn.done() for turn in taken)


async def test_who_waits_for_a_turn_may_be_cancelled() -> None:
    asked = Turns()
    begun = [await asked.take() for _ in range(MOST_AT_ONCE)]
    waiting = asyncio.ensure_future(asked.take())
    await asyncio.sleep(0)
    waiting.cancel()
    begun[0].cancel()
    await asked.take()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_closed_connection_leaves_nothing_for_the_collector(encrypted: bool) -> None:
    from kdiag.config.security import Tls
    from kdiag.demo.broker import FakeBroker, FakeCluster
    from kdiag.demo.certificates import authority, server_context
    from kdiag.kafka.dialer import KafkaDialer
    from kdiag.kafka.messages import API_VERSIONS
    from kdiag.network.tls import TlsHandshakes

    issued = authority().issue("broker", ["127.0.0.1"])
    broker = FakeBroker(FakeCluster("c"), 1)
    port = await broker.start(tls=server_context(issued) if encrypted else None)
    net = KafkaDialer(5.0)
    line = await net.connect("127.0.0.1", port)
    assert line.sock
    context = TlsHandshakes(Tls(ca=authority().pem)).verifying if encrypted else None
    gc.collect()
    gc.disable()
    try:
        made = await KafkaConnection.over(line.sock, 5.0, context=context, name="127.0.0.1")
        net._keep(made)
        assert not (await made.request(API_VERSIONS, 0, {})).failure
        gone = weakref.ref(made)
        secured = weakref.ref(made.tls) if made.tls else None
        made.close()
        del made, line
        for _ in range(5):
            await asyncio.sleep(0)
        assert gone() is None
        assert secured is None or secured() is None
    finally:
        gc.enable()
        await broker.stop()


def _peak(file: Path, *arguments: str) -> tuple[int, int]:
    """How a check ends, and the most memory that it took, in kB."""
    checking = measured(file, command("check", *arguments))
    done = subprocess.run(checking, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    return done.returncode, int(file.read_text())


@pytest.mark.parametrize("sasl", [False, True])
def test_what_many_brokers_take(tmp_path: Path, sasl: bool) -> None:
    """A hundred kB each would be too much for a thousand: tests/crowd.py serves those by hand."""
    assert tls_transport.READ_BUFFER <= 16 << 10
    peaks = []
    for count in (2, MANY):
        file = tmp_path / f"{count}.json"
        with crowd(count, sasl=sasl) as there:
            given = there.properties(sasl=sasl)
            asked = (f"127.0.0.1:{there.port}", *given, "-o", f"json={file}")
            code, peak = _peak(tmp_path / "memory", *asked)
        assert code == 0
        peaks.append(peak)
    assert peaks[1] - peaks[0] < MORE, peaks
    assert kdiag("show", str(file)).returncode == 0
    assert kdiag("diff", str(file), str(file)).returncode == 0


async def test_a_walk_over_tls_takes_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by the peer: how many connections it has at once, while it takes its time."""
    monkeypatch.setattr(turns, "_MOMENT", 30.0)
    from kdiag.api import walk
    from kdiag.config.settings import settings
    from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
    from kdiag.demo.certificates import authority, server_context
    from kdiag.kafka.messages import Request
    from kdiag.walk.runner import plain_dialer

    most = 0

    def counted(_: Request) -> None:
        nonlocal most
        most = max(most, len(broker._serving))

    broker = FakeBroker(FakeCluster("c"), 1, control=counted, delay=lambda _: 0.2)
    issued = authority().issue("broker", [f"127.0.0.{n}" for n in range(1, MANY + 1)])
    port = await broker.start("0.0.0.0", tls=server_context(issued))
    broker.cluster.nodes += [FakeNode(n, f"127.0.0.{n}", port) for n in range(1, MANY + 1)]
    properties = {"security.protocol": "SSL", "ssl.ca.pem": authority().pem}
    asked = settings(f"127.0.0.1:{port}", properties=properties, timeout=20.0)
    try:
        await walk(asked, plain_dialer, lambda hop, summary: None)
    finally:
        await broker.stop()
    assert MOST_AT_ONCE // 2 < most < 0.9 * MANY, most
