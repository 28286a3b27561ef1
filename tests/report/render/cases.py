"""Reports that no demo leads to, from facts built by hand: crowds, long names, hostile peers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, lru_cache

from kdiag.network.attempt import clean
from kdiag.report.load import read as parse
from kdiag.report.model import Report
from tests import walks
from tests.facts import (
    DOOR,
    bootstrap,
    brokers,
    contact,
    hop_failures,
    listener,
    listeners,
    metadata,
    partition,
    produce,
    produced,
    reported,
    topic,
    working_bootstrap,
)
from tests.lab.goldens import kept

LAB = "lab/"
SILENT = "no answer within 3 s"
LONG_NAME = ".".join(["broker", *(["a-rather-long-label"] * 11), "example.com"])  # 244 characters
HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07[bold]x[/bold]\x9b2J",
    "אב\u202eevil\u200f\u2066.example.com",
    "x" * 1000,
    "漢字" * 20 + ".example.com",
    "e\u0301" * 30 + ".example.com",
    "new\r\nline\t\x00\ud800.example.com",
)


def private(count: int) -> Report:
    """So many brokers, all private."""
    beside = (contact(f"{DOOR}:9094", node=1),)
    found = [
        listener(
            node,
            f"10.0.{node // 250}.{node % 250 + 1}:9094",
            "timeout",
            detail=SILENT,
            candidates=beside,
        )
        for node in range(1, count + 1)
    ]
    return reported(working_bootstrap(), metadata(*(x.broker for x in found)), listeners(*found))


def crowd_private() -> Report:
    """300 brokers, all private."""
    return private(300)


def crowd_healthy() -> Report:
    """300 brokers, all well."""
    found = [
        listener(node, f"198.51.{node // 250}.{node % 250 + 1}:9094") for node in range(1, 301)
    ]
    return reported(
        working_bootstrap(),
        metadata(*(x.broker for x in found)),
        listeners(*found),
        produce(*(produced(node) for node in range(1, 301))),
    )


def long_names() -> Report:
    """Host names of many labels, one of them well, one cut off, one of another broker."""
    found = (
        listener(1, f"b-1.{LONG_NAME}:9094"),
        listener(2, f"b-2.{LONG_NAME}:9094", "timeout", detail=SILENT),
        listener(
            3,
            "ec2-3-10-139-223.eu-west-2.compute.amazonaws.com:9094",
            "identity:wrong_node",
            answered=1,
        ),
    )
    return reported(
        working_bootstrap(),
        metadata(*(x.broker for x in found)),
        listeners(*found),
        produce(produced(1), unreached=(2, 3)),
    )


def hostile_names() -> Report:
    """Brokers that advertise what should move a terminal's cursor, colour it, or turn it round."""
    detail = clean("Name\nor [red]service\x1b[2J not \u202eknown")
    found = [
        listener(node, f"{clean(name)}:9094", "dns:not_found", detail=detail)
        for node, name in enumerate(HOSTILE, 1)
    ]
    return reported(
        working_bootstrap(),
        metadata(*(x.broker for x in found), cluster_id=clean("\x1b[5m[blink]id[/blink]")),
        listeners(*found),
    )


def mixed_causes() -> Report:
    """A cause of its own for each of three brokers, and warnings at three hops."""
    servers = bootstrap(
        contact(f"{DOOR}:9094"),
        contact("3.10.139.230:9094", "refused", detail="Connection refused"),
    )
    found = (
        listener(1, "10.0.1.11:9094", "timeout", detail=SILENT),
        listener(2, "198.51.100.2:9094", "refused", detail="Connection refused"),
        listener(3, "0.0.0.0:9094"),
        listener(4, "198.51.100.4:9094"),
    )
    return reported(
        servers,
        metadata(*(x.broker for x in found), topic=topic(partition(0, isr=(1,)))),
        listeners(*found),
        produce(produced(4, throttle_ms=700), unreached=(1, 2, 3)),
        target=f"{DOOR}:9094,3.10.139.230:9094",
    )


def two_hops() -> Report:
    """The topic is unknown, and the listeners fail as well: the first hop that fails has it."""
    found = [listener(node, f"10.0.1.1{node}:9094", "timeout", detail=SILENT) for node in (1, 2, 3)]
    return reported(
        working_bootstrap(),
        metadata(*(x.broker for x in found), topic=topic(error="UNKNOWN_TOPIC_OR_PARTITION")),
        listeners(*found),
    )


def deadline() -> Report:
    """`--deadline` ended the walk in hop 3."""
    return reported(
        working_bootstrap(), metadata(*brokers(1, 2, 3)), hop_failures(("listeners", ""))
    )


def internal_error() -> Report:
    """kdiag has a bug."""
    return reported(
        working_bootstrap(), hop_failures(("metadata", "KeyError at metadata.py:71: 'brokers'"))
    )


def interrupted() -> Report:
    """Ctrl-C in hop 2."""
    return reported(working_bootstrap(), skipped="interrupted", interrupted=True)


def ignored() -> Report:
    """Brokers 1 and 2 fail in ways that somebody knows of, and asked to ignore."""
    found = (
        listener(1, "10.0.1.11:9094", "timeout", detail=SILENT),
        listener(2, "198.51.100.2:9094", "refused", detail="Connection refused"),
        listener(3, "198.51.100.3:9094"),
    )
    return reported(
        working_bootstrap(),
        metadata(*(x.broker for x in found)),
        listeners(*found),
        produce(produced(3, throttle_ms=700), unreached=(1, 2)),
        ignore=["KD301", "KD305"],
    )


def unmet() -> Report:
    """Expectations: one is met, one is not, one is not known for what failed before."""
    found = (
        listener(1, "10.0.1.11:9094", "timeout", detail=SILENT),
        listener(2, "b-2.example.com:9094"),
    )
    return reported(
        working_bootstrap(),
        metadata(*(x.broker for x in found)),
        listeners(*found),
        produce(produced(2), unreached=(1,)),
        expect=["brokers=2", "advertised=*.example.com:9094", "identity=proven"],
    )


BY_HAND: dict[str, Callable[[], Report]] = {
    build.__name__.replace("_", "-"): build
    for build in (
        crowd_private,
        crowd_healthy,
        long_names,
        hostile_names,
        mixed_causes,
        two_hops,
        deadline,
        internal_error,
        interrupted,
        ignored,
        unmet,
    )
}


@cache
def report(name: str) -> Report:
    """One of these, of the demo, or of the lab: `lab/aws/mtu_black_hole`."""
    if name.startswith(LAB):
        module, _, case = name.removeprefix(LAB).partition("/")
        return parse(json.dumps(kept(module)[case].report).encode(), name)
    made = BY_HAND.get(name)
    return made() if made else walks.scenarios()[name]


@lru_cache(8)
def shown(name: str, form: str) -> str:
    """A report as a renderer writes it: once for all that looks at it."""
    return walks.shown(report(name), form)
