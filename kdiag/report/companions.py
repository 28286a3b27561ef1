"""The part of a report on the REST servers beside Kafka."""

from __future__ import annotations

from kdiag.config.record import dataclass


@dataclass(frozen=True, kw_only=True)
class CompanionReport:
    """One Schema Registry, Connect or REST proxy. `given_by` is the property or option that named
    it, `service` what it turned out to be, null where it was not recognised. `layers` maps dns,
    tcp, tls and http to "ok", a failure's name, or null where not tried. `same_cluster` says
    whether `cluster_id`, which it named, is that of the walk, null where nothing proves it;
    `unhealthy` is its own message that it cannot work, null where it has sent none."""

    url: str
    given_by: str
    service: str | None
    version: str | None
    layers: dict[str, str | None]
    cluster_id: str | None
    same_cluster: bool | None
    unhealthy: str | None


@dataclass(frozen=True, kw_only=True)
class CompanionsReport:
    """All of them, as a fact."""

    rows: list[CompanionReport]
