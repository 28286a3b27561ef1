"""The metrics of one probe, and those of the server itself."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from kdiag import __version__
from kdiag.report.model import Report
from kdiag.report.render.openmetrics import MOST_BROKERS, certificate_ends
from kdiag.serve.probing import Probe, Prober

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_MOST_SUBJECTS = MOST_BROKERS  # with times of their own


class ServerMetrics:
    """The metrics of the server: how many probes there were and how they ended, and whether the
    last reload succeeded."""

    def __init__(self, prober: Prober) -> None:
        self._registry = CollectorRegistry()
        self._probes = Counter(
            "kdiag_probes", "Probes by result.", ["result"], registry=self._registry
        )
        for result in ("walked", "withheld", "busy", "rejected"):
            self._probes.labels(result)
        self._seconds = Histogram(
            "kdiag_probe_walk_duration_seconds", "How long walks took.", registry=self._registry
        )
        under_way = Gauge(
            "kdiag_walks_in_progress", "Walks that are under way.", registry=self._registry
        )
        under_way.set_function(lambda: prober.in_progress)
        targets = Gauge("kdiag_targets", "Targets of kdiag.toml.", registry=self._registry)
        targets.set_function(lambda: len(prober.requested.named))
        self._reloaded = Gauge(
            "kdiag_config_last_reload_successful",
            "1 when the kdiag.toml that was read last is the one in use.",
            registry=self._registry,
        )
        self._reloaded_at = Gauge(
            "kdiag_config_last_reload_success_timestamp_seconds",
            "When the kdiag.toml in use was read, in seconds since 1970.",
            registry=self._registry,
        )
        build = Gauge("kdiag_build_info", "The version.", ["version"], registry=self._registry)
        build.labels(__version__).set(1)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.reloaded(successful=True)

    def probed(self, result: str, probe: Probe | None = None) -> None:
        """Counts a probe, and the time of its walk."""
        self._probes.labels(result).inc()
        if probe and result == "walked":
            self._seconds.observe(probe.seconds)

    def reloaded(self, *, successful: bool) -> None:
        """Notes how the last reload ended."""
        self._reloaded.set(successful)
        if successful:
            self._reloaded_at.set_to_current_time()

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)


def probe_text(probe: Probe) -> str:
    """The metrics of a probe: those that blackbox has, times of layers, and the report's."""
    registry, report = CollectorRegistry(), probe.report

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=registry)

    gauge("probe_success", "1 when a Kafka client can connect.").set(report.ok)
    gauge("probe_duration_seconds", "How long the walk took.").set(probe.seconds)
    expiry = _earliest(report)
    if expiry is not None:
        gauge(
            "probe_ssl_earliest_cert_expiry",
            "When the first certificate of a server or broker expires, in seconds since 1970.",
        ).set(expiry)
    withheld = gauge(
        "kdiag_login_withheld",
        "1 when nothing was walked and the report is an older one, whose login was not accepted.",
    )
    withheld.set(bool(probe.withheld))
    times = gauge(
        "kdiag_layer_duration_seconds",
        "How long a layer of the connection took; a layer that failed, until it did.",
        "subject",
        "layer",
    )
    subjects = dict.fromkeys(subject for subject, _ in probe.times)
    shown = set(list(subjects)[:_MOST_SUBJECTS])
    for (subject, layer), seconds in probe.times.items():
        if subject in shown:
            times.labels(subject, layer).set(seconds)
    comment = f"# kdiag: {probe.withheld}\n" if probe.withheld else ""
    of_report = report.render("openmetrics").removesuffix("# EOF\n")
    return f"{comment}{generate_latest(registry).decode()}{of_report}"


def _earliest(report: Report) -> float | None:
    return min((value for _, value in certificate_ends(report)), default=None)
