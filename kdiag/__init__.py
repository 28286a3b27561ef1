"""kdiag: the one command that says why a Kafka client cannot connect."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself takes a moment to import, in which Ctrl-C is a traceback
if TYPE_CHECKING:
    from kdiag.api import check, check_async
    from kdiag.config.settings import UsageError
    from kdiag.report.model import BrokerReport, HopResult, Report
    from kdiag.rules.rule import Finding, Remedy, Severity

__version__ = "0.1.0"
__all__ = [
    "BrokerReport",
    "Finding",
    "HopResult",
    "Remedy",
    "Report",
    "Severity",
    "UsageError",
    "__version__",
    "check",
    "check_async",
]

_HOMES = {
    "BrokerReport": "kdiag.report.model",
    "Finding": "kdiag.rules.rule",
    "HopResult": "kdiag.report.model",
    "Remedy": "kdiag.rules.rule",
    "Report": "kdiag.report.model",
    "Severity": "kdiag.rules.rule",
    "UsageError": "kdiag.config.settings",
    "check": "kdiag.api",
    "check_async": "kdiag.api",
}


if not TYPE_CHECKING:  # for which every name would be one of kdiag's

    def __getattr__(name: str) -> object:
        """Imports the public names when they are asked for: `kdiag --help` needs none of them."""
        if name not in _HOMES:
            raise AttributeError(f"module 'kdiag' has no attribute {name!r}")
        from importlib import import_module  # 1 ms

        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
