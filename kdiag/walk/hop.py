"""What a hop is: a function that collects facts, given the facts of the hops before it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Optional, Protocol, TypeVar

from kdiag.config.annotations import meanings, members
from kdiag.config.record import NamedTuple
from kdiag.config.security import Security
from kdiag.config.settings import Endpoint, Settings
from kdiag.kafka.connection import KafkaConnection, Reply
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.login import Login
from kdiag.kafka.messages import Question, Versions
from kdiag.network.attempt import AddressResult
from kdiag.text import plural
from kdiag.walk.allowance import Allowance
from kdiag.walk.areas import Progress
from kdiag.walk.facts import Facts, HopFacts, needed
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.turns import Turns


class Peer(NamedTuple):
    """The other end of a connection: its address, the endpoint whose host resolved to it, and
    whether the connection uses TLS."""

    address: str
    endpoint: Endpoint
    encrypted: bool


T = TypeVar("T")
Table = tuple[tuple[int, int, int], ...]
Collect = Callable[..., Awaitable[Optional[HopFacts]]]


class Flight(NamedTuple):
    """The role's questions to one broker under way: the connection, if it is kept for a second
    look, and the replies by the names of the questions."""

    connection: KafkaConnection | None
    replies: Mapping[str, asyncio.Future[Reply]]

    async def ended(self) -> dict[str, Reply]:
        """The replies."""
        return {name: await reply for name, reply in self.replies.items()}

    async def ask(self, questions: Mapping[str, Question]) -> dict[str, Reply]:
        """The replies to further questions; none without a connection."""
        if self.connection is None:
            return {}
        sent = {name: self.connection.send(each) for name, each in questions.items()}
        return {name: await reply for name, reply in sent.items()}


class Wire:
    """Connections and pending replies that one hop leaves to a later one.

    `metadata` has the replies to hop 1's Metadata requests, `side_answers` the answers to the side
    questions on one of these connections. `connections` are hop 1's connections to addresses that
    are also advertised, for hop 3. By node id, `produce` has the results of the produce requests
    that hop 3 sends for hop 4, `consume` the role's questions that are sent with these, and
    `settings` the settings of each broker. `internal` is one broker's answer on internal topics;
    `led` has a few partitions of each leader, where all topics were listed; `names` are names of
    TLS servers that complete handshakes. `tables` holds each different table of ApiVersions once.
    `progress` is called with how far the hop is.
    """

    def __init__(self) -> None:
        self.metadata: list[tuple[Endpoint, asyncio.Future[Reply]]] = []
        self.side_answers: asyncio.Future[Any] | None = None
        self.connections: dict[Peer, tuple[AddressResult, KafkaConnection]] = {}
        self.produce: dict[int, asyncio.Future[Any]] = {}
        self.consume: dict[int, Flight] = {}
        self.settings: dict[int, Mapping[str, str]] = {}
        self.internal: asyncio.Future[Any] | None = None
        self.names: dict[str, None] = {}
        self.led: asyncio.Future[Any] | None = None
        self.tables: dict[Table, Table] = {}
        self.progress: Callable[[Progress], None] = lambda _: None

    def counting(
        self, total: int, answered: Callable[[Any], bool]
    ) -> Callable[[Awaitable[T]], Awaitable[T]]:
        """What waits for the result of each of `total` brokers and tells how many answered."""
        count, of = 0, plural(total, "broker")

        async def counted(waiting: Awaitable[T]) -> T:
            nonlocal count
            result = await waiting
            count += answered(result)
            self.progress(Progress(f"{count} of {of} answered"))
            return result

        return counted

    def keep(self, peer: Peer, dial: AddressResult, connection: KafkaConnection, most: int) -> bool:
        """Keeps a connection for hop 3, if fewer than `most` are kept and none to this peer is."""
        room = len(self.connections) < most and peer not in self.connections
        if room:
            self.connections[peer] = dial, connection
        return room

    def close_others(self, advertised: Collection[Endpoint]) -> None:
        """Closes the kept connections to endpoints that are not advertised."""
        for peer in list(self.connections):
            if peer.endpoint not in advertised:
                _, connection = self.connections.pop(peer)
                connection.close()

    def cancel(self) -> None:
        """Cancels what no hop waits for any more: the hop for which it was started did not run."""
        for pending in (self.side_answers, self.internal, self.led, *self.produce.values()):
            if pending:
                pending.cancel()

    def table(self, apis: Versions) -> Table:
        """A table of ApiVersions as a fact; brokers with the same one share it."""
        made = tuple((key, *apis[key]) for key in sorted(apis))
        return self.tables.setdefault(made, made)


class Walk(NamedTuple):
    """The context of a walk, which no hop changes: the settings, the network, the login, what the
    walk may dial, and whose turn it is to begin a TLS handshake.

    `wire` is what hops leave to each other. `protocol` is the configured security.protocol and
    `apis` empty, until a hop after hop 1 takes them from the facts (`after`): the protocol that
    was found, and the versions that brokers which were not asked yet are assumed to have. At
    `until`, in the loop's seconds, the deadline passes.
    """

    settings: Settings
    net: KafkaDialer
    login: Login
    allowance: Allowance
    turns: Turns
    wire: Wire
    until: float
    protocol: str | None
    apis: Versions

    @property
    def client_security(self) -> Security:
        """The security of the real client: with the protocol that was found, and the token."""
        return self.settings.security._replace(protocol=self.protocol, sasl=self.login.ready)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret that was configured or fetched: none may be printed."""
        proxy = self.settings.options.proxy
        own = self.settings.security._replace(sasl=self.login.ready).secrets
        return (*own, *proxy.secrets) if proxy else own

    def after(self, bootstrap: Bootstrap) -> Walk:
        """The context of the hops after hop 1: `protocol` (unless it is configured) and `apis` are
        those that hop 1 found."""
        return self._replace(protocol=self.protocol or bootstrap.protocol, apis=bootstrap.apis)


