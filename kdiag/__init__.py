"""kdiag: the one command that says why a Kafka client cannot connect."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself takes a moment to import, in which Ctrl-C is a traceback
if TYPE_CHECKING:
    from kdiag.report import Report
    from kdiag.rule import Finding, Severity
    from kdiag.settings import UsageError
    from kdiag.walk import check

__version__ = "0.1.0"
__all__ = ["Finding", "Report", "Severity", "UsageError", "__version__", "check"]

_HOMES = {
    "check": "kdiag.walk",
    "Report": "kdiag.report",
    "Finding": "kdiag.rule",
    "Severity": "kdiag.rule",
    "UsageError": "kdiag.settings",
}


def __getattr__(name: str) -> object:
    """Imports the public names when they are asked for: `kdiag --help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kdiag' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
