"""The walk as far as it gathers facts, here or on another machine; judging them is another's."""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from kdiag.config.properties.names import PROTOCOLS
from kdiag.config.redaction import redacted, secrets, without
from kdiag.config.security import MECHANISMS, Sasl
from kdiag.config.settings import Settings
from kdiag.config.usage import NO_THREAD, no_thread
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.errors import NAMES
from kdiag.kafka.login import CUT_OFF
from kdiag.network.attempt import LAYERS, clean
from kdiag.walk.bootstrap import Bootstrap
from kdiag.walk.hop import Companion, Hop, HopFailure, HopFailures, Walk
from kdiag.walk.hops import HOPS
from kdiag.walk.listeners import Listeners
from kdiag.walk.metadata import Metadata
from kdiag.walk.produce import Produce

if TYPE_CHECKING:
    from kdiag.network.head_start import StartedConnection

Observer = Callable[[str, Optional[str]], None]
MakeDialer = Callable[[Settings], KafkaDialer]

MOMENT = "%Y-%m-%dT%H:%M:%SZ"  # RFC 3339, in UTC
INTERRUPTED = "interrupted"  # why a hop did not run

# What rules go by, whatever a password is.
_OWN = frozenset(
    (*LAYERS, *PROTOCOLS, *MECHANISMS, *NAMES, *(hop.id for hop in HOPS), "aws", CUT_OFF)
)


class HopRun(NamedTuple):
    """How one hop went. `summary` is what was learnt, "" where nothing was."""

    hop: str
    elapsed_ms: int
    skipped_because: str | None = None
    summary: str = ""


