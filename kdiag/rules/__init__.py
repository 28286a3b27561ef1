"""The rules, declared by being imported."""

from kdiag.rules import connection, listeners, metadata, produce, walk

__all__ = ["connection", "listeners", "metadata", "produce", "walk"]
