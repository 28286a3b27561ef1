"""The configuration of the cluster of a walk: files, and the output of kubectl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdiag.lint.kubectl import KubectlUnavailable


@dataclass(frozen=True)
class ConfigSource:
    """The facts of config: texts by file name; with --strimzi the `resource`, NAMESPACE/NAME, and
    the calls of kubectl without an answer. `elapsed` is in seconds."""

    sources: Mapping[str, str]
    elapsed: float = 0.0
    resource: str = ""
    unavailable: tuple[KubectlUnavailable, ...] = ()

    @property
    def summary(self) -> str:
        """One line for the report: which files were read."""
        names = list(self.sources)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        return f"read {shown}" if names else f"{self.resource}: kubectl showed nothing"
