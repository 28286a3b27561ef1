"""Plain values travel whole, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import Endpoint, settings
from kdiag.network.attempt import AddressResult, EndpointResult, Failure, LayerResult
from kdiag.remote.probe import ProbeRequest, probe_request
from kdiag.remote.serialization import (
    MAX_BYTES,
    MAX_ITEMS,
    MAX_NUMBER,
    MAX_VALUES,
    SerializationError,
    deserialize,
    serialize,
)
from kdiag.walk.facts import Facts
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.run import HopRun, WalkFacts
from kdiag.walk.hops import HOPS

st.register_type_strategy(float, st.floats(-MAX_NUMBER, MAX_NUMBER))
st.register_type_strategy(int, st.integers(-MAX_NUMBER, MAX_NUMBER))
st.register_type_strategy(str, st.text(max_size=20))
st.register_type_strategy(bytes, st.binary(max_size=20))

st.register_type_strategy(
    Facts, st.tuples(*(st.from_type(hop.gives) for hop in HOPS)).map(Facts) | st.just(Facts())
)

slow = profile(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(st.from_type(WalkFacts))
def test_facts_come_out_as_they_went_in(facts: WalkFacts) -> None:
    assert deserialize(WalkFacts, serialize(facts)) == facts


@slow
@given(st.from_type(ProbeRequest))
def test_an_errand_comes_out_as_it_went_in(asked: ProbeRequest) -> None:
    assert deserialize(ProbeRequest, serialize(asked)) == asked


def test_an_errand_asks_for_what_was_asked() -> None:
    security = Security("SASL_SSL", Tls(ca="x" * 300_000), Sasl("PLAIN", "u", "p"))
    asked = settings("a:1,[::1]:2", topic="t", timeout=1, deadline=2, mapped=["a=b:3"])
    asked = asked._replace(security=security)
    told = deserialize(ProbeRequest, serialize(probe_request(asked, "mark"))).settings
    assert told == asked


def _facts() -> WalkFacts:
    dial = AddressResult(
        "127.0.0.1", (LayerResult("tcp", 0.1, Failure.REFUSED, "no"),), received=(b"\0x",)
    )
    contact = EndpointResult(Endpoint("h", 1), LayerResult("dns", 0.0), (dial,))
    legs = (HopRun("bootstrap", 1), HopRun("metadata", 0, "bootstrap failed"))
    return WalkFacts("now", 3, legs, facts=Facts((Bootstrap((contact,), {18: (0, 4)}),)))


def _changed(change: Any) -> bytes:
    said = json.loads(serialize(_facts()))
    change(said)
    return json.dumps(said).encode()


def _dial(said: Any) -> Any:
    return said["facts"]["bootstrap"]["contacts"][0]["dials"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("failures"),
        lambda said: said.update(more=1),
        lambda said: said.update(elapsed_ms="3"),
        lambda said: said.update(elapsed_ms=True),
        lambda said: said.update(elapsed_ms=3.5),
        lambda said: said.update(elapsed_ms=MAX_NUMBER + 1),
        lambda said: said.update(interrupted=0),
        lambda said: said.update(started_at=None),
        lambda said: said.update(started_at=["now"]),
        lambda said: said.update(runs={}),
        lambda said: said.update(runs=None),
        lambda said: said.update(notes=[""] * (MAX_ITEMS + 1)),
        lambda said: said["facts"]["bootstrap"].update(apis=[[18, [0, 4]], [18, [0, 4]]]),
        lambda said: said["facts"]["bootstrap"].update(apis=[[18, [0, 4, 5]]]),
        lambda said: said["facts"]["bootstrap"].update(apis=[[18]]),
        lambda said: said["facts"]["bootstrap"].update(apis=[[[], [0, 4]]]),
        lambda said: _dial(said).update(received=["&"]),
        lambda said: _dial(said).update(received=["é"]),
        lambda said: _dial(said)["attempts"][0].update(failure="nonsense"),
        lambda said: _dial(said)["attempts"][0].update(failure=[]),
        lambda said: _dial(said)["attempts"][0].update(elapsed=1e300),
    ],
)
def test_what_is_no_such_value_is_refused(change: Any) -> None:
    with pytest.raises(SerializationError):
        deserialize(WalkFacts, _changed(change))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 10_000,
        serialize(_facts()).replace(b'"elapsed_ms":3,', b'"elapsed_ms":NaN,'),
        serialize(_facts()).replace(b'"elapsed":0.1,', b'"elapsed":Infinity,'),
        serialize(_facts())[:-1],
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_parcel_is_refused(data: bytes) -> None:
    with pytest.raises(SerializationError):
        deserialize(WalkFacts, data)


def test_every_text_is_seen() -> None:
    seen: set[str] = set()

    def text(said: str) -> str:
        seen.add(said)
        return said

    deserialize(WalkFacts, serialize(_facts()), text)
    assert {"now", "h", "no", "metadata", "bootstrap failed", "tcp"} <= seen


def test_a_parcel_of_many_small_values_is_refused() -> None:
    many = [[0] * 60_000] * (MAX_VALUES // 60_000 + 1)
    with pytest.raises(SerializationError, match="more than 500,000 values"):
        deserialize(cast("type[Any]", tuple[tuple[int, ...], ...]), json.dumps(many).encode())
