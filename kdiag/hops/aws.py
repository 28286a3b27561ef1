"""Hop 5, aws: beside the walk, what EC2 says of the addresses that the client is sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdiag.attempt import Contact
from kdiag.cloud import Snapshot, Source


@dataclass(frozen=True)
class Aws:
    """The facts of the AWS hop. `addresses` maps every host that the walk was given or told
    (bootstrap and advertised) to the IP addresses that it stands for; `elapsed` is in seconds.
    `proofs` has, for a broker (node id) whose advertised address is private, what was met at the
    public address of the same interface."""

    snapshot: Snapshot
    source: Source
    addresses: Mapping[str, tuple[str, ...]]
    elapsed: float
    proofs: Mapping[int, Contact] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        found = sum(any(self.snapshot.behind(a) for a in ips) for ips in self.addresses.values())
        regions = ", ".join(self.snapshot.regions) or "no region"
        return f"{found} of {len(self.addresses)} addresses found in {regions}"

    @property
    def failed(self) -> tuple[str, ...]:
        """Nothing fails here by itself: what AWS says is for the rules to judge."""
        return ()
