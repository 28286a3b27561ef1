"""Compose files that belong together: what one has and another changes, and where it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdiag.lint.linter import after_fixes, lint
from tests.running import kdiag

HEAD = "services:\n  kafka:\n    image: confluentinc/cp-kafka:7.6.0\n    environment:\n"
ROLES = "      KAFKA_NODE_ID: 1\n      KAFKA_PROCESS_ROLES: broker\n"
PORTS = "    ports: ['9092:9092']\n"


def advertised(host: str, port: int = 9092) -> str:
    listeners = f"INNER://kafka:29092,HOST://{host}:{port}"
    return (
        f"      KAFKA_ADVERTISED_LISTENERS: {listeners}\n"
        "      KAFKA_LISTENERS: INNER://:29092,HOST://:9092\n"
        "      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: INNER:PLAINTEXT,HOST:PLAINTEXT,C:PLAINTEXT\n"
        "      KAFKA_INTER_BROKER_LISTENER_NAME: INNER\n"
        "      KAFKA_CONTROLLER_LISTENER_NAMES: C\n"
        "      KAFKA_CONTROLLER_QUORUM_VOTERS: 2@c:9093\n"
    )


def part(*lines: str) -> str:
    """The service without its image."""
    return "services:\n  kafka:\n    environment:\n" + "".join(lines)


WHOLE = HEAD + ROLES + advertised("localhost") + PORTS
WITHOUT = HEAD + ROLES + PORTS
CLIENT = "services:\n  app:\n    image: app\n    environment: {KAFKA_BOOTSTRAP: 'kafka:9092'}\n"

# Files by name → the findings, "file line code severity".
CASES: dict[str, tuple[dict[str, str], list[str]]] = {
    "alone": ({"compose.yml": WITHOUT}, ["compose.yml 3 KD641 error"]),
    "the override has what the base lacks": (
        {"compose.yml": WITHOUT, "compose.override.yml": part(advertised("localhost"))},
        [],
    ),
    "the override puts right what the base has": (
        {
            "docker-compose.yml": HEAD + ROLES + advertised("0.0.0.0") + PORTS,
            "docker-compose.override.yaml": part(advertised("localhost")),
        },
        [],
    ),
    "the override's own mistake is told there": (
        {"compose.yml": WHOLE, "compose.override.yml": part(advertised("localhost", 9093))},
        ["compose.override.yml 4 KD634 error"],
    ),
    "a port that the override publishes": (
        {"compose.yml": WHOLE, "compose.override.yml": part().replace("environment:", "ports: []")},
        [],
    ),
    "an override without its base": ({"compose.override.yml": WITHOUT}, [
        "compose.override.yml 3 KD642 warning",
    ]),
    "a client in the override": (
        {"compose.yml": WHOLE, "compose.override.yml": CLIENT},
        ["compose.yml 7 KD617 error"],
    ),
    "a client in a file that includes the broker's": (
        {"compose.yml": f"include: [kafka.yml]\n{CLIENT}", "kafka.yml": WHOLE},
        ["kafka.yml 7 KD617 error"],
    ),
    "of a file that may go over it nothing is certain": (
        {
            "compose.yml": HEAD + ROLES + advertised("0.0.0.0") + PORTS,
            "compose.prod.yml": part(advertised("kafka.example.com")),
        },
        ["compose.yml 7 KD618 warning", "compose.prod.yml 4 KD626 warning"],
    ),
    "one for another, in one folder": ({"compose.yml": WITHOUT, "compose.zk.yml": WHOLE}, [
        "compose.yml 3 KD641 warning",
    ]),
    "two folders are two projects": (
        {"a/compose.yml": WITHOUT, "b/compose.yml": WHOLE},
        ["a/compose.yml 3 KD641 error"],
    ),
    "a service that no file has": (
        {"compose.yml": WITHOUT + "    depends_on: [zookeeper]\n"},
        ["compose.yml 3 KD642 warning"],
    ),
    "the base of another file": (
        {
            "compose.yml": "services:\n  kafka:\n    extends: {file: b.yml, service: kafka}\n"
            "    ports: ['9093:9092']\n",
            "b.yml": "# long\n" * 20 + HEAD + ROLES + advertised("localhost"),
        },
        ["compose.yml 3 KD634 error"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_found_and_where(name: str) -> None:
    files, expected = CASES[name]
    for sources in (files, dict(reversed(files.items()))):
        report = lint(sources, fix=True)
        found = {
            f"{x.file} {x.spot.line} {x.finding.code} {x.finding.severity.value}"
            for x in report.problems
        }
        assert found == set(expected)
        left = after_fixes(report)
        assert len(left.problems) == sum(not each.fixed for each in report.problems)


def test_a_fix_in_one_file_is_a_fix_for_what_extends_it() -> None:
    base = HEAD + ROLES + advertised("localhost").replace(",HOST:PLAINTEXT", "")
    over = "services:\n  two:\n    extends: {file: b.yml, service: kafka}\n    ports: ['1:9092']\n"
    report = lint({"compose.yml": over, "b.yml": base}, fix=True)
    assert [(x.file, x.fixed) for x in report.problems if x.finding.code == "KD632"] == [
        ("compose.yml", True),
        ("b.yml", True),
    ]
    assert "KD632" not in [x.finding.code for x in after_fixes(report).problems]


def test_the_override_file_beside_it_is_read_too(tmp_path: Path) -> None:
    base, override = tmp_path / "docker-compose.yml", tmp_path / "docker-compose.override.yml"
    base.write_text(WITHOUT)
    assert kdiag("lint", str(base)).returncode == 60
    override.write_text(part(advertised("localhost")))
    for name in (base, override):
        done = kdiag("lint", str(name))
        assert (done.returncode, "KD6" in done.stdout) == (0, False)
