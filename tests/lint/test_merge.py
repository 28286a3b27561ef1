"""Files beside a walk: what they say, what is advertised, and the corrected file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdiag.config.usage import UsageError
from kdiag.demo.world import PORT, PRIVATE, PUBLIC, World, endpoint
from kdiag.lint.observed import of_report
from kdiag.report.model import Report
from tests.cli.test_cli import imported
from tests.lint.corpus import validator
from tests.lint.texts import compose, kafka, nodes
from tests.running import ENOUGH, Brokers, kdiag
from tests.walks import shown, walked

DOORS = ",".join(endpoint(address) for address in PUBLIC)
NODE_PORTS = (32001, 32002, 32003)

Build = Callable[[World], Awaitable[Any]]


def advertising(*addresses: tuple[str, int]) -> Build:
    """A world of three brokers at the public addresses, that advertise these."""

    async def build(world: World) -> None:
        await world.three(*addresses)

    return build


PRIVATE_WORLD = advertising(*((address, PORT) for address in PRIVATE))


def joined(build: Build, text: str, bootstrap: str = DOORS, **more: Any) -> Report:
    return walked(build, bootstrap=bootstrap, timeout=1.0, config={"kafka.yaml": text}, **more)


def codes(report: Report, hop: str = "config") -> list[str]:
    return [finding.code for finding in report.findings if finding.hop == hop]


def patched(report: Report, text: str, folder: Path) -> str:
    """The file after the diff that the report proposes, as git applies it."""
    (fix,) = [r for finding in report.findings for r in finding.remedies if r.kind == "diff"]
    (folder / "kafka.yaml").write_text(text)
    command = ["git", "apply", "-"]
    subprocess.run(command, input=fix.snippet, text=True, cwd=folder, check=True, timeout=ENOUGH)
    after = (folder / "kafka.yaml").read_text()
    for resource in yaml.safe_load_all(after):
        if resource.get("kind") == "Kafka":
            assert [error.message for error in validator("Kafka").iter_errors(resource)] == []
    return after


def test_the_root_cause_has_the_corrected_file_with_real_ids_and_addresses(tmp_path: Path) -> None:
    text = kafka("brokers: [{broker: 0, advertisedHost: 10.0.1.11}]")
    report = joined(PRIVATE_WORLD, text)
    assert (report.root_cause, report.exit_code) == ("KD301", 30)
    cause = report.cause
    assert cause
    kinds = [fix.kind for fix in cause.remedies]
    assert kinds == ["diff", "text"]  # the general ones give way to it
    listener = yaml.safe_load(patched(report, text, tmp_path))["spec"]["kafka"]["listeners"][1]
    told = {each["broker"]: each["advertisedHost"] for each in listener["configuration"]["brokers"]}
    assert {node: told[node] for node in (1, 2, 3)} == dict(zip((1, 2, 3), PUBLIC, strict=True))


def test_where_all_ids_are_wrong_they_are_put_right(tmp_path: Path) -> None:
    text = kafka(
        "brokers: [{broker: 0, advertisedHost: 10.0.1.11}, {broker: 7, advertisedHost: 10.0.1.12}, "
        "{broker: 2, advertisedHost: 10.0.1.13}]"
    )
    after = yaml.safe_load(patched(joined(PRIVATE_WORLD, text), text, tmp_path))
    configuration = after["spec"]["kafka"]["listeners"][1]["configuration"]
    assert sorted(
        (each["broker"], each["advertisedHost"]) for each in configuration["brokers"]
    ) == [(node, address) for node, address in enumerate(PUBLIC, start=1)]


def test_no_address_is_made_up_where_no_broker_answered() -> None:
    """From one bootstrap server, the same port on its host leads to broker 1 only."""
    report = joined(PRIVATE_WORLD, kafka(), bootstrap=endpoint())
    proposed = [r.snippet for f in report.findings for r in f.remedies if r.kind == "diff"]
    assert not any(PUBLIC[1] in each or PUBLIC[2] in each for each in proposed)
    asked = [r.snippet for f in report.findings if f.code == "KD620" for r in f.remedies]
    assert "<address of broker 2>" in asked[0]


def test_the_port_that_was_entered_is_pinned(tmp_path: Path) -> None:
    async def build(world: World) -> None:
        told = [(PUBLIC[n], NODE_PORTS[n]) for n in range(3)]
        await world.three(*told)
        for address, port in told:
            world.nat[address, port] = world.nat[address, PORT]
        world.nat[PUBLIC[0], 32100] = world.nat[PUBLIC[0], PORT]

    hosts = ", ".join(f"{{broker: {n}, advertisedHost: {PUBLIC[n - 1]}}}" for n in (1, 2, 3))
    text = kafka(f"brokers: [{hosts}]")
    report = joined(build, text, bootstrap=endpoint(port=32100))
    assert (report.exit_code, report.verdict) == (0, "warn")
    assert "it is 32100 now" in next(f.message for f in report.findings if f.code == "KD623")
    after = yaml.safe_load(patched(report, text, tmp_path))
    assert after["spec"]["kafka"]["listeners"][1]["configuration"]["bootstrap"] == {
        "nodePort": 32100
    }


def test_what_is_declared_and_not_advertised_is_not_rolled_out() -> None:
    told = ", ".join(f"{{broker: {n}, advertisedHost: {PUBLIC[n - 1]}}}" for n in (1, 2, 3))
    report = joined(PRIVATE_WORLD, kafka(f"brokers: [{told}]"))
    assert (report.root_cause, report.failing_hop, report.exit_code) == ("KD627", "listeners", 30)
    assert report.cause
    assert "it is not rolled out" in report.cause.message
    assert "kubectl apply -n kafka -f kafka.yaml\n" in report.cause.remedies[0].snippet
    assert f"broker 3 advertises {PRIVATE[2]}:{PORT}" in " ".join(report.cause.evidence)
    assert "KD301" in [f.code for f in report.findings if f.consequence_of == "KD627"]


def test_what_the_operator_says_against_it_is_quoted() -> None:
    told = f"brokers: [{{broker: 1, advertisedHost: {PUBLIC[0]}}}]"
    status = (
        "status:\n  observedGeneration: 3\n  conditions:\n  - {type: NotReady, status: 'True', "
        "reason: InvalidResourceException, message: port 9404 is forbidden}\n"
    )
    report = joined(PRIVATE_WORLD, kafka(told, generation=4) + status)
    found = next(f for f in report.findings if f.code == "KD627")
    assert "the operator has not taken it up" in found.message
    assert "NotReady: InvalidResourceException: port 9404 is forbidden" in found.evidence
    assert "kubectl logs" in found.remedies[0].snippet


def test_one_broker_that_was_not_restarted_is_named() -> None:
    build = advertising((PUBLIC[0], PORT), (PUBLIC[1], PORT), (PRIVATE[2], PORT))
    told = ", ".join(f"{{broker: {n}, advertisedHost: {PUBLIC[n - 1]}}}" for n in (1, 2, 3))
    report = joined(build, kafka(f"brokers: [{told}]"))
    found = next(f for f in report.findings if f.code == "KD627")
    assert found.subjects == ["broker 3"]
    assert "not restarted since" in found.message
    assert "strimzi.io/manual-rolling-update=true" in found.remedies[0].snippet


def test_an_address_that_no_node_has_any_more_is_that_of_before_a_restart() -> None:
    report = joined(PRIVATE_WORLD, kafka() + nodes("10.0.9.1", "10.0.1.12", "10.0.1.13"))
    found = next(f for f in report.findings if f.code == "KD628")
    assert found.subjects == ["broker 1"]
    assert "10.0.1.11, which no node has any more" in found.message


def test_a_listener_for_the_inside_is_the_wrong_door() -> None:
    names = [f"my-cluster-b-{n}.my-cluster-kafka-brokers.kafka.svc" for n in (1, 2, 3)]
    report = joined(
        advertising(*((name, 9092) for name in names)),
        kafka(
            "bootstrap: {nodePort: 32100}", f"brokers: [{{broker: 1, advertisedHost: {PUBLIC[0]}}}]"
        ),
    )
    assert report.root_cause == "KD309"
    assert report.cause
    assert "leads to listener plain (kafka.yaml:9)" in report.cause.message
    assert f"external, at {PUBLIC[0]}:32100" in report.cause.message


def test_a_compose_file_has_its_doors_too(tmp_path: Path) -> None:
    async def build(world: World) -> None:
        await world.three(("kafka", 29092))

    text = compose("INTERNAL://kafka:29092,EXTERNAL://3.10.139.221:9094", "29092:29092")
    report = joined(build, text, bootstrap=endpoint())
    assert "KD309" in codes(report, "listeners")
    found = next(f for f in report.findings if f.code == "KD309")
    assert "EXTERNAL://3.10.139.221:9094" in found.message


def test_a_compose_file_is_put_right_with_the_address_that_answered(tmp_path: Path) -> None:
    async def build(world: World) -> None:
        await world.three(("localhost", PORT))
        world.names["localhost"] = ["127.0.0.1"]
        world.closed("127.0.0.1", PORT)

    text = compose("PLAINTEXT://localhost:9094", "9094:9094")
    report = joined(build, text, bootstrap=endpoint())
    assert report.root_cause == "KD302"
    assert f"PLAINTEXT://{PUBLIC[0]}:9094" in patched(report, text, tmp_path)


def test_a_walk_that_passes_fails_for_its_files_alone() -> None:
    text = kafka("brokers: [{broker: 1, advirtisedHost: 3.10.139.221}]")
    report = joined(advertising(), text)
    assert (report.failing_hop, report.exit_code, report.root_cause) == ("config", 60, "KD603")
    assert [step.status for step in report.hops] == ["pass", "pass", "pass", "pass", "fail"]
    assert "kafka.yaml:22:33: " in shown(report)


def test_secrets_of_a_file_are_in_no_report() -> None:
    async def build(world: World) -> None:
        await world.three(("10.0.1.11", PORT))

    secret = "hunter2-is-my-password"
    beside = f"      KAFKA_SSL_KEYSTORE_PASSWORD: {secret}\n"
    text = compose("PLAINTEXT://10.0.1.11:9094", "9094:9094")
    jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required password="{}";'
    listener = f"listenerConfig: {{sasl.jaas.config: '{jaas.format(secret)}'}}"
    custom = kafka(f"brokers: [{{broker: 1, {listener}, advertisedHost: 10.0.1.11}}]")
    lines = text.splitlines(keepends=True)
    for given in (text + beside, "".join([*lines[:6], beside, *lines[6:]]), custom):
        report = joined(build, given, bootstrap=endpoint())
        assert report.cause
        assert "kafka.yaml" in report.cause.remedies[0].summary
        assert not any(secret in shown(report, form) for form in ("terminal", "json", "html"))
    (first, *_) = joined(build, text + beside, bootstrap=endpoint()).cause.remedies  # type: ignore[union-attr]
    assert f"+      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://{PUBLIC[0]}:9094" in first.snippet


def test_files_are_judged_where_no_broker_is_known() -> None:
    async def build(world: World) -> None:
        world.closed(PUBLIC[0], PORT)

    report = joined(build, kafka("brokers: [{broker: 1, advirtisedHost: x}]"), endpoint())
    assert (report.exit_code, codes(report)[0]) == (10, "KD603")


def test_the_same_of_a_saved_report(tmp_path: Path) -> None:
    report = joined(PRIVATE_WORLD, kafka())
    (tmp_path / "report.json").write_text(shown(report, "json"))
    (tmp_path / "kafka.yaml").write_text(kafka())
    done = kdiag("lint", "--fix", "--report", "report.json", "kafka.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    made = (tmp_path / "kafka.yaml").read_text()
    configuration = yaml.safe_load(made)["spec"]["kafka"]["listeners"][1]["configuration"]
    assert [each["advertisedHost"] for each in configuration["brokers"]] == list(PUBLIC)
    assert made == patched(report, kafka(), tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a report"),
        ('{"schema_version": 1, "hops": 1}', "is not a report of kdiag check"),
    ],
    ids=["no-json", "deep", "list", "hops"],
)
def test_what_is_no_report_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "kafka.yaml").write_text(kafka())
    done = kdiag("lint", "--report", "report.json", "kafka.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("cluster", None, "lists no broker"), ("hops", [], "`hops` is empty")],
    ids=["no broker", "damaged"],
)
def test_a_report_that_says_nothing_of_brokers_is_refused(
    key: str, value: object, words: str
) -> None:
    whole = json.loads(shown(joined(PRIVATE_WORLD, kafka()), "json"))
    assert [each.node for each in of_report("r.json", json.dumps(whole).encode()).brokers]
    with pytest.raises(UsageError, match=words):
        of_report("r.json", json.dumps(whole | {key: value}).encode())


def test_on_the_command_line(brokers: Brokers, tmp_path: Path) -> None:
    (tmp_path / "kafka.yaml").write_text(kafka("brokers: [{broker: 1, advirtisedHost: x}]"))
    done = kdiag("check", brokers.three().bootstrap, "--config", "kafka.yaml", cwd=tmp_path)
    assert done.returncode == 60
    assert "did you mean `advertisedHost`?" in " ".join(done.stdout.split())


def test_a_target_may_name_its_files(brokers: Brokers, tmp_path: Path) -> None:
    (tmp_path / "kafka.yaml").write_text(kafka("brokers: [{broker: 1, advirtisedHost: x}]"))
    target = f'[targets.a]\nbootstrap = "{brokers.three().bootstrap}"\nconfig = "kafka.yaml"\n'
    (tmp_path / "kdiag.toml").write_text(target)
    assert kdiag("check", "@a", cwd=tmp_path).returncode == 60


def test_files_that_kdiag_knows_nothing_of_are_refused_before_anything_is_dialled(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text("a: b\n")
    for name, words in (
        ("a.yaml", "nothing of Kafka is configured in it"),
        ("b.yaml", "cannot read b.yaml"),
    ):
        done = kdiag("check", "127.0.0.1:1", "--config", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr


def test_without_files_no_yaml_is_imported(brokers: Brokers) -> None:
    found = imported("-m", "kdiag", "check", brokers.three().bootstrap)
    assert "kdiag.api" in found
    assert not found & {
        "yaml",
        "kdiag.lint.merge",
        "kdiag.lint.linter",
        "kdiag.lint.reader",
        "kdiag.lint.kubectl",
    }
