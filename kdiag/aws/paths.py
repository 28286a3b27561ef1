"""The network path to every address of the walk: the result of the walk and the verdict of AWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdiag.aws.hop import AwsFacts
from kdiag.aws.verdict import PathVerdict
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.listeners import Listeners

if TYPE_CHECKING:  # the analysis loads only if there are paths to analyze
    from kdiag.aws.facts import NetworkInterface, Snapshot
    from kdiag.aws.verdict import PathStep, Reachability

_NO_ANSWER = (Failure.TIMEOUT, Failure.UNREACHABLE)


class NetworkPath(NamedTuple):
    """The path to one address of an endpoint, with the `result` of the walk. `reachability` is the
    verdict of AWS on the address, None if no known network interface has the address. If the
    address is private and not reachable, `public_reachability` is the verdict on the public address
    of the same interface, and `public_result` the result of dialling that public address."""

    hop: str
    subject: str
    endpoint: Endpoint
    address: str
    result: EndpointResult
    reachability: Reachability | None = None
    public_reachability: Reachability | None = None
    public_result: EndpointResult | None = None

    @property
    def effective(self) -> Reachability | None:
        """The verdict on the public address if there is one, else on the address itself."""
        return self.public_reachability or self.reachability

    @property
    def dial(self) -> AddressResult | None:
        """The result of dialling the address of `effective`, None if the walk did not dial it."""
        result = self.public_result if self.public_reachability else self.result
        address = self.public_reachability.address if self.public_reachability else self.address
        dials = result.dials if result else ()
        return next((dial for dial in dials if dial.address == address), None)

    @property
    def timed_out(self) -> bool:
        """Whether nothing answered the TCP connection request."""
        failed = self.dial.failed if self.dial else None
        return failed is not None and failed.layer == "tcp" and failed.failure is Failure.TIMEOUT

    @property
    def answered(self) -> bool:
        """Whether a host accepted or refused the connection. Security groups and network ACLs drop
        packets, so an answer proves that none of them blocks the path."""
        return self._tcp is not None and self._tcp.failure not in _NO_ANSWER

    @property
    def refused(self) -> bool:
        """Whether the host refused the connection."""
        return self._tcp is not None and self._tcp.failure is Failure.REFUSED

    @property
    def _tcp(self) -> LayerResult | None:
        attempts = self.dial.attempts if self.dial else ()
        return next((attempt for attempt in attempts if attempt.layer == "tcp"), None)

    @property
    def label(self) -> str:
        """The address of `effective` and the subject, such as `3.10.139.221:9094 (broker 1)`."""
        address = self.effective.address if self.effective else self.address
        return f"{Endpoint(address, self.endpoint.port)} ({self.name})"

    @property
    def name(self) -> str:
        """`bootstrap`, or the subject, such as `broker 1`."""
        return "bootstrap" if self.hop == "bootstrap" else self.subject


class BlockedPath(NamedTuple):
    """A path, and one step of it that blocks the client, or may block it."""

    path: NetworkPath
    reachability: Reachability
    step: PathStep


class NetworkPaths(NamedTuple):
    """The paths of a walk: first to the bootstrap servers, then to the brokers."""

    aws: AwsFacts
    paths: tuple[NetworkPath, ...]

    @property
    def snapshot(self) -> Snapshot:
        """The facts from the AWS API."""
        return self.aws.snapshot

    @property
    def for_other_client(self) -> bool:
        """Whether `--aws-source` names another client. The results of the walk then prove nothing
        about that client."""
        return self.aws.source.known_from == "given"

    def contradicted(self, path: NetworkPath) -> bool:
        """Whether the walk got an answer on a path that AWS blocks. The source address of the
        client is then wrong, so the verdict has no meaning."""
        blocked = path.effective is not None and path.effective.verdict is PathVerdict.BLOCKED
        return blocked and path.answered and not self.for_other_client

    def blocked(self, *layers: str) -> list[BlockedPath]:
        """The paths that a step of these layers blocks, without contradicted paths. A step that
        blocks only some source ports stays: one answer does not contradict it."""
        return [
            BlockedPath(path, path.effective, step)
            for path in self.paths
            if path.effective
            for step in path.effective.steps_of(*layers)
            if step.verdict is PathVerdict.BLOCKED and (step.partial or not self.contradicted(path))
        ]

    def undecided(self, *layers: str) -> list[BlockedPath]:
        """The paths that time out, and that a step of these layers blocks for a part of the
        addresses that the client may have."""
        return [
            BlockedPath(path, path.effective, step)
            for path in self.paths
            if path.effective and path.timed_out and path.effective.verdict is PathVerdict.UNKNOWN
            for step in path.effective.steps_of(*layers)
            if step.verdict is PathVerdict.UNKNOWN and step.partial
        ]

    def allowed_but_timed_out(self, subjects: Sequence[str]) -> list[NetworkPath]:
        """The paths of these subjects that AWS allows and that time out."""
        return [
            path
            for path in self.paths
            if path.subject in subjects
            and path.timed_out
            and path.effective
            and path.effective.verdict is PathVerdict.ALLOWED
        ]

    def with_public_address(self, node: int) -> NetworkPath | None:
        """The first path of a broker whose private address has a public one."""
        return next(
            (
                path
                for path in self.paths
                if path.subject == f"broker {node}" and path.public_reachability
            ),
            None,
        )


def known_paths(facts: Facts) -> NetworkPaths | None:
    """The NetworkPaths, if the facts include those of AWS and of the bootstrap hop."""
    aws, bootstrap = facts.get(AwsFacts), facts.get(Bootstrap)
    return network_paths(aws, bootstrap, facts.get(Listeners)) if aws and bootstrap else None


def network_paths(aws: AwsFacts, bootstrap: Bootstrap, listeners: Listeners | None) -> NetworkPaths:
    """Analyzes the path to every address of the bootstrap servers and the advertised listeners."""
    servers = [("bootstrap", f"bootstrap {c.endpoint}", c, None) for c in bootstrap.contacts]
    brokers = [
        ("listeners", f"broker {x.broker.node}", x.contact, aws.public_results.get(x.broker.node))
        for x in (listeners.listeners if listeners else ())
    ]
    bootstrap_vpcs = frozenset(
        interface.vpc
        for server in bootstrap.contacts
        for address in aws.addresses.get(server.endpoint.host, ())
        for interface in aws.snapshot.interfaces_with(address)
        if address not in interface.private
    )
    paths = [
        _analyzed(
            aws,
            bootstrap_vpcs,
            NetworkPath(
                hop, subject, result.endpoint, address, result, public_result=public_result
            ),
        )
        for hop, subject, result, public_result in (*servers, *brokers)
        for address in aws.addresses.get(result.endpoint.host, ())
        if 0 < result.endpoint.port < 65536
    ]
    return NetworkPaths(aws, tuple(paths))


def _analyzed(aws: AwsFacts, bootstrap_vpcs: frozenset[str], path: NetworkPath) -> NetworkPath:
    """The path with the verdicts of AWS."""
    from kdiag.aws.reachability import analyze  # 26 ms

    interface = _interface(aws.snapshot, bootstrap_vpcs, path.address)
    if not interface:
        return path

    def reachability(address: str) -> Reachability:
        return analyze(aws.snapshot, aws.source, interface, address, path.endpoint.port)

    own = reachability(path.address)
    public = interface.public.get(path.address, "")
    unreachable = any(step.verdict is not PathVerdict.ALLOWED for step in own.steps_of("address"))
    use_public = public and unreachable and not path.result.usable
    return path._replace(
        reachability=own, public_reachability=reachability(public) if use_public else None
    )


def _interface(
    snapshot: Snapshot, bootstrap_vpcs: frozenset[str], address: str
) -> NetworkInterface | None:
    """The network interface with an address. If several have it, the one in a VPC of the bootstrap
    servers; None if that is not clear."""
    interfaces = snapshot.interfaces_with(address)
    if len(interfaces) > 1:
        interfaces = tuple(one for one in interfaces if one.vpc in bootstrap_vpcs)
    return interfaces[0] if len(interfaces) == 1 else None
