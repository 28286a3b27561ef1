"""Subjects, message parts and evidence of the findings about blocked paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from kdiag.aws.paths import BlockedPath, NetworkPaths
from kdiag.aws.ranges import format_ports, port_ranges
from kdiag.aws.verdict import PathStep, PathVerdict
from kdiag.rules.rule import Severity
from kdiag.rules.text import brokers, listed, once

HOP = "aws"

MAX_OPEN_PATHS, MAX_ALLOWED_STEPS = 3, 6  # open paths and allowed steps in the evidence

_PORT_PLACEHOLDER = "TCP {port} "
_SOURCE_ORIGINS = {
    "interface": "which is its own address",
    "echo": "as a server on the internet sees it",
    "given": "as --aws-source says",
}


def subjects(blocked: Sequence[BlockedPath]) -> tuple[str, ...]:
    """The subjects of a finding about these paths."""
    return tuple(once(block.path.subject for block in blocked))


def affected(blocked: Sequence[BlockedPath]) -> str:
    """The subjects as text: `brokers 1 and 2`, `bootstrap 3.10.139.221:9094 and broker 3`."""
    nodes = [int(name.removeprefix("broker ")) for name in subjects(blocked) if "broker " in name]
    servers = [name for name in subjects(blocked) if name.startswith("bootstrap ")]
    return " and ".join(
        [*([listed(servers)] if servers else []), *([brokers(nodes)] if nodes else [])]
    )


def cut_off(blocked: Sequence[BlockedPath]) -> str:
    """`brokers 1 and 2 are cut off`."""
    return f"{affected(blocked)} {is_or_are(blocked)} not reachable"


def is_or_are(blocked: Sequence[BlockedPath]) -> str:
    """The verb for the subjects of these paths."""
    return "is" if len(subjects(blocked)) == 1 else "are"


def client_name(blocked: Sequence[BlockedPath]) -> str:
    """The source address of the client, or `anyone on the internet`."""
    return next(
        (b.reachability.source for b in blocked if b.reachability.source), "anyone on the internet"
    )


def ports(blocked: Sequence[BlockedPath]) -> str:
    """The ports of these paths, such as `9092-9094`."""
    return listed(
        [format_ports(each) for each in port_ranges({block.reachability.port for block in blocked})]
    )


def deciding_ids(blocked: Sequence[BlockedPath]) -> list[str]:
    """The ids of the groups, ACLs, tables or instances that decide, without rule numbers."""
    return once(block.step.decided_by.split()[0].strip(",") for block in blocked)


def severity(paths: NetworkPaths, blocked: Sequence[BlockedPath]) -> Severity | None:
    """WARNING if every endpoint works by another of its addresses, None (the severity of the rule)
    otherwise."""
    usable = all(block.path.result.usable and not block.step.partial for block in blocked)
    return Severity.WARNING if usable and not paths.for_other_client else None


def steps(blocked: Sequence[BlockedPath]) -> tuple[str, ...]:
    """Evidence: the reason of each step, with all the paths that it blocks."""
    grouped = _grouped((block, block.step) for block in blocked)
    return tuple(f"{listed(_labels(blocks))}: {message}" for message, blocks in grouped)


def observed(paths: NetworkPaths, blocked: Sequence[BlockedPath]) -> Iterator[str]:
    """Evidence: the results of the walk on blocked paths, and on open paths for comparison."""
    timed_out = once(block.path.label for block in blocked if block.path.timed_out)
    if timed_out:
        yield f"connection requests are dropped on the path to {listed(timed_out)}"
    allowed = [
        BlockedPath(path, path.effective, path.effective.deciding_step)
        for path in paths.paths
        if path.answered and path.effective and path.effective.verdict is PathVerdict.ALLOWED
    ]
    for message, open_paths in _grouped((one, one.step) for one in allowed)[:MAX_OPEN_PATHS]:
        labels = _labels(open_paths)
        yield f"{listed(labels)} answer{'s' if len(labels) == 1 else ''}: {message}"


def ruled_out(blocked: Sequence[BlockedPath]) -> Iterator[str]:
    """Evidence: the other steps of these paths, which AWS allows or kdiag does not know."""
    layers = {block.step.layer for block in blocked} | {"instance", "address"}
    others = [
        (block, step)
        for block in blocked
        for step in block.reachability.steps
        if step.layer not in layers
    ]
    allowed = [(block, step) for block, step in others if step.verdict is PathVerdict.ALLOWED]
    messages = [message for message, _ in _grouped(allowed)]
    if messages:
        yield f"ruled out: {'; '.join(messages[:MAX_ALLOWED_STEPS])}"
    for message in once(step.message for _, step in others if step.verdict is PathVerdict.UNKNOWN):
        yield f"not known: {message}"


def source(paths: NetworkPaths) -> Iterator[str]:
    """Evidence: the assumed source address of the client, and its origin."""
    client = paths.aws.source
    if client.network:
        origin = _SOURCE_ORIGINS.get(client.known_from, client.known_from)
        yield f"the client is taken to be {client.network}, {origin}"
    else:
        yield (
            "assumed: the client comes from the internet; its address there is not known, and only "
            "what holds for all of it is said"
        )


def _labels(blocked: Sequence[BlockedPath]) -> list[str]:
    return once(block.path.label for block in blocked)


def _grouped(steps: Iterable[tuple[BlockedPath, PathStep]]) -> list[tuple[str, list[BlockedPath]]]:
    """The messages of steps with their paths. Messages that differ only in the port become one
    message with all ports."""
    by_message: dict[str, list[BlockedPath]] = defaultdict(list)
    for block, step in steps:
        port = f"TCP {block.reachability.port} "
        by_message[step.message.replace(port, _PORT_PLACEHOLDER)].append(block)
    return [
        (message.replace(_PORT_PLACEHOLDER, f"TCP {ports(blocks)} "), blocks)
        for message, blocks in by_message.items()
    ]
