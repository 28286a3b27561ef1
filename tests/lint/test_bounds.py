"""What a file costs to judge: in proportion to its size, whatever it holds; counted in calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from kdiag.config.properties.syntax import parse_properties
from kdiag.config.usage import UsageError
from kdiag.lint import documents
from kdiag.lint.documents import MAX_DOCUMENTS
from kdiag.lint.fixing import MOST_ALIKE
from kdiag.lint.linter import MAX_FILE, MAX_FILES, lint
from kdiag.lint.reader import document

FEW = 150
KAFKA = "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nmetadata:\n  name: c\nspec:\n  kafka:\n"
LISTENER = (
    "    listeners:\n    - name: a\n      port: 9094\n      type: nodeport\n      tls: false\n"
)


def _rows(head: str, row: str) -> Callable[[int], str]:
    """A text with `row` so many times; {i} in it is the number."""
    return lambda n: head + "".join(row.replace("{i}", str(i)) for i in range(n))


def _listed(name: str, item: str, n: int) -> str:
    return f"{name}={','.join(item.replace('{i}', str(i)) for i in range(n))}\n"


def _properties(n: int) -> str:
    return (
        _listed("listeners", "L{i}://:{i}", n)
        + _listed("advertised.listeners", "M{i}://10.0.0.1:{i}", n)
        + _listed("listener.security.protocol.map", "L{i}:PLAINTEXT", n)
    )


KINDS: dict[str, tuple[str, Callable[[int], str]]] = {
    "listeners": ("a.yaml", _rows(
        KAFKA + "    listeners:\n",
        "    - name: l{i}\n      port: 90{i}\n      type: nodeport\n      tls: false\n",
    )),
    "listeners of a broker": ("a.properties", _properties),
    "Services": ("a.yaml", _rows(
        KAFKA + LISTENER,
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: s{i}\nspec:\n  type: NodePort\n"
        "  ports:\n  - port: 9094\n    nodePort: 3{i}\n",
    )),
    "brokers of Compose": ("a.yaml", _rows(
        "services:\n",
        "  kafka-{i}:\n    image: apache/kafka:4.0.0\n    environment:\n      KAFKA_NODE_ID: {i}\n"
        "      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://kafka-{i}:9092\n",
    )),
    "services that speak of one": ("a.yaml", _rows(
        "services:\n  kafka:\n    image: apache/kafka:4.0.0\n    environment:\n"
        "      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://localhost:9092\n",
        "  app{i}:\n    image: app\n    environment:\n      B: kafka:9092\n",
    )),
    "unknown fields": ("a.yaml", _rows(KAFKA, "    advirtised{i}: x\n")),
    "unknown fields of an item": (
        "a.yaml", _rows(KAFKA + "    listeners:\n    - name: a\n", "      confyguration{i}: x\n")
    ),
    "unknown settings": (
        "a.properties", _rows("listeners=PLAINTEXT://:9092\n", "advertised.listenrs{i}=x\n")
    ),
    "continued lines": (
        "a.properties", _rows("listeners=PLAINTEXT://:9092,\\\n", " A{i}://:1,\\\n")
    ),
    "continued lines of another": ("a.properties", _rows("listeners=A://:1\nfoo=a\\\n", " b\\\n")),
    "wrong indentation": ("a.yaml", _rows(
        KAFKA + "    listeners:\n", "    - name: l{i}\n    port: 90{i}\n  tls: false\n"
    )),
    "wrong indentation and names": ("a.yaml", _rows(KAFKA, "      config{i}:\n   confik{i}:\n")),
    "deeper and deeper": ("a.yaml", lambda n: KAFKA + "".join(
        f"{' ' * i}config:\n" for i in range(4, n // 2)
    )),
    "brokers of a listener": ("a.yaml", _rows(
        KAFKA + LISTENER + "      configuration:\n        brokers:\n",
        "        - broker: {i}\n          advertisedHost: 10.0.0.{i}\n          nodePort: 3{i}\n",
    )),
    "the same key": ("a.yaml", _rows(KAFKA + LISTENER, "      tls: false\n")),
    "brackets": ("a.yaml", _rows(KAFKA + "    x: [\n", "   a,\n")),
    "quotes": ("a.yaml", _rows(KAFKA, "    config: 'a\n")),
    "resources": ("a.yaml", _rows("", "---\n" + KAFKA + LISTENER)),
    "node pools": ("a.yaml", _rows(
        KAFKA + LISTENER,
        "---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaNodePool\nmetadata:\n  name: p{i}\n"
        "  labels:\n    strimzi.io/cluster: c\nspec:\n  replicas: 3\n  roles: [broker]\n",
    )),
    "NodePorts of a chart": ("a.yaml", _rows(
        "externalAccess:\n  enabled: true\n  service:\n    type: NodePort\n    nodePorts:\n",
        "    - 3{i}\n",
    )),
    "containers": ("a.yaml", _rows(
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n",
        "      - name: k{i}\n        image: apache/kafka:4.0.0\n        env:\n"
        "        - name: KAFKA_ADVERTISED_LISTENERS\n          value: PLAINTEXT://k{i}:9092\n",
    )),
}  # fmt: skip


def _calls(work: Callable[[], Any]) -> int:
    """How many functions of Python and of C it calls."""
    counted = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("kind", KINDS)
def test_twice_as_much_costs_twice_as_much(kind: str) -> None:
    name, text = KINDS[kind]
    lint({name: text(2)})  # loads what there is to load
    one, two = (_calls(partial(lint, {name: text(n)})) for n in (FEW, 2 * FEW))
    assert two < 2.4 * one + 20_000, f"{one} calls, and {two} for twice as much"


def test_a_large_file_with_lines_in_the_wrong_place_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, text = KINDS["wrong indentation"]
    small = lint({"a.yaml": text(3)}).problems
    monkeypatch.setattr(documents, "MOST_MENDED", len(text(3)))
    assert lint({"a.yaml": text(3)}).problems == small
    monkeypatch.setattr(documents, "document", _counting := _Reads(document))
    assert [each.finding.code for each in lint({"a.yaml": text(4)}).problems]
    assert _counting.reads == 1


class _Reads:
    """Counts how often a text is read."""

    def __init__(self, read: Callable[..., Any]) -> None:
        self.reads, self._read = 0, read

    def __call__(self, *given: Any) -> Any:
        self.reads += 1
        return self._read(*given)


def test_continued_lines_of_client_properties() -> None:
    one, two = (_calls(partial(parse_properties, "a=\\\n" + "b\\\n" * n)) for n in (500, 1000))
    assert two < 2.2 * one
    assert parse_properties("a=x\\\n  y\\\n  z\nb=1") == {"a": "xyz", "b": "1"}


def test_of_many_mistakes_of_one_kind_some_are_listed_and_it_is_said() -> None:
    problems = lint({"a.yaml": KINDS["unknown fields"][1](5 * MOST_ALIKE)}).problems
    unknown = [each for each in problems if each.finding.code == "KD603"]
    assert len(unknown) == MOST_ALIKE
    assert f"there are more of these: {MOST_ALIKE} are listed" in unknown[-1].finding.message
    few = lint({"a.yaml": KINDS["unknown fields"][1](MOST_ALIKE)}).problems
    assert not any("more of these" in each.finding.message for each in few)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"a.yaml": "#" * (MAX_FILE + 1)}, "a.yaml is larger than a file of configuration: 1 MiB"),
        ({f"{n}.yaml": "#" * MAX_FILE for n in range(5)}, "more than 4 MiB together"),
        ({"a.yaml": "---\na: 1\n" * (MAX_DOCUMENTS + 1)}, "more than 1,000 documents"),
        ({"a.yaml": ("---\n" + KAFKA) * 400 + "---\nkind: Service\n" * 400}, "fewer at a time"),
    ],
)
def test_more_is_refused_with_a_sentence(sources: dict[str, str], said: str) -> None:
    assert MAX_FILES == 4 * MAX_FILE
    with pytest.raises(UsageError, match=said):
        lint(sources)
