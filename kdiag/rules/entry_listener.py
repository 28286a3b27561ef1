"""The listener of a configuration file through which the client bootstraps."""

from __future__ import annotations

from kdiag.config.record import NamedTuple


class EntryListener(NamedTuple):
    """The listener that the bootstrap connection leads to, as a file declares it. `place` is
    FILE:LINE; `inside` is true where the listener is for clients within the cluster's own network;
    `others` are the listeners for clients outside that network, with their addresses."""

    name: str
    place: str
    inside: bool
    others: tuple[str, ...]
