"""Brokers come and go while kdiag serve is probed: `python -m tests.lab.chaos [MINUTES]`.

Each event happens to real brokers in the made-up AWS. The log of kdiag serve must name each change
of each target once, rightly, and by the second probe that began after it; of the other targets it
says nothing. A walk that is under way at the very moment may see half of both, and one that meets a
broker which is starting again may find it silent: it accepts connections before it answers. At the
end no descriptor, walk or namespace is left.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tests.lab.lab import Lab, in_aws
from tests.lab.network import HOMES, PUBLICS
from tests.lab.serving import Served, State, serving

FEW, ENOUGH = 2, 90.0  # probes until a change is named; seconds until a broker is back
TIMES = "timeout = 0.8\nanswer-timeout = 1.5"

PASS: State = ("pass", None)
# A broker that is away for longer than its session is no longer listed: then fewer brokers are left
# than the topic of the offsets is to have replicas.
FEWER: State = ("warn", None)
STARTING: State = ("fail", "KD107")


@dataclass(frozen=True)
class Event:
    """Something that happens, and ends. `named` has the cause at each target that it affects;
    `away`: it may last for longer than a broker's session."""

    name: str
    happening: Callable[[Lab], AbstractContextManager[None]]
    named: Mapping[str, str]
    away: bool = False


@contextmanager
def frozen(lab: Lab) -> Iterator[None]:
    lab.kafka.pause(3)
    try:
        yield
    finally:
        lab.kafka.resume(3)


@contextmanager
def killed(lab: Lab) -> Iterator[None]:
    lab.kafka.kill(3)
    try:
        yield
    finally:
        lab.ask("missed")  # before, it does not get its id again
        lab.kafka.run(3)
        lab.ask("recover")


@contextmanager
def certificate_exchanged(lab: Lab) -> Iterator[None]:
    """The servers of the TLS listener have certificates that are over: those of another one."""
    rules = "".join(
        f"add rule ip chaos in ip daddr {public} tcp dport 9110 dnat to {home}:9114\n"
        for public, home in zip(PUBLICS, HOMES, strict=True)
    )
    hook = "{ type nat hook prerouting priority -110; }"
    made = f"add table ip chaos\nadd chain ip chaos in {hook}\n{rules}"
    lab.network.gateway.run("nft", "-f", "-", stdin=made)
    try:
        yield
    finally:
        lab.network.gateway.run("nft", "delete table ip chaos")


def port_dropped(lab: Lab) -> AbstractContextManager[None]:
    return lab.network.rule(f"ip daddr {HOMES[1]} tcp dport 9094 drop")


def names_gone(lab: Lab) -> AbstractContextManager[None]:
    return lab.network.deaf_resolver()


SHORT = (
    Event("a port is dropped", port_dropped, {"plain": "KD306", "named": "KD306"}),
    Event("names are gone", names_gone, {"named": "KD102"}),
    Event("a certificate is exchanged", certificate_exchanged, {"tls": "KD114"}),
    Event("a broker freezes", frozen, dict.fromkeys(("plain", "tls", "named"), "KD107"), away=True),
)
KILLED = Event(
    "a broker dies", killed, dict.fromkeys(("plain", "tls", "named"), "KD305"), away=True
)


