"""The rules, declared by being imported."""

from kdiag.rules import account, aws, connection, identity, listeners, managed

from kdiag.rules import metadata, produce, sasl, tls, walk  # isort: skip

__all__ = ["account", "aws", "connection", "identity", "listeners", "managed"]
__all__ += ["metadata", "produce", "sasl", "tls", "walk"]
