"""How fast kdiag is, by hand: `python tests/benchmarks.py`. It prints ratios to each bar.

Brokers run in a process of their own, so that what they cost is not taken for kdiag's. Its own cost
is processor time, which waiting for the network does not add to, without that of Python's start;
beside it stands what its libraries cost alone, to tell a slow kdiag from a slow machine. Exit 1
when a bar is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNS = 7
TIMEOUT = 2.0

OWN_COST_MS, MEMORY_MB, HELP_MS, DRAW_MS, FROM_MS = 120, 60, 100, 1000, 300
LINT_MS, LARGE_MS = 150, 1000
EXPLAIN_MS = 5000  # a log of 100 MB
DIFF_MS = 5000  # 500 reports

# How long a call to AWS takes, and how many of them wait for each other at least: which instances
# there are, and what stands before them. tests/aws/test_chain.py holds kdiag to that chain.
CALL, CHAIN, ADDED = 0.4, 2, 1.2
ROUND_TRIP = 0.05  # seconds, to brokers in that region

AS_KCAT = 130  # percent of the wall time of `kcat -L`, at that distance


def serve() -> None:
    """Another process: three healthy brokers, and one that knows so many silent ones."""
    from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode

    async def run() -> None:
        healthy = FakeCluster("healthyCluster00000001")
        for node in (1, 2, 3):
            port = await FakeBroker(healthy, node).start()
            healthy.nodes.append(FakeNode(node, "127.0.0.1", port))
        silent = {}
        for count in (3, 300):
            nodes = [
                FakeNode(n, f"10.0.{n // 250}.{n % 250 + 1}", 9092) for n in range(1, count + 1)
            ]
            silent[count] = await FakeBroker(FakeCluster(f"silent{count}", nodes), 1).start()
        print(json.dumps([healthy.nodes[0].port, silent]), flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def account() -> None:
    """Another process: three brokers in an AWS account that takes its time, and how to ask it."""
    from tempfile import TemporaryDirectory

    from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
    from tests.accounts import delayed_response, environment, running_account

    async def run(publics: Sequence[str], variables: dict[str, str]) -> None:
        cluster = FakeCluster("distantCluster00000001")
        for node, public in enumerate(publics, 1):
            behind = await FakeBroker(cluster, node).start()
            server = await asyncio.start_server(partial(distant, behind), public, 0)
            cluster.nodes.append(FakeNode(node, public, server.sockets[0].getsockname()[1]))
        print(json.dumps([f"{publics[0]}:{cluster.nodes[0].port}", variables]), flush=True)
        await asyncio.Event().wait()

    with running_account() as there, TemporaryDirectory() as folder:
        publics = there.three()
        there.allow((1024, 65535))
        there.overrides["*"] = delayed_response(CALL)
        asyncio.run(run(publics, environment(there, Path(folder))))


async def distant(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:  # fmt: skip
    """A connection to a port of this machine, half a round trip away."""
    behind, before = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while said := await source.read(65536):
            asyncio.get_running_loop().call_later(ROUND_TRIP / 2, sink.write, said)
        sink.close()

    await asyncio.gather(pump(reader, before), pump(behind, writer))


def far() -> None:
    """Another process: three brokers a round trip away, and the namespace that is near."""
    from tests.distance import apart, inside

    async def run() -> None:
        mine = asyncio.current_task()
        assert mine
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, mine.cancel)
        with suppress(asyncio.CancelledError), apart(ROUND_TRIP / 2) as (near, there):
            command = [*inside(there), sys.executable, __file__, "there"]
            pipe = asyncio.subprocess.PIPE
            brokers = await asyncio.create_subprocess_exec(*command, stdout=pipe)
            assert brokers.stdout
            try:
                said = (await brokers.stdout.readline()).decode().strip()
                print(json.dumps([inside(near), said]), flush=True)
                await asyncio.Event().wait()
            finally:
                brokers.kill()
                await brokers.wait()

    asyncio.run(run())


def there() -> None:
    """Another process, in the other namespace: three brokers; it prints where to bootstrap."""
    from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
    from tests.distance import FAR

    async def run() -> None:
        cluster = FakeCluster("distantCluster00000001")
        for node in (1, 2, 3):
            cluster.nodes.append(FakeNode(node, FAR, await FakeBroker(cluster, node).start(FAR)))
        print(f"{FAR}:{cluster.nodes[0].port}", flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def walk(bootstrap: str) -> None:
    """Another process: one walk on the loopback device, so that what is silent stays in here; what
    it took, in milliseconds and MB, goes to standard output."""
    import resource
    from io import StringIO

    from kdiag.api import run
    from kdiag.config.settings import settings
    from kdiag.kafka.dialer import KafkaDialer
    from kdiag.report.render import render

    asked = settings(bootstrap, timeout=TIMEOUT, answer_timeout=TIMEOUT)
    report = run(asked, lambda s: KafkaDialer(s.options.timeout, device="lo"))
    render("terminal", report, StringIO())
    found = {
        "walk_ms": report.elapsed_ms,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(found))


def draw() -> None:
    """Another process: 1000 brokers that all fail, in each format; the milliseconds that each took
    go to standard output."""
    import time
    from io import StringIO

    from kdiag.report.render import RENDERERS, render
    from tests.report.render.cases import private

    report = private(1000)
    found = {}
    for form in RENDERERS:
        render(form, report, StringIO())  # loads what it needs
        started = time.process_time()
        render(form, report, StringIO())
        found[form] = (time.process_time() - started) * 1000
    print(json.dumps(found))


def timed(*arguments: str) -> tuple[float, str]:
    """Processor time of a process in milliseconds, and what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    said = process.stdout.read()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return (used.ru_utime + used.ru_stime) * 1000, said


