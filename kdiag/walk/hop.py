"""What a hop is: a function that gathers facts, given the facts of the hops before it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Protocol

from kdiag.config.annotations import may_be_none, meanings, members
from kdiag.config.settings import Endpoint, Settings
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.login import Login
from kdiag.kafka.messages import Versions
from kdiag.network.attempt import AddressResult
from kdiag.walk.allowance import Allowance
from kdiag.walk.turns import Turns


class Facts(Protocol):
    """What every hop's facts tell of themselves. `elapsed` is in seconds, `summary` one line;
    `failed` names, as findings do, the subjects that failed."""

    @property
    def elapsed(self) -> float: ...

    @property
    def summary(self) -> str: ...

    @property
    def failed(self) -> tuple[str, ...]: ...


class Peer(NamedTuple):
    """Whom a connection is with: an address, by the name that it was dialled under, over TLS or
    not."""

    address: str
    endpoint: Endpoint
    encrypted: bool


Table = tuple[tuple[int, int, int], ...]
Gather = Callable[..., Awaitable[Optional[Facts]]]


class HopFailure(NamedTuple):
    """A hop that did not end: by an error of kdiag's own, or (error "") by the deadline."""

    hop: str
    seconds: float
    error: str = ""


class HopFailures(NamedTuple):
    """The hops that did not end."""

    halts: tuple[HopFailure, ...]


@dataclass
class Walk:
    """What hops share beside facts: the settings, the network, and what is still on the wire.

    `login` logs in. `allowance` says how much may be asked. `protocol` is the security.protocol
    that was asked for or, from hop 1 on, found. `apis` is hop 1's table of ApiVersions: versions
    that brokers not yet met can be supposed to have; `tables` holds each different one once.
    `asked` holds the metadata answers that were asked for in hop 1's flight, `beside` what one
    connection is asked after it. `standing` are hop 1's connections to addresses that are
    advertised too, until hop 3 goes on with them, `flights` what becomes of the produce requests to
    each broker that proved itself, for the hop after, `leads` a few partitions of each leader, once
    somebody had to list them, `turns` who may begin a handshake of TLS. At `until`, in the loop's
    seconds, the deadline passes.
    """

    settings: Settings
    net: KafkaDialer
    until: float = math.inf
    login: Login = field(init=False)
    allowance: Allowance = field(init=False)
    protocol: str | None = field(init=False)
    apis: Versions = field(default_factory=dict)
    tables: dict[Table, Table] = field(default_factory=dict)
    asked: list[tuple[Endpoint, asyncio.Future[Reply]]] = field(default_factory=list)
    beside: asyncio.Future[Any] | None = None
    standing: dict[Peer, tuple[AddressResult, KafkaConnection]] = field(default_factory=dict)
    flights: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    leads: asyncio.Future[Any] | None = None
    turns: Turns = field(default_factory=Turns)

    @property
    def told(self) -> tuple[str, ...]:
        """Every secret that was configured or fetched: none of them may ever be printed."""
        return self.settings.security._replace(sasl=self.login.ready).secrets

    def hold(self, peer: Peer, dial: AddressResult, conversation: KafkaConnection) -> bool:
        """Leaves a connection open for hop 3, as far as descriptors allow."""
        room = len(self.standing) < self.net.keepable // 4 and peer not in self.standing
        if room:
            self.standing[peer] = dial, conversation
        return room

    def release(self, advertised: Collection[Endpoint]) -> None:
        """Closes the connections of hop 1 that lead to no advertised address."""
        for peer in list(self.standing):
            if peer.endpoint not in advertised:
                _, conversation = self.standing.pop(peer)
                conversation.close()

    def table(self, apis: Versions) -> Table:
        """A table of ApiVersions as a fact; brokers with the same one share it."""
        made = tuple((key, *apis[key]) for key in sorted(apis))
        return self.tables.setdefault(made, made)

    def __post_init__(self) -> None:
        security = self.settings.security
        self.login = Login(
            security.sasl, self.settings.timeout, only_encrypted=security.only_encrypted
        )
        self.protocol = security.protocol
        self.allowance = Allowance(self.settings)


class Hop(NamedTuple):
    """A hop: its id, the types of the facts it needs, and the function that gathers. Of the facts
    in `optional` it makes use when they are known."""

    id: str
    needs: tuple[type, ...]
    gives: type
    gather: Gather
    optional: frozenset[type] = frozenset()

    def ready(self, facts: Mapping[type, Any]) -> bool:
        """Whether all that it needs is known."""
        return all(need in facts for need in self.needs if need not in self.optional)

    def run(self, walk: Walk, facts: Mapping[type, Any]) -> Awaitable[Any]:
        """Gathers, given the facts that it needs."""
        return self.gather(walk, *(facts.get(need) for need in self.needs))


class Companion(Protocol):
    """A hop beside the walk, which a feature adds: it starts as soon as brokers are listed, and
    its facts are collected after the last hop. `spare` is how many seconds of the deadline are
    kept for it."""

    hop: Hop
    spare: float

    def begin(self, walk: Walk, facts: Mapping[type, Any]) -> None:
        """Starts what it can do while the hops after hop 2 run."""

    def end(self) -> None:
        """Ends what it started."""


def hop(id: str) -> Callable[[Gather], Hop]:  # noqa: A002
    """Declares a hop. Its first parameter is the Walk, the others are the facts it needs
    (`T | None`: may be missing).

    It returns facts, or None when those before it left nothing to work on: the hop is skipped then.
    """

    def declare(gather: Gather) -> Hop:
        hints = meanings(gather)
        gives = members(hints.pop("return"))[0]
        asked = [kind for kind in hints.values() if kind is not Walk]
        needs = tuple(members(kind)[0] for kind in asked)
        missing = frozenset(need for need, kind in zip(needs, asked) if may_be_none(kind))
        return Hop(id, needs, gives, gather, missing)

    return declare
