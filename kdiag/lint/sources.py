"""What configures the cluster of a walk: files, and what kubectl showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdiag.lint.kubectl import KubectlUnavailable


@dataclass(frozen=True)
class ConfigSource:
    """The facts of config: the texts by name; with --strimzi what was `asked` for, and what
    kubectl did not tell of it. `elapsed` is in seconds."""

    sources: Mapping[str, str]
    elapsed: float = 0.0
    asked: str = ""
    untold: tuple[KubectlUnavailable, ...] = ()

    @property
    def summary(self) -> str:
        """What was learnt, in one line."""
        names = list(self.sources)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        return f"read {shown}" if names else f"{self.asked}: kubectl showed nothing"