@dataclass
class Chaos:
    """kdiag serve on the laptop, probed each `interval` seconds as Prometheus does."""

    lab: Lab
    folder: Path
    interval: float = 2.0
    probes: dict[str, list[tuple[float, float, State]]] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)
    _read: int = 0
    _open: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serves and probes; every target passes when this begins."""
        ca = self.lab.kafka.certificates / "ca.pem"
        tls = f'properties = {{"security.protocol" = "SSL", "ssl.ca.location" = "{ca}"}}'
        targets = {
            "plain": f'bootstrap = "{self.lab.at("PUBLIC")}"\n{TIMES}',
            "tls": f'bootstrap = "{self.lab.at("TLS")}"\n{TIMES}\n{tls}',
            "named": f'bootstrap = "kafka.example.com:9094"\n{TIMES}',
        }
        with serving(self.lab, self.folder, targets) as self.served:
            self.probes = {name: [] for name in targets}
            probers = [threading.Thread(target=self._probe, args=(name,)) for name in targets]
            for prober in probers:
                prober.start()
            try:
                self._until_all_pass()
                assert self._changes() == {name: [PASS] for name in targets}
                self._open = self.served.descriptors
                yield
            finally:
                self._end.set()
                for prober in probers:
                    prober.join()

    served: Served = field(init=False)

    def _probe(self, target: str) -> None:
        wake = time.monotonic()
        while not self._end.is_set():
            began = time.monotonic()
            text = self.served.get(
                f"/probe?target={target}", X_Prometheus_Scrape_Timeout_Seconds="4"
            )
            cause = re.search(r'^kdiag_root_cause_info\{.*code="(KD\d+)"', text, re.M)
            verdict = re.search(r'verdict="(\w+)"', text)
            assert verdict
            state = (verdict.group(1), cause.group(1) if cause else None)
            self.probes[target].append((began, time.monotonic(), state))
            wake = max(wake + self.interval, time.monotonic())
            self._end.wait(wake - time.monotonic())

    def _changes(self) -> dict[str, list[State]]:
        """What the log says since it was read last, by target."""
        states = self.served.states()
        found: dict[str, list[State]] = {}
        for target, state in states[self._read :]:
            found.setdefault(target, []).append(state)
        self._read = len(states)
        return found

    def _after(self, moment: float, probes: int) -> dict[str, list[State]]:
        """The results of the first probes of each target that began after a moment."""
        give_up = time.monotonic() + ENOUGH
        while time.monotonic() < give_up:
            found = {
                target: [state for began, _, state in list(results) if began >= moment][:probes]
                for target, results in self.probes.items()
            }
            if all(len(states) == probes for states in found.values()):
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {probes} probes since then: {self.served.log.read_text()}")

    def _until_all_pass(self) -> None:
        give_up = time.monotonic() + ENOUGH
        while time.monotonic() < give_up:
            if all(results and results[-1][2] == PASS for results in self.probes.values()):
                return
            time.sleep(0.02)
        raise AssertionError(f"not all pass: {self.served.log.read_text()}")

    def happens(self, event: Event) -> None:
        """An event, until it is named, and its end."""
        moments = [time.monotonic()]
        with event.happening(self.lab):
            moments.append(time.monotonic())
            seen = self._after(moments[-1], FEW)
            for target, states in seen.items():
                cause = event.named.get(target)
                expected: State = ("fail", cause) if cause else PASS
                shown = states if event.away else states[-1:]
                assert expected in shown, (event.name, target, states)
            moments.append(time.monotonic())
        moments.append(time.monotonic())
        if event.away:
            self._until_all_pass()
        else:
            seen = self._after(moments[-1], FEW)
            assert all(states[-1] == PASS for states in seen.values()), (event.name, seen)
        self._after(time.monotonic(), 1)
        changes = self._changes()
        assert changes.keys() == event.named.keys(), (event.name, changes)
        for target, states in changes.items():
            chain: list[State] = [("fail", event.named[target]), PASS]
            # Kafka lists a broker that comes back before it opens its listeners
            # (BrokerServer.startup): the cause may be true once more.
            more = ([chain[0], FEWER, PASS], chain * 2) if event.away else ()
            half = {
                state
                for began, ended, state in self.probes[target]
                if any(began <= moment <= ended for moment in moments)
            }
            half |= {STARTING} if event.away else set()
            whole = [states[0], *(x for x in states[1:] if x == PASS or x not in half)]
            named = [state for state, _ in groupby(whole)]
            assert named in (chain, *more), (event.name, target, states)

    def nothing_is_left(self) -> None:
        """Neither a walk nor a descriptor, once nobody asks any more."""
        self._end.set()
        give_up = time.monotonic() + ENOUGH
        while self.served.metric("kdiag_walks_in_progress") or self.served.descriptors > self._open:
            assert time.monotonic() < give_up, (self.served.descriptors, self._open)
            time.sleep(0.1)


def main() -> None:
    """Lets events happen in a random order for some minutes, each kind at least once."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    order, events = random.Random(1), 0
    with tempfile.TemporaryDirectory() as folder, in_aws(Path(folder)) as lab:
        (home := Path(folder) / "served").mkdir()
        chaos = Chaos(lab, home)
        with chaos.running():
            started, until = memory(chaos.served), time.monotonic() + 60 * minutes
            while time.monotonic() < until:
                for event in order.sample((*SHORT, KILLED), len(SHORT) + 1):
                    began = time.monotonic()
                    chaos.happens(event)
                    events += 1
                    say(f"{event.name}: named once, {time.monotonic() - began:.1f} s")
            chaos.nothing_is_left()
            probes = sum(map(len, chaos.probes.values()))
            lines = len(chaos.served.states())
            say(f"{events} events, {probes} probes, {lines} lines of the log")
            say(f"memory {started} kB at first, {memory(chaos.served)} kB at the end")
            say(f"descriptors {chaos._open} at first, {chaos.served.descriptors} at the end")


def memory(served: Served) -> int:
    """The memory of the process, in kB."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    (found,) = re.findall(r"^VmRSS:\s+(\d+)", status, re.M)
    return int(found)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
