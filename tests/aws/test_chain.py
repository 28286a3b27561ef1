"""How long AWS makes a walk: calls that wait for each other are few, and the walk waits for none.

No clock is read. A server answers the calls of a wave once all of them have come: a client that
waited in between would get no answer. The waves are the chain of calls that cannot be shorter.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable

from kdiag.kafka.messages import METADATA, PRODUCE, Request
from tests.accounts import LAPTOP, MOTO, PRIVATE, Account, Environ, Start
from tests.running import Brokers, kdiag

PATIENCE = 4.0  # seconds; kdiag waits for 5
ASKED = ("--aws", "--aws-source", LAPTOP, "-o", "json")


class Waves:
    """Answers so many calls at once, then so many. `broken` is why one was answered alone."""

    def __init__(self, *sizes: int, before: Callable[[], bool] = lambda: True) -> None:
        self.came, self.broken = 0, ""
        self._ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
        self._before = before
        self._change = threading.Condition()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        with self._change:
            self.came += 1
            self._change.notify_all()
            end = next((end for end in self._ends if end >= self.came), 0)
            if not end:
                self.broken = f"call {self.came} is one too many"
            elif not self._change.wait_for(lambda: self.came >= end, PATIENCE):
                self.broken = f"only {self.came} of {end} calls at once"
        if not self._before():
            self.broken = "the walk waits for AWS"
        return MOTO(environ, start)


def walked(brokers: Brokers, *options: str) -> dict[str, object]:
    done = kdiag("check", brokers.bootstrap, *ASKED, *options)
    report: dict[str, object] = json.loads(done.stdout)
    assert (report["verdict"], done.returncode) == ("pass", 0), report
    return report


def asked(account: Account, brokers: Brokers, waves: Waves, *options: str) -> None:
    """A healthy walk, and AWS asked in these waves."""
    account.instead["*"] = waves
    account.calls.clear()
    report = walked(brokers, *options)
    assert waves.broken == ""
    assert report["aws"]["calls"] == waves.came == len(account.calls)  # type: ignore[index]


def opened(account: Account, brokers: Brokers) -> list[str]:
    """Three brokers at addresses that AWS knows, and a rule for the laptop."""
    public = account.three()
    brokers.on(public)
    ports = [node.port for node in brokers.cluster.nodes]
    account.allow((min(ports), max(ports)))
    return public


def test_public_addresses_take_two_calls_in_turn(account: Account, brokers: Brokers) -> None:
    """Instances; then groups, network ACLs and routes."""
    opened(account, brokers)
    asked(account, brokers, Waves(1, 3))


def test_public_and_private_ones_are_asked_for_together(
    account: Account, brokers: Brokers
) -> None:  # fmt: skip
    """Instances and interfaces; then groups, network ACLs, routes, and the state of the other."""
    public = opened(account, brokers)
    brokers.cluster.nodes[1].host = "ip-10-0-1-12.eu-west-2.compute.internal"
    mapped = f"{brokers.cluster.nodes[1].host}={public[1]}"
    account.instead["*"] = waves = Waves(2, 4)
    done = kdiag("check", brokers.bootstrap, *ASKED, "--map", mapped)
    report = json.loads(done.stdout)
    assert (waves.broken, report["aws"]["calls"]) == ("", 6), report
    assert PRIVATE[1] in {row["address"] for row in report["aws"]["addresses"]}


def test_what_rules_refer_to_is_a_third(account: Account, brokers: Brokers) -> None:
    """Two prefix lists at once, when the groups are known."""
    opened(account, brokers)
    office = {"AddressFamily": "IPv4", "Entries": [{"Cidr": "198.51.100.0/24"}]}
    for name in ("office", "home"):
        made = account.client().create_managed_prefix_list(
            PrefixListName=name, MaxEntries=5, **office
        )
        account.allow(PrefixListIds=[{"PrefixListId": made["PrefixList"]["PrefixListId"]}])
    asked(account, brokers, Waves(1, 3, 2))


def test_the_walk_goes_on_beside_the_calls(account: Account, brokers: Brokers) -> None:
    """AWS answers nothing until every broker was sent a produce request."""
    opened(account, brokers)
    produced = [threading.Event() for _ in brokers.brokers]

    def watched(node: int) -> Callable[[Request], None]:
        def control(request: Request) -> None:
            if request.api is PRODUCE:
                produced[node - 1].set()

        return control

    for node, broker in brokers.brokers.items():
        broker.control = watched(node)
    waves = Waves(1, 3, before=lambda: all(event.wait(PATIENCE) for event in produced))
    asked(account, brokers, waves)


def test_it_is_asked_as_soon_as_the_brokers_are_listed(account: Account, brokers: Brokers) -> None:
    """And not before: whom to ask about is not known until then."""
    opened(account, brokers)
    listed, early = threading.Event(), []

    def control(request: Request) -> None:
        if request.api is METADATA:
            early.extend(account.calls)
            listed.set()

    brokers.brokers[1].control = control
    asked(account, brokers, Waves(1, 3, before=listed.is_set))
    assert early == []