class WalkFacts(NamedTuple):
    """All that one walk has learnt, as plain values. `started_at` is UTC, RFC 3339."""

    started_at: str
    elapsed_ms: int
    legs: tuple[HopRun, ...]
    halts: tuple[HopFailure, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    bootstrap: Bootstrap | None = None
    metadata: Metadata | None = None
    listeners: Listeners | None = None
    produce: Produce | None = None

    @property
    def facts(self) -> dict[type, Any]:
        """What is known, by its type: what rules ask for."""
        known = (
            self.bootstrap,
            self.metadata,
            self.listeners,
            self.produce,
            HopFailures(self.halts),
        )
        return {type(fact): fact for fact in known if fact is not None}


class WalkResult(NamedTuple):
    """What comes of a walk: what it learnt, the facts of the hop beside it by their types, and
    every secret that it was told or fetched, which is never to be printed."""

    gathered: WalkFacts
    beside: Mapping[type, Any] = MappingProxyType({})
    told: tuple[str, ...] = ()


async def collect(
    asked: Settings, make_net: MakeDialer, observe: Observer, companion: Companion | None = None
) -> WalkResult:
    """Walks the hops, and the `companion` beside them. `observe` hears each hop's id as it starts,
    and again with its summary as it ends. Cancelled, it still tells what is known so far."""
    started_at = _now()
    started = time.perf_counter()
    facts: dict[type, Any] = {Settings: asked}
    legs: list[HopRun] = []
    halts: list[HopFailure] = []
    interrupted = False
    net = make_net(asked)
    shared = Walk(asked, net, until=asyncio.get_running_loop().time() + asked.deadline)
    for hop in (*HOPS, *((companion.hop,) if companion else ())):
        left = started + asked.deadline - time.perf_counter()
        if companion and hop is companion.hop:  # what it knows at the deadline is kept
            left = max(left, companion.spare)
        try:
            legs.append(await _leg(hop, shared, facts, legs, halts, left, observe))
        except asyncio.CancelledError:
            interrupted = True
            legs.append(_skipped(hop, INTERRUPTED))
        if companion and hop.gives is Metadata and Bootstrap in facts:
            companion.begin(shared, facts)
    if companion:
        companion.end()
    try:
        await net.close()
    except asyncio.CancelledError:
        interrupted = True
    gathered = WalkFacts(
        started_at,
        round((time.perf_counter() - started) * 1000),
        tuple(legs),
        tuple(halts),
        (*shared.login.notes, *shared.allowance.notes),
        interrupted,
        facts.get(Bootstrap),
        facts.get(Metadata),
        facts.get(Listeners),
        facts.get(Produce),
    )
    told = _told(shared)
    kind = companion.hop.gives if companion else None
    beside = {kind: facts[kind]} if kind in facts else {}
    return WalkResult(without(gathered, told, _OWN), beside, told)


def without_secrets(gathered: WalkFacts, asked: Settings) -> WalkFacts:
    """What was gathered elsewhere, without the secrets that were told there."""
    told = _hidden(asked, asked.security.secrets, asked.security.sasl)
    found: WalkFacts = without(gathered, told, _OWN)
    return found


def _told(shared: Walk) -> tuple[str, ...]:
    """The secrets that are to be hidden in what was gathered."""
    return _hidden(shared.settings, shared.told, shared.login.ready)


def _hidden(asked: Settings, told: Sequence[str], sasl: Sasl | None) -> tuple[str, ...]:
    in_the_open = [str(endpoint) for endpoint in asked.bootstrap]
    in_the_open += [word for each in asked.mapped for word in (each.advertised, each.candidate)]
    in_the_open += [asked.topic or "", asked.client.get("client.id", "")]
    if sasl:
        in_the_open += [sasl.username, sasl.client_id, sasl.endpoint, sasl.scope]
    return secrets(told, in_the_open)


def not_walked(because: str) -> WalkFacts:
    """What is known where no hop was walked, and why none was."""
    return WalkFacts(_now(), 0, tuple(_skipped(hop, because) for hop in HOPS))


async def _leg(
    hop: Hop,
    shared: Walk,
    facts: dict[type, Any],
    before: Sequence[HopRun],
    halts: list[HopFailure],
    left: float,
    observe: Observer,
) -> HopRun:
    """Runs one hop, if what it needs is known, and stores its facts."""
    if any(leg.skipped_because == INTERRUPTED for leg in before):
        return _skipped(hop, INTERRUPTED)
    if not hop.ready(facts):
        return _skipped(hop, _reason(before, halts))
    observe(hop.id, None)
    started = time.perf_counter()
    try:
        gathering = hop.run(shared, facts)
        gathered = await asyncio.wait_for(gathering, max(left, 0.0))
    except asyncio.TimeoutError:
        halts.append(HopFailure(hop.id, shared.settings.deadline))
        return _skipped(hop, "the deadline passed", time.perf_counter() - started)
    except Exception as error:
        halts.append(
            HopFailure(hop.id, shared.settings.deadline, error_location(error, shared.told))
        )
        return _skipped(hop, "kdiag failed", time.perf_counter() - started)
    if gathered is None:
        return _skipped(hop, _reason(before, halts))
    facts[hop.gives] = gathered
    observe(hop.id, without(gathered.summary, _told(shared)))
    because = gathered.skipped_because if isinstance(gathered, Produce) else None
    return HopRun(hop.id, round(gathered.elapsed * 1000), because or None, gathered.summary)


def _skipped(hop: Hop, because: str, elapsed: float = 0.0) -> HopRun:
    return HopRun(hop.id, round(elapsed * 1000), because)


def _reason(before: Sequence[HopRun], halts: Sequence[HopFailure]) -> str:
    """Why a hop has nothing to work on: the last one that ran left nothing."""
    if halts:
        return f"{halts[0].hop} did not end"
    ran = [leg.hop for leg in before if not leg.skipped_because]
    return f"{ran[-1]} failed" if ran else "nothing to work on"


def error_location(error: Exception, told: Sequence[str]) -> str:
    """What went wrong, and where. Any text may be in an error, so secrets are taken out."""
    if no_thread(error):
        return NO_THREAD
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119
    return clean(f"{type(error).__name__} at {where}: {redacted(str(error), told)}", 300)


def _now() -> str:
    return datetime.now(timezone.utc).strftime(MOMENT)


def plain_dialer(asked: Settings, started: Iterable[StartedConnection] = ()) -> KafkaDialer:
    """The dialer of the real network; hop 1 continues the `started` connections."""
    return KafkaDialer(
        asked.timeout,
        answer_timeout=asked.answer_timeout,
        family=asked.family,
        tls=asked.security.tls,
        started=started,
    )


def nobody(hop: str, summary: str | None) -> None:
    """Watches nothing."""