def cost(*arguments: str) -> float:
    """The median over some runs, after one that compiles what is not compiled yet."""
    timed(*arguments)
    return statistics.median(timed(*arguments)[0] for _ in range(RUNS))


@contextmanager
def told_by(what: str) -> Iterator[Any]:
    """What another process prints when it is ready."""
    process = subprocess.Popen(
        [sys.executable, __file__, what], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def bar(what: str, figure: float, most: float, unit: str) -> bool:
    """Prints a figure beside its bar; True when it is kept."""
    kept = figure <= most
    mark = "ok  " if kept else "MISS"
    print(f"{mark} {what:44} {figure:8.1f} {unit:3} of {most:7.1f}  = {figure / most:4.2f}")
    return kept


def elsewhere(bootstrap: str) -> bool:
    """What it adds to a walk that it is walked by the probe, both sides together: `ssh` here
    connects to nowhere and runs what it is given on this machine."""
    from tempfile import TemporaryDirectory

    before = os.environ["PATH"]
    with TemporaryDirectory() as folder:
        ssh = Path(folder, "ssh")
        ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
        ssh.chmod(0o755)
        Path(folder, "python3").symlink_to(sys.executable)
        os.environ["PATH"] = f"{folder}:{before}"
        try:
            here = cost("-m", "kdiag", "check", bootstrap)
            there = cost("-m", "kdiag", "check", bootstrap, "--from", "ssh://here")
        finally:
            os.environ["PATH"] = before
    return bar("--from, beside the connection, adds", there - here, FROM_MS, "ms")


def measure() -> list[bool]:
    """Every bar of the walk, on this machine."""
    start = cost("-c", "pass")
    libraries = cost("-c", "import asyncio, click, rich.console, rich.table") - start
    helping = cost("-m", "kdiag", "--help") - start
    print(f"     {'Python by itself':44} {start:8.1f} ms")
    print(f"     {'asyncio, click and rich':44} {libraries:8.1f} ms")
    kept = [bar("kdiag --help", helping, HELP_MS, "ms")]
    with told_by("serve") as (healthy, silent):
        bootstrap = f"127.0.0.1:{healthy}"
        own = cost("-m", "kdiag", "check", bootstrap) - start
        kept.append(bar("healthy walk, kdiag's own cost", own, OWN_COST_MS, "ms"))
        found = json.loads(timed(__file__, "walk", bootstrap)[1])
        kept.append(elsewhere(bootstrap))
        kept.append(bar("healthy walk, peak memory", found["memory_mb"], MEMORY_MB, "MB"))
        for count, port in silent.items():
            walks = [json.loads(timed(__file__, "walk", f"127.0.0.1:{port}")[1]) for _ in range(3)]
            took = statistics.median(found["walk_ms"] for found in walks)
            most = 1.2 * TIMEOUT * 1000 + 300
            kept.append(bar(f"{count} silent brokers: the verdict", took, most, "ms"))
            memory = max(found["memory_mb"] for found in walks)
            kept.append(bar(f"{count} silent brokers: peak memory", memory, MEMORY_MB, "MB"))
    return [*kept, beside_kcat(), asked_aws()]


def asked_aws() -> bool:
    """What --aws adds to the wall time, to that of a chain of calls that nobody can shorten."""
    with told_by("account") as (bootstrap, environment):

        def wall(*options: str) -> float:
            begun = time.monotonic()
            command = [sys.executable, "-m", "kdiag", "check", bootstrap, *options]
            variables = {**os.environ, **environment}
            done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
            assert done.returncode == 0, command
            return (time.monotonic() - begun) * 1000

        wall("--aws")
        added = [wall("--aws", "--aws-source", "203.0.113.10") - wall() for _ in range(RUNS)]
        chain = CALL * CHAIN * 1000
        return bar("what --aws adds to a walk", statistics.median(added), ADDED * chain, "ms")


def beside_kcat() -> bool:
    """The whole command, beside `kcat -L` in the same minute: as long as a round trip takes 50 ms,
    what is loaded meanwhile costs nothing."""
    from tests.distance import lacks

    what = "healthy walk at 50 ms, to kcat -L"
    lacking = lacks() or ("" if shutil.which("kcat") else "kcat, of the package of that name")
    if lacking:
        print(f"MISS {what:44} not measured here: it needs {lacking}")
        return False
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def wall(*command: str) -> float:
        begun = time.monotonic()
        # Without a time-out: to wait for one, subprocess looks every 50 ms.
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        return (time.monotonic() - begun) * 1000

    with told_by("far") as (inside, bootstrap):
        command = Path(sys.executable).with_name("kdiag")  # as users start it
        kdiag = [str(command)] if command.exists() else [sys.executable, "-m", "kdiag"]
        ours = [*inside, *kdiag, "check", bootstrap]
        theirs = [*inside, "kcat", "-L", "-b", bootstrap]
        wall(*ours)
        took = [(wall(*ours), wall(*theirs)) for _ in range(2 * RUNS)]
    mine, kcats = (statistics.median(times) for times in zip(*took, strict=True))
    print(f"     {'the whole command, and kcat -L':44} {mine:8.1f} ms  and {kcats:.1f} ms")
    return bar(what, 100 * mine / kcats, AS_KCAT, "%")


def lint() -> list[bool]:
    """The bars of kdiag lint, of the whole process."""
    small = "tests/lint/corpus/strimzi/good-nodeport.yaml"
    services = "".join(
        f"- apiVersion: v1\n  kind: Service\n  metadata:\n    name: s{n}\n"
        f"  spec:\n    type: NodePort\n    ports:\n    - port: 80\n      nodePort: {n}\n"
        for n in range(30000, 31200)
    )
    one = "".join(f"  {line}\n" for line in (ROOT / small).read_text().split("---")[0].splitlines())
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as large:
        large.write(f"apiVersion: v1\nkind: List\nitems:\n{services}-\n{one}")
        large.flush()
        kept = [bar("kdiag lint, three nodes", cost("-m", "kdiag", "lint", small), LINT_MS, "ms")]
        took = cost("-m", "kdiag", "lint", large.name)
    return [*kept, bar("kdiag lint, 10,000 lines", took, LARGE_MS, "ms")]


def explain() -> list[bool]:
    """The bar of kdiag explain: logs of 100 MB, of lines that are alike, that are not, and that all
    report failures."""
    alike = "".join(
        f"2026-11-24 12:32:39,753 [exec-{n % 200}] INFO OrderService - order {n * 7919} of "
        f"{n * 104729:x} processed in {n % 900} ms, status OK\n"
        for n in range(50_000)
    )
    words = ["".join(chr(103 + n * k % 19) for k in range(3, 9)) for n in range(1, 5000)]
    other = "".join(
        "ERROR connection failed "
        + " ".join(words[(n * k + n // 7) % len(words)] for k in range(1, 10))
        + "\n"
        for n in range(1, 200_000)
    )
    failures = "".join(
        f"[sarama] 2026/11/24 12:{n // 60 % 60:02d}:{n % 60:02d} client/metadata got error from "
        f"broker {n % 3} while fetching metadata: read tcp 10.0.0.{n % 200}:{30000 + n % 30000}->"
        f"203.0.113.{n % 3}:9093: i/o timeout\n"
        for n in range(50_000)
    )
    kept = []
    for name, text in (("alike", alike), ("all different", other), ("all failures", failures)):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            for _ in range(100_000_000 // len(text) + 1):
                log.write(text)
            log.flush()
            took = timed("-m", "kdiag", "explain", log.name)[0]
        kept.append(bar(f"kdiag explain, 100 MB of lines, {name}", took, EXPLAIN_MS, "ms"))
    return kept


def diff() -> list[bool]:
    """The bar of kdiag diff: a folder with 500 reports."""
    goldens = (ROOT / "tests/goldens/json").glob("*.json")
    reports = [file for file in goldens if '"exit_code": 0' in file.read_text("utf-8")]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(500):
            name = f"node-{number:03}.json"
            (Path(folder) / name).write_bytes(reports[number % len(reports)].read_bytes())
        took = timed("-m", "kdiag", "diff", folder)[0]
    return [bar("kdiag diff, 500 reports", took, DIFF_MS, "ms")]


def main(arguments: Sequence[str]) -> int:
    sys.path.insert(0, str(ROOT))
    if arguments[:1] == ["serve"]:
        serve()
    elif arguments[:1] == ["account"]:
        account()
    elif arguments[:1] == ["draw"]:
        draw()
    elif arguments[:1] == ["far"]:
        far()
    elif arguments[:1] == ["there"]:
        there()
    elif arguments[:1] == ["beside-kcat"]:
        return 0 if beside_kcat() else 1
    elif arguments[:1] == ["walk"]:
        walk(arguments[1])
    else:
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, timeout {TIMEOUT:g} s")
        return 0 if all([*measure(), *lint(), *explain(), *diff()]) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
