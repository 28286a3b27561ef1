"""What configuration files add to the report of a walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdiag.config.usage import UsageError
from kdiag.lint.kubectl import KubectlOutput, no_room
from kdiag.lint.linter import document_kinds, refuse_large
from kdiag.lint.merge import MergedConfig, merge
from kdiag.lint.observed import KUBECTL
from kdiag.lint.rules import kubectl_rules
from kdiag.lint.sources import ConfigSource
from kdiag.report.judge import Extension
from kdiag.report.model import HopResult
from kdiag.rules.platform import Kind, Platform
from kdiag.rules.rule import Finding, Rule
from kdiag.walk.facts import Facts

_PLATFORMS = {
    "Kafka": Kind.STRIMZI,
    "KafkaNodePool": Kind.STRIMZI,
    "compose": Kind.COMPOSE,
    "properties": Kind.PLAIN,
}


class ConfigExtension(Extension):
    """Compares files and the output of kubectl with the cluster that the walk observed."""

    name = "config"

    def __init__(self, files: Mapping[str, str], strimzi: str, shown: KubectlOutput | None) -> None:
        sources = dict(files)
        unavailable = shown.unavailable if shown else ()
        if shown and shown.text:
            sources[f"{KUBECTL}{strimzi}"] = shown.text
            try:
                refuse_large(sources)
            except UsageError:  # the files alone are not too large: api.py has refused such
                del sources[f"{KUBECTL}{strimzi}"]
                unavailable = (*unavailable, no_room(strimzi))
        self._took = shown.elapsed if shown else 0.0
        self._config = ConfigSource(sources, self._took, strimzi, unavailable)
        self._joined: MergedConfig | None = None

    def steps(self, walked: Sequence[HopResult]) -> list[HopResult]:
        """The results of the hops, and one for reading the files."""
        took = round(self._took * 1000)
        own = HopResult(hop="config", status="pass", elapsed_ms=took, summary=self._config.summary)
        return [*walked, own]

    def derive(self, facts: Facts) -> Facts:
        """Adds the facts from files: the configuration, the entry listener, the platform."""
        self._joined = merge(self._config, facts)
        entrance = self._joined.report.entry_listener
        kinds = document_kinds(self._config.sources)
        given = next((kind for name, kind in _PLATFORMS.items() if name in kinds), None)
        known = Platform(given, True) if given else None
        return facts.adding(self._config, *(x for x in (entrance, known) if x))

    def rules(self) -> Mapping[str, Rule]:
        """KD629, on failed calls of kubectl. The rules on files run in `derive`."""
        return kubectl_rules()

    def amend(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings of the walk, and those on the files."""
        return self._joined.beside(findings) if self._joined else list(findings)
