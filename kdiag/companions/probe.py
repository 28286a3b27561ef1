"""Asks a server what it is, and whether it can use its Kafka: a few GETs, the next by the last.

Sources: the REST resources of Kafka Connect (RootResource, KIP-238 and KIP-1017), of Confluent's
Schema Registry (/subjects, /v1/metadata/id, Errors) and REST proxy (/v3/clusters), and of Karapace
(/_health).
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from kdiag.companions.client import RestClient
from kdiag.companions.facts import (
    CONNECT,
    KARAPACE,
    PROXY,
    REGISTRY,
    Companions,
    HttpAnswer,
    RestResult,
)
from kdiag.config.redaction import secrets, without
from kdiag.config.rest import RestServer
from kdiag.config.settings import Settings
from kdiag.network.attempt import clean
from kdiag.network.dialer import TcpDialer

AT_ONCE = 8
_PROXY_ERRORS = (50002, 50003)  # the REST proxy's own, of its Kafka
HEALTH_SECONDS = 12.0  # the worker itself waits for 10 s before it says that it is unhealthy
_STORE_ERRORS = (50001, 50002, 50003, 50004)  # the registry's own, of its topic and its leader
_MOST_TEXT = 200


async def ask_all(settings: Settings, net: TcpDialer) -> Companions:
    """Asks every server of the settings, AT_ONCE of them at a time."""
    started = time.perf_counter()
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(server: RestServer) -> RestResult:
        async with gate:
            client = RestClient(server, net, settings.options.answer_timeout)
            result = await _ServerProbe(server, client).result()
        public = (server.url, server.user_info.partition(":")[0])
        hidden = secrets((*settings.security.secrets, *server.secrets), public)
        shown: RestResult = without(result, hidden)
        return shown

    results = await asyncio.gather(*map(ask, settings.rest))
    await net.close()
    return Companions(tuple(results), time.perf_counter() - started)


class _ServerProbe:
    """Asks one server, each request by the answers so far."""

    def __init__(self, server: RestServer, client: RestClient) -> None:
        self._server, self._client = server, client
        self._answers: list[HttpAnswer] = []
        self._found = RestResult(server.url, server.given_by, server.logs_in, ())

    async def result(self) -> RestResult:
        """What the server answered, as far as it went."""
        order = [self._registry, self._connect] if self._server.registry else [
            self._connect, self._registry, self._proxy
        ]  # fmt: skip
        for recognised in order:
            if await recognised() or not self._answers[-1].status or self._refused:
                break
        return self._found._replace(answers=tuple(self._answers))

    @property
    def _refused(self) -> bool:
        return self._answers[-1].status in (401, 403)

    async def _get(self, path: str, least: float = 0.0) -> tuple[HttpAnswer, Any]:
        """An answer, and its body where it is JSON. It is waited for `least` seconds at least."""
        answer = await self._client.get(path, least)
        self._answers.append(answer._replace(body=b""))
        try:
            return answer, json.loads(answer.body)
        except (ValueError, RecursionError):
            return answer, None

    def _is(self, service: str, unhealthy: str = "", cluster_id: str = "") -> bool:
        self._found = self._found._replace(
            service=service, unhealthy=unhealthy, cluster_id=cluster_id or self._found.cluster_id
        )
        return True

    async def _connect(self) -> bool:
        """Kafka Connect tells version, commit and cluster at its root, with its Kafka or without.
        Since 3.9 it says at /health whether it can work, if not, after 10 s. What an older one
        answers at /connectors waits for its group, for up to 90 s."""
        _, document = await self._get("/")
        if not isinstance(document, dict) or not {"version", "commit"} <= document.keys():
            return False
        self._found = self._found._replace(
            service=CONNECT,
            version=_text(document["version"]),
            cluster_id=_text(document.get("kafka_cluster_id")),
        )
        health, document = await self._get("/health", HEALTH_SECONDS)
        if health.status >= 500 and _at(document, "status"):
            return self._is(CONNECT, f"{_text(document['status'])}: {_message(document)}")
        if health.status == 404:
            await self._get("/connectors")
        return True

    async def _registry(self) -> bool:
        """A Schema Registry lists its subjects, or says that its topic in Kafka fails. Confluent's
        tells its cluster's id; Karapace tells at /_health whether it reads its topic."""
        answer, document = await self._get("/subjects")
        code = document.get("error_code") if isinstance(document, dict) else None
        if answer.status >= 500 and code in _STORE_ERRORS:
            return self._is(REGISTRY, f"error_code {code}: {_message(document)}")
        if answer.status != 200 or not isinstance(document, list):
            return False
        answer, document = await self._get("/v1/metadata/id")
        clusters = _at(document, "scope", "clusters")
        if answer.status == 200 and isinstance(clusters, dict):
            return self._is(REGISTRY, cluster_id=_text(clusters.get("kafka-cluster")))
        answer, document = await self._get("/_health")
        if answer.status == 503:
            return self._is(KARAPACE, "/_health: 503, it does not read its topic")
        if isinstance(document, dict) and isinstance(document.get("status"), dict):
            self._found = self._found._replace(version=_text(document.get("karapace_version")))
            return self._is(KARAPACE)
        return self._is(REGISTRY)

    async def _proxy(self) -> bool:
        """A REST proxy tells its cluster's id since its API v3."""
        answer, document = await self._get("/v3/clusters")
        code = document.get("error_code") if isinstance(document, dict) else None
        known = [each.status for each in self._answers if each.path == "/subjects"] == [404]
        if known and answer.status >= 500 and code in _PROXY_ERRORS:
            return self._is(PROXY, f"error_code {code}: {_message(document)}")
        clusters = document.get("data") if isinstance(document, dict) else None
        if answer.status != 200 or not isinstance(clusters, list):
            return False
        first = clusters[0] if clusters and isinstance(clusters[0], dict) else {}
        return self._is(PROXY, cluster_id=_text(first.get("cluster_id")))


def _at(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _message(document: Any) -> str:
    return _text(document.get("message")) or "no message"


def _text(value: object) -> str:
    return clean(value, _MOST_TEXT) if isinstance(value, str) else ""