def walk_context(settings: Settings, net: KafkaDialer, until: float = math.inf) -> Walk:
    """The context in which a walk starts."""
    security = settings.security
    login = Login(security.sasl, settings.options.timeout, only_encrypted=security.only_encrypted)
    allowance, protocol = Allowance(settings), security.protocol
    return Walk(settings, net, login, allowance, Turns(), Wire(), until, protocol, {})


class Hop(NamedTuple):
    """A hop: its id, the types of the facts it needs, the type of its own facts, and the function
    that collects them. Those in `optional` may be missing."""

    id: str
    needs: tuple[type, ...]
    gives: type
    collect: Collect
    optional: frozenset[type] = frozenset()

    def ready(self, facts: Facts) -> bool:
        """Whether the facts that it needs are known."""
        return facts.arguments(self.needs, self.optional) is not None

    def run(self, walk: Walk, facts: Facts) -> Awaitable[HopFacts | None]:
        """Collects its facts. `facts` must have those that it needs (`ready`)."""
        return self.collect(walk, *(facts.arguments(self.needs, self.optional) or ()))


class Companion(Protocol):
    """A hop beside the walk, which a feature adds: it starts as soon as brokers are listed, and
    its facts are collected after the last hop. `spare` is how many seconds of the deadline are
    kept for it."""

    hop: Hop
    spare: float

    def begin(self, walk: Walk, facts: Facts) -> None:
        """Starts the part of its work that runs beside the hops after hop 2."""

    def end(self) -> None:
        """Cancels what `begin` started."""


def hop(id: str) -> Callable[[Collect], Hop]:  # noqa: A002
    """Declares a hop. Its first parameter is the Walk, the others are the facts it needs
    (`T | None`: may be missing).

    It returns facts, or None when those before it left nothing to work on: the hop is skipped then.
    """

    def declare(collect: Collect) -> Hop:
        needs, optional = needed(collect, Walk)
        return Hop(id, needs, members(meanings(collect)["return"])[0], collect, optional)

    return declare
