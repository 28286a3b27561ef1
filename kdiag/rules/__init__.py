"""The rules, declared by being imported."""

from kdiag.rules import connection, identity, listeners, metadata, produce, sasl, tls, walk

__all__ = ["connection", "identity", "listeners", "metadata", "produce", "sasl", "tls", "walk"]
