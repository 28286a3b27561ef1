"""The order of AWS calls: as few sequential calls as possible, in parallel with the walk.

The tests do not measure time. The server responds to a wave of calls after it received all calls of
the wave, so a client that waits for a response in between gets none. The number of waves is the
smallest possible number of sequential calls.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable

from kdiag.kafka.messages import METADATA, PRODUCE, Request
from tests.accounts import LAPTOP, PRIVATE, Account, Environ, Start, moto
from tests.running import Brokers, kdiag

PATIENCE = 4.0  # seconds; kdiag waits for 5
AWS_OPTIONS = ("--aws", "--aws-source", LAPTOP, "-o", "json")


class Waves:
    """Responds to waves of calls of these sizes. `broken` says which wave was not complete."""

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
        return moto()(environ, start)


def report_of(brokers: Brokers, *options: str) -> dict[str, object]:
    done = kdiag("check", brokers.bootstrap, *AWS_OPTIONS, *options)
    report: dict[str, object] = json.loads(done.stdout)
    assert (report["verdict"], done.returncode) == ("pass", 0), report
    return report


def check_in_waves(account: Account, brokers: Brokers, waves: Waves, *options: str) -> None:
    """Checks a healthy cluster; the calls to AWS must come in these waves."""
    account.overrides["*"] = waves
    account.calls.clear()
    report = report_of(brokers, *options)
    assert waves.broken == ""
    assert report["aws"]["calls"] == waves.came == len(account.calls)  # type: ignore[index]


def brokers_in_account(account: Account, brokers: Brokers) -> list[str]:
    """Creates three brokers in the account, with a rule for LAPTOP."""
    public = account.three()
    brokers.on(public)
    ports = [node.port for node in brokers.cluster.nodes]
    account.allow((min(ports), max(ports)))
    return public


def test_public_addresses_need_two_waves(account: Account, brokers: Brokers) -> None:
    """Instances; then groups, network ACLs and routes."""
    brokers_in_account(account, brokers)
    check_in_waves(account, brokers, Waves(1, 3))


def test_public_and_private_addresses_are_in_one_wave(
    account: Account, brokers: Brokers
) -> None:  # fmt: skip
    """Instances and interfaces; then groups, network ACLs, routes, and the state of the instance
    with the private address."""
    public = brokers_in_account(account, brokers)
    brokers.cluster.nodes[1].host = "ip-10-0-1-12.eu-west-2.compute.internal"
    mapped = f"{brokers.cluster.nodes[1].host}={public[1]}"
    account.overrides["*"] = waves = Waves(2, 4)
    done = kdiag("check", brokers.bootstrap, *AWS_OPTIONS, "--map", mapped)
    report = json.loads(done.stdout)
    assert (waves.broken, report["aws"]["calls"]) == ("", 6), report
    assert PRIVATE[1] in {row["address"] for row in report["aws"]["addresses"]}


def test_prefix_lists_of_rules_are_a_third_wave(account: Account, brokers: Brokers) -> None:
    """Two prefix lists in parallel, after the groups are known."""
    brokers_in_account(account, brokers)
    office = {"AddressFamily": "IPv4", "Entries": [{"Cidr": "198.51.100.0/24"}]}
    for name in ("office", "home"):
        made = account.client().create_managed_prefix_list(
            PrefixListName=name, MaxEntries=5, **office
        )
        account.allow(PrefixListIds=[{"PrefixListId": made["PrefixList"]["PrefixListId"]}])
    check_in_waves(account, brokers, Waves(1, 3, 2))


def test_the_walk_does_not_wait_for_the_calls(account: Account, brokers: Brokers) -> None:
    """AWS does not respond until every broker has received a produce request."""
    brokers_in_account(account, brokers)
    produced = [threading.Event() for _ in brokers.brokers]

    def watched(node: int) -> Callable[[Request], None]:
        def control(request: Request) -> None:
            if request.api is PRODUCE:
                produced[node - 1].set()

        return control

    for node, broker in brokers.brokers.items():
        broker.control = watched(node)
    waves = Waves(1, 3, before=lambda: all(event.wait(PATIENCE) for event in produced))
    check_in_waves(account, brokers, waves)


def test_the_calls_start_after_the_metadata_response(account: Account, brokers: Brokers) -> None:
    """And not earlier, because the addresses are not known earlier."""
    brokers_in_account(account, brokers)
    listed, early = threading.Event(), []

    def control(request: Request) -> None:
        if request.api is METADATA:
            early.extend(account.calls)
            listed.set()

    brokers.brokers[1].control = control
    check_in_waves(account, brokers, Waves(1, 3, before=listed.is_set))
    assert early == []
