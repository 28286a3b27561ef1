"""What the REST servers beside Kafka answered."""

from __future__ import annotations

from collections.abc import Mapping

from kdiag.config.record import NamedTuple
from kdiag.network.attempt import Failure, LayerResult

LAYERS = ("dns", "tcp", "tls", "http")
CONNECT, REGISTRY, PROXY = "Kafka Connect", "Schema Registry", "Kafka REST proxy"
KARAPACE = "Karapace"
REGISTRIES = (REGISTRY, KARAPACE)


class HttpAnswer(NamedTuple):
    """What one GET of a path brought: the layers up to where it ended, and status, some headers in
    small letters and the body of an answer; `status` is 0 without one. `first` are the first bytes
    of an answer that is no HTTP."""

    path: str
    attempts: tuple[LayerResult, ...]
    status: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""
    first: bytes = b""

    @property
    def failed(self) -> LayerResult | None:
        """The layer that ended the connection; None where an answer came."""
        return next((each for each in self.attempts if each.failure), None)

    @property
    def silent(self) -> bool:
        """Whether the server accepted the request and gave no answer in time."""
        return bool(self.failed and self.failed.failure is Failure.SILENT and not self.in_tls)

    @property
    def in_tls(self) -> bool:
        """Whether it ended in TLS."""
        return bool(self.failed and self.failed.layer == "tls")


class RestResult(NamedTuple):
    """One server: `url` and `given_by` as in RestServer, `logs_in` whether requests had a login,
    `answers` in the order of the requests. `service` is "" where what answers was not recognised.
    `unhealthy` is the server's own message that it cannot work, `cluster_id` the id of
    the cluster that it uses, "" where it named neither."""

    url: str
    given_by: str
    logs_in: bool
    answers: tuple[HttpAnswer, ...]
    service: str = ""
    version: str = ""
    cluster_id: str = ""
    unhealthy: str = ""

    @property
    def layers(self) -> Mapping[str, str | None]:
        """Layer → "ok", the failure's name, or None where it was not tried."""
        attempts = self.answers[0].attempts if self.answers else ()
        outcome = {a.layer: a.failure.value if a.failure else "ok" for a in attempts}
        return {layer: outcome.get(layer) for layer in LAYERS}


class Companions(NamedTuple):
    """Every server that was asked. `elapsed` is in seconds."""

    results: tuple[RestResult, ...]
    elapsed: float

    def summary(self, cluster: str | None) -> str:
        """One line: what answered at each, and whether it uses the walked `cluster`."""
        return "; ".join(f"{each.url}: {_state(each, cluster)}" for each in self.results)


def same_cluster(result: RestResult, cluster: str | None) -> bool | None:
    """Whether the server uses the cluster of this id; None where one of them is not known."""
    return result.cluster_id == cluster if result.cluster_id and cluster else None


def _state(result: RestResult, cluster: str | None) -> str:
    failed = result.answers[0].failed
    if result.service:
        same = same_cluster(result, cluster)
        state = {True: "this cluster", False: "another cluster", None: "cluster not named"}[same]
        state = "unhealthy" if result.unhealthy else state
        return f"{result.service} {result.version}".rstrip() + f", {state}"
    if failed and failed.failure:
        return words_of(failed)
    return f"HTTP {result.answers[0].status}, not recognised"


def words_of(failed: LayerResult) -> str:
    """A failed layer in words: TCP refused, TLS not offered."""
    words = failed.failure.words if failed.failure else "ok"
    return words if words.startswith("TLS") else f"{failed.layer.upper()} {words}"
