"""The facts of hop 3, listeners: the result at the advertised address of each broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

from kdiag.address import internal_name, is_loopback, is_private, is_unusable, same_network
from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.network.attempt import EndpointResult, Failure
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import Broker

T = TypeVar("T", bound=Hashable)


class Listener(NamedTuple):
    """One broker: the result at its advertised address, and at others that it could advertise."""

    broker: Broker
    contact: EndpointResult
    candidates: tuple[EndpointResult, ...] = ()

    @property
    def proven(self) -> EndpointResult | None:
        """The result at the candidate address where this broker answers; None if there is none."""
        for candidate in self.candidates:
            best = candidate.best
            if candidate.usable and best and best.answered_as == self.broker.node:
                return candidate
        return None


class InternalTopic(NamedTuple):
    """A topic that Kafka creates by itself with `factor` replicas, of which a write needs
    `min_isr`: for both, the smallest value that a broker's configuration has. `exists` is None
    where a broker does not tell."""

    name: str
    factor: int
    min_isr: int = 1
    exists: bool | None = None


class Listeners(NamedTuple):
    """The results at every advertised address; `elapsed` is in seconds, for all of them at once.
    `untried` counts the brokers beyond MAX_BROKERS. `internal` has the internal topics that take
    more replicas than there are live brokers, or too few for their min.insync.replicas; then `room`
    is how many replicas a new topic can have, None where that is not known."""

    listeners: tuple[Listener, ...]
    elapsed: float
    untried: int = 0
    internal: tuple[InternalTopic, ...] = ()
    room: int | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The brokers that do not answer at their advertised address, as subjects of findings."""
        return tuple(f"broker {x.broker.node}" for x in self.listeners if not x.contact.usable)

    @property
    def reached(self) -> tuple[Listener, ...]:
        """The listeners at whose advertised address the right broker answers."""
        return tuple(listener for listener in self.listeners if listener.contact.usable)

    @property
    def summary(self) -> str:
        """The result of hop 3, in one line."""
        reached, count = len(self.reached), len(self.listeners)
        proven = sum(
            1
            for listener in self.reached
            if listener.contact.best and listener.contact.best.answered_as is not None
        )
        line = f"{reached} of {count} advertised address{'' if count == 1 else 'es'} reached"
        if self.untried:
            line += f" ({self.untried} more not tried)"
        if not reached:
            return line
        if proven == reached:
            return f"{line}, identity proven"
        details = {
            attempt.detail
            for listener in self.reached
            for attempt in listener.contact.attempts
            if attempt.failure is Failure.DENIED
        }
        why = f" ({', '.join(sorted(details))})" if details else ""
        whose = f"identity of {proven} proven" if proven else "identity not proven"
        return f"{line}, {whose}{why}"


def suspect(advertised: Endpoint, bootstrap: Bootstrap) -> bool:
    """Whether an advertised address seems to belong to a network that this client is not in: by
    the bootstrap addresses that work."""
    host = advertised.host
    if is_unusable(host, advertised.port):
        return True
    if internal_name(host):
        return not any(internal_name(c.endpoint.host) for c in bootstrap.usable)
    if is_loopback(host):
        return not any(is_loopback(end) for end in bootstrap.connected_addresses)
    return is_private(host) and not any(
        same_network(host, end) for end in bootstrap.connected_addresses
    )


def outlier(values: Sequence[T]) -> tuple[T, T] | None:
    """The value that differs from all others, three or more in all, and the value that the others
    share; None where there is none such."""
    counted = Counter(values).most_common()
    if len(values) < 3 or len(counted) != 2 or counted[1][1] != 1:
        return None
    return counted[1][0], counted[0][0]
