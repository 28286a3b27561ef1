"""Runs the hops and collects their facts, on this machine or another one; rules run later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Optional, TypeVar

from kdiag.config.mechanisms import MECHANISMS
from kdiag.config.options import ROLES
from kdiag.config.properties.names import PROTOCOLS
from kdiag.config.record import NamedTuple
from kdiag.config.redaction import secrets as to_redact
from kdiag.config.redaction import without
from kdiag.config.security import Sasl
from kdiag.config.settings import Settings
from kdiag.kafka.dialer import KafkaDialer
from kdiag.kafka.errors import NAMES
from kdiag.kafka.login_notes import CUT_OFF
from kdiag.kafka.messages import CLIENT_ID
from kdiag.network.attempt import LAYERS, PROXY
from kdiag.walk.facts import Facts, HopFacts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.consume import REBALANCES
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.run import (
    INTERRUPTED,
    SYSTEMS,
    HopFailure,
    HopRun,
    WalkFacts,
    WalkResult,
    error_location,
    partial_because,
    this_system,
    timestamp,
)
from kdiag.walk.hop import Companion, Hop, Walk, walk_context
from kdiag.walk.hops import WALKED, walked

if TYPE_CHECKING:
    from kdiag.network.head_start import StartedConnection

Observer = Callable[[str, Optional[str]], None]
MakeDialer = Callable[[Settings], KafkaDialer]
T = TypeVar("T")

# Texts that rules compare: they stay, whatever a password is.
_OWN = frozenset(
    (
        *(*LAYERS, PROXY, *PROTOCOLS, *MECHANISMS, *NAMES, *(hop.id for hop in WALKED)),
        *("aws", CUT_OFF, *SYSTEMS.values(), *ROLES, *REBALANCES, "classic"),
    )
)


class _End(NamedTuple):
    """How a hop ended: its run, and its facts or its failure."""

    run: HopRun
    facts: HopFacts | None = None
    failure: HopFailure | None = None


async def collect(
    settings: Settings,
    make_dialer: MakeDialer,
    observe: Observer,
    companion: Companion | None = None,
) -> WalkResult:
    """Runs the hops, and the `companion` beside them. `observe` is called with each hop's id as it
    starts, with a Progress as brokers answer, and with its summary as it ends. Cancelled, it still
    returns what is known."""
    started_at = timestamp()
    net = make_dialer(settings)
    started = net.began
    walk = walk_context(
        settings, net, asyncio.get_running_loop().time() + settings.options.deadline
    )
    facts, interrupted = Facts((settings,)), False
    ends: list[_End] = []
    hops = walked(settings)
    for hop in (*hops, *((companion.hop,) if companion else ())):
        left = started + settings.options.deadline - time.perf_counter()
        if companion and hop is companion.hop:  # it returns what it knows at the deadline
            left = max(left, companion.spare)
        try:
            end = await _run(hop, walk, facts, ends, left, observe)
        except asyncio.CancelledError:
            interrupted = True
            end = _skipped(hop, INTERRUPTED)
        ends.append(end)
        facts = facts.adding(end.facts) if end.facts else facts
        if companion and hop.gives is Metadata and Bootstrap in facts:
            companion.begin(walk, facts)
    if companion:
        companion.end()
    walk.wire.cancel()
    try:
        await net.close()
    except asyncio.CancelledError:
        interrupted = True
    collected = WalkFacts(
        started_at,
        round((time.perf_counter() - started) * 1000),
        tuple(end.run for end in ends),
        tuple(end.failure for end in ends if end.failure),
        (*walk.login.notes, *walk.allowance.notes),
        interrupted,
        system=this_system(),
    )
    secrets = _to_hide(walk)
    shown = _without(collected._replace(facts=_facts(ends[: len(hops)])), secrets)
    return WalkResult(shown, _facts(ends[len(hops) :]), secrets)


def _facts(ends: Sequence[_End]) -> Facts:
    return Facts(tuple(end.facts for end in ends if end.facts))


def _without(collected: WalkFacts, secrets: tuple[str, ...]) -> WalkFacts:
    """The facts of a walk, in whose texts these secrets are hidden."""
    shown, found = without(
        (collected._replace(facts=Facts()), collected.facts.values), secrets, _OWN
    )
    facts: WalkFacts = shown._replace(facts=Facts(found))
    return facts


def without_secrets(collected: WalkFacts, settings: Settings) -> WalkFacts:
    """The facts from another machine, without the secrets that were sent there."""
    proxy = settings.options.proxy
    known = (*settings.security.secrets, *(proxy.secrets if proxy else ()))
    return _without(collected, _hidden(settings, known, settings.security.sasl))


def _to_hide(walk: Walk) -> tuple[str, ...]:
    """The secrets to hide in what was collected."""
    return _hidden(walk.settings, walk.secrets, walk.login.ready)


def _hidden(settings: Settings, secrets: Sequence[str], sasl: Sasl | None) -> tuple[str, ...]:
    public = [str(endpoint) for endpoint in settings.bootstrap]
    public += [
        text for each in settings.options.mapped for text in (each.advertised, each.candidate)
    ]
    public += [settings.options.topic or "", settings.client.get("client.id", "")]
    public += [settings.options.group or "", *settings.of_role.values()]
    if sasl:
        public += [sasl.username, sasl.client_id, sasl.endpoint, sasl.scope]
    return to_redact(secrets, public)


async def _run(
    hop: Hop, walk: Walk, facts: Facts, before: Sequence[_End], left: float, observe: Observer
) -> _End:
    """Runs one hop for at most `left` seconds, if what it needs is known."""
    if any(end.run.skipped_because == INTERRUPTED for end in before):
        return _skipped(hop, INTERRUPTED)
    if not hop.ready(facts):
        return _skipped(hop, _reason(before))
    observe(hop.id, None)
    walk.wire.progress = partial(observe, hop.id)
    started = time.perf_counter()
    try:
        found = await within(max(left, 0.0), hop.run(walk, facts))
    except asyncio.TimeoutError:
        failure, because = HopFailure(hop.id, walk.settings.options.deadline), "the deadline passed"
    except Exception as error:
        where = error_location(error, walk.secrets)
        failure, because = HopFailure(hop.id, walk.settings.options.deadline, where), "kdiag failed"
    else:
        if found is None:
            return _skipped(hop, _reason(before))
        observe(hop.id, without(found.summary, _to_hide(walk)))
        run = HopRun(hop.id, round(found.elapsed * 1000), partial_because(found), found.summary)
        return _End(run, found)
    return _skipped(hop, because, time.perf_counter() - started)._replace(failure=failure)


async def within(seconds: float, running: Awaitable[T]) -> T:
    """As asyncio.wait_for, which before Python 3.12 loses a cancellation that comes when what it
    waits for has just ended, here and in all that runs: so it is repeated. Raises TimeoutError."""
    task = asyncio.ensure_future(running)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.5)


def _skipped(hop: Hop, because: str, elapsed: float = 0.0) -> _End:
    return _End(HopRun(hop.id, round(elapsed * 1000), because))


def _reason(before: Sequence[_End]) -> str:
    """Why a hop has nothing to work on: the last one that ran left nothing."""
    failures = [end.failure for end in before if end.failure]
    if failures:
        return f"{failures[0].hop} did not end"
    ran = [end.run.hop for end in before if not end.run.skipped_because]
    return f"{ran[-1]} failed" if ran else "nothing to work on"


def plain_dialer(settings: Settings, started: Iterable[StartedConnection] = ()) -> KafkaDialer:
    """The dialer of the real network; hop 1 continues the `started` connections."""
    make, proxy = KafkaDialer, settings.options.proxy
    if proxy:
        from kdiag.kafka.proxy_dialer import ProxyDialer  # 2 ms

        make = partial(ProxyDialer, proxy)  # type: ignore[assignment]
    return make(
        settings.options.timeout,
        answer_timeout=settings.options.answer_timeout,
        patience=settings.options.patience,
        family=settings.family,
        tls=settings.security.tls,
        started=started,
        client_id=settings.client.get("client.id") or CLIENT_ID,
    )


def nobody(hop: str, summary: str | None) -> None:
    """An observer that ignores everything."""
