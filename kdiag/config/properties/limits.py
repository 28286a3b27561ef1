"""Timeouts from client properties: kdiag waits as long as the client does."""

from __future__ import annotations

from kdiag.config.properties.layers import Layers
from kdiag.config.usage import UsageError


def reaching(properties: Layers, deadline: float, notes: list[str]) -> float | None:
    """The timeout of a client's connection setup in seconds; None where no property sets it."""
    return _limit(properties, "socket.connection.setup.timeout.ms", deadline, "--timeout", notes)


def answering(properties: Layers, deadline: float, notes: list[str]) -> float | None:
    """The timeout of a client's requests in seconds; None where no property sets it. To librdkafka
    request.timeout.ms is how long a broker may wait for replicas: its own name comes first."""
    name = "socket.timeout.ms" if "socket.timeout.ms" in properties else "request.timeout.ms"
    return _limit(properties, name, deadline, "--answer-timeout", notes)


def _limit(
    properties: Layers, name: str, deadline: float, option: str, notes: list[str]
) -> float | None:
    """A property in seconds. It counts up to half of the deadline: one silent peer must not use up
    the whole. A note says what was cut."""
    if name not in properties:
        return None
    text = properties[name]
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text)):
        raise UsageError(f"{name}: write milliseconds, more than 0")
    seconds, most = int(text) / 1000, deadline / 2
    if seconds > most:
        notes.append(f"{name}={text}: kdiag waits {most:g} s, half of --deadline; {option} sets it")
    return min(seconds, most)
