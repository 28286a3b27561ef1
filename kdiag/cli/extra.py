"""Refuses a command whose packages are not installed: an extra of the package has them."""

from __future__ import annotations

from importlib.util import find_spec

from kdiag.config.usage import UsageError


def require(extra: str, *packages: str, text: str = "") -> None:
    """Raises UsageError where one of the packages is missing that the command of this name needs;
    `text` says more of them than their names."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"kdiag {extra} takes {text or ', '.join(missing)}, which is not installed: "
            f"pip install 'kdiag[{extra}]'"
        )
