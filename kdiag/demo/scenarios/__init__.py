"""The demo's scenarios, named after the finding that each leads to; declared by being imported."""

from kdiag.demo.scenario import SCENARIOS, play

from kdiag.demo.scenarios import listeners, connection, tls, sasl, metadata, produce, aws, expect  # isort: skip

__all__ = [
    "SCENARIOS",
    "aws",
    "connection",
    "expect",
    "listeners",
    "metadata",
    "play",
    "produce",
    "sasl",
    "tls",
]
