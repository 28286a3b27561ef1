"""The evidence of AWS for findings of the walk (an implementation of rules.cloud.CloudView)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kdiag.aws import remedies
from kdiag.aws.paths import NetworkPath, NetworkPaths
from kdiag.aws.verdict import PathVerdict
from kdiag.config.settings import Endpoint
from kdiag.rules.cloud import CloudView, Public
from kdiag.rules.location import tried
from kdiag.rules.rule import Remedy
from kdiag.rules.text import listed, once
from kdiag.walk.facts.listeners import Listener


def node_of(path: NetworkPath) -> int:
    """The node id of the broker that a path leads to."""
    return int(path.subject.removeprefix("broker "))


def public_address_evidence(paths: NetworkPaths, path: NetworkPath) -> list[str]:
    """Evidence: the network interface with a private address, and the result of dialling its public
    address. Empty if the path has no public address."""
    if not path.public_reachability:
        return []
    interface = path.public_reachability.interface
    instance = paths.snapshot.instances.get(interface.instance)
    named = f" of {interface.instance}" if interface.instance else ""
    named += f" ({instance.name})" if instance and instance.name else ""
    host = path.endpoint.host
    advertised = f"{host} ({path.address})" if host != path.address else host
    owner = f"{path.public_reachability.address}: {interface.id}{named}"
    lines = [f"{path.subject} advertises {advertised}, which is {owner}"]
    public = Endpoint(path.public_reachability.address, path.endpoint.port)
    best = path.public_result.best if path.public_result else None
    if best and best.failed and best.answered_as is None:
        lines.append(tried(public, best, best.failed))
    elif best and best.answered_as is not None:
        lines.append(f"{public} answers as broker {best.answered_as}")
    elif path.public_reachability.verdict is PathVerdict.BLOCKED:
        lines.append(
            f"{public} would not be reached yet: {path.public_reachability.deciding_step.message}"
        )
    return lines


@dataclass(frozen=True)
class AwsView(CloudView):
    """The view of AWS on the addresses of a walk. CloudView documents the methods."""

    paths: NetworkPaths

    def found_public(self, matching: Sequence[Listener]) -> tuple[list[Listener], Public]:
        """The public addresses of AWS replace candidates that are guesses."""
        by_node = {
            listener.broker.node: path
            for listener in matching
            if (path := self.paths.with_public_address(listener.broker.node))
        }
        public = {
            node: Endpoint(path.public_reachability.address, path.endpoint.port)
            for node, path in by_node.items()
            if path.public_reachability
        }
        results = {node: path.public_result for node, path in by_node.items()}
        listeners = [
            x._replace(candidates=(*([x.proven] if x.proven else []), result))
            if (result := results.get(x.broker.node))
            else x
            for x in matching
        ]
        return listeners, public

    def where_public(self, matching: Sequence[Listener]) -> tuple[str, ...]:
        found = [self.paths.with_public_address(x.broker.node) for x in matching]
        return tuple(line for path in found if path for line in _new_evidence(self.paths, path))

    def let_through(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            once(
                f"EC2 lets {path.label} through: "
                + "; ".join(step.message for step in path.effective.steps)
                for path in self.paths.allowed_but_timed_out(names)
                if path.effective
            )
        )

    def refusing(self, names: Sequence[str]) -> tuple[str, ...]:
        refusing = [p for p in self.paths.paths if p.subject in names and p.refused and p.effective]
        if not refusing:
            return ()
        return (
            f"{listed(once(path.label for path in refusing))} "
            f"refuse{'s' if len(refusing) == 1 else ''}, so no security group and no network ACL "
            "of EC2 blocks it: these drop, and never refuse",
        )

    def on_hosts(self, names: Sequence[str]) -> tuple[Remedy, ...]:
        found = self.paths.allowed_but_timed_out(names)
        if {path.subject for path in found} != set(names):
            return ()
        return (remedies.look_on_hosts(sorted({path.endpoint.port for path in found})),)


def _new_evidence(paths: NetworkPaths, path: NetworkPath) -> list[str]:
    """Evidence about a public address that the candidates of a finding do not contain."""
    best = path.public_result.best if path.public_result else None
    answered = best is not None and best.answered_as is not None
    # The candidates of the finding already name the broker that answered.
    return public_address_evidence(paths, path)[: 1 if answered else None]
