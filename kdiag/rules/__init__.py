"""The rules, declared by being imported."""

from kdiag.rules import connection, identity, listeners, metadata, produce, sasl, tls, walk

__all__ = ["connection", "identity", "listeners", "metadata", "produce", "sasl", "tls", "walk"]


def load_all() -> None:
    """Declares the rules on AWS as well, which a walk that does not ask AWS has no use for."""
    from kdiag.rules import account, aws, managed  # noqa: F401
