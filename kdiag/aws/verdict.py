"""The verdict on a network path in AWS, and the steps that lead to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiag.aws.facts import NetworkInterface


class PathVerdict(str, Enum):
    """Whether AWS lets a client reach an address. UNKNOWN if AWS did not answer a call, or if the
    verdict differs between the addresses that the client may have."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PathStep:
    """One check of AWS on a path. `layer` is instance, address, route, acl-in, acl-out or group,
    with the prefix "client-" on the client's side; `decided_by` is the id that decides; `message`
    is the reason; `partial` is True if the verdict is only for some addresses or ports."""

    layer: str
    verdict: PathVerdict
    decided_by: str
    message: str
    partial: bool = False


@dataclass(frozen=True)
class Reachability:
    """The verdict of AWS on the path from a client to one address and port of a network interface.
    `source` is the address of the client, "" if unknown. `steps` are in the order in which AWS
    decides; `inside` is True if the client and the interface are in the same VPC."""

    address: str
    port: int
    interface: NetworkInterface
    source: str
    inside: bool
    steps: tuple[PathStep, ...]

    @property
    def verdict(self) -> PathVerdict:
        """BLOCKED if one step blocks, else UNKNOWN if one step is unknown, else ALLOWED."""
        verdicts = {step.verdict for step in self.steps}
        for verdict in (PathVerdict.BLOCKED, PathVerdict.UNKNOWN):
            if verdict in verdicts:
                return verdict
        return PathVerdict.ALLOWED

    @property
    def deciding_step(self) -> PathStep:
        """The first step with the verdict of the path. If all steps allow, the last step, because
        it names the rule of the security group."""
        steps = [step for step in self.steps if step.verdict is self.verdict]
        return steps[-1] if self.verdict is PathVerdict.ALLOWED else steps[0]

    def steps_of(self, *layers: str) -> tuple[PathStep, ...]:
        """The steps of these layers. A path that a step ends has no later steps."""
        return tuple(step for step in self.steps if step.layer in layers)
