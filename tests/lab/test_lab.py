"""The lab is what its table of listeners says, by the word of the real client alone."""

from __future__ import annotations

import pytest

from tests.lab.lab import Lab
from tests.lab.listeners import LOGINS
from tests.lab.tools import TOPICS

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("listener", ["TLS", "SOON", "NAMELESS", "TLSTOPLAIN"])
def test_tls(kafka: Lab, listener: str) -> None:
    assert _lists_topics(kafka, listener, kafka.properties(listener))


@pytest.mark.parametrize("listener", ["MTLS", "MTLS12"])
def test_tls_with_a_client_certificate(kafka: Lab, listener: str) -> None:
    given = kafka.properties(listener) | kafka.identity("client")
    assert _lists_topics(kafka, listener, given)


@pytest.mark.parametrize("listener", ["LOGIN", "LOGINTLS"])
@pytest.mark.parametrize("mechanism", LOGINS)
def test_logins(kafka: Lab, listener: str, mechanism: str) -> None:
    given = kafka.properties(listener, sasl_mechanism=mechanism)
    if mechanism == "OAUTHBEARER":
        del given["sasl.username"], given["sasl.password"]
        given["enable.sasl.oauthbearer.unsecure.jwt"] = "true"
        given["sasl.oauthbearer.config"] = "principal=alice"
    assert _lists_topics(kafka, listener, given)


def _lists_topics(kafka: Lab, listener: str, given: dict[str, str]) -> bool:
    """Whether a real client lists the lab's topics there; other tests may have made more."""
    pairs = [f"{name}={value}" for name, value in given.items()]
    found = kafka.client.tool("topics", kafka.at(listener), *pairs)
    assert isinstance(found, list)
    return set(TOPICS) <= set(found)
