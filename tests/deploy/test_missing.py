"""Where confluent-kafka or boto3 has no wheel: what works without it, and what is said of the rest.

The imports are refused in a process of its own, as Alpine and Windows on ARM would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kdiag.demo.scenarios import SCENARIOS
from tests.running import ENOUGH, ROOT, environment

REFUSED = """
import sys


class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("confluent_kafka", "boto3", "botocore"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refuses())
"""
PLAYED = """
import asyncio, json, sys
from kdiag.api import play
import kdiag.demo.scenarios

said = [(name, asyncio.run(play(name))) for name in sys.argv[1:]]
print(json.dumps({name: [each.exit_code, each.root_cause] for name, each in said}))
"""
NOWHERE = "127.0.0.1:1"  # nothing listens there


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What refuses the imports, for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(REFUSED)
    return folder


def run(bare: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env=environment(PYTHONPATH=f"{bare}:{ROOT}", COLUMNS="500", **variables),
        timeout=ENOUGH,
    )


def kdiag(bare: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(bare, "-m", "kdiag", *arguments, **variables)


def test_they_are_refused(bare: Path) -> None:
    for name in ("confluent_kafka", "boto3", "botocore.session"):
        assert "ModuleNotFoundError" in run(bare, "-c", f"import {name}").stderr


@pytest.mark.parametrize("part", range(8))
def test_every_scenario_of_the_demo_says_the_same(bare: Path, part: int) -> None:
    names = list(SCENARIOS)[part::8]
    done = run(bare, "-c", PLAYED, *names)
    assert done.returncode == 0, done.stderr
    with_all = {
        name: json.loads((ROOT / f"tests/goldens/json/{name}.json").read_text("utf-8"))
        for name in names
    }
    told = json.loads(done.stdout)
    assert told == {
        name: [each["exit_code"], each["root_cause"]] for name, each in with_all.items()
    }


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("demo", "private-address"), 30),
        (("check", NOWHERE), 10),
        (("explain", "KD301"), 0),
        (("explain", "_TRANSPORT"), 0),
        (("lint", "docs/deploy/kubernetes/base/one.yaml", "--skip-unknown"), 0),
        (("--version",), 0),
    ],
)
def test_commands_work(bare: Path, arguments: tuple[str, ...], code: int) -> None:
    done = kdiag(bare, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "KD001" not in done.stdout or arguments[0] == "explain"


@pytest.mark.parametrize(
    ("options", "use"),
    [
        (("-t", "orders"), "a topic"),
        (("-t", "orders", "--from", "local"), "a topic"),
        (
            ("-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=GSSAPI"),
            "a login by Kerberos",
        ),
    ],
)
def test_what_takes_the_real_client_says_what_to_install(
    bare: Path, options: tuple[str, ...], use: str
) -> None:
    done = kdiag(bare, "check", NOWHERE, *options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{use} takes confluent-kafka, which is not installed: " in done.stderr
    assert "pip install confluent-kafka" in done.stderr


def test_aws_that_cannot_be_asked_is_a_warning(bare: Path) -> None:
    done = kdiag(bare, "check", NOWHERE, "--aws", "-o", "json")
    report = json.loads(done.stdout)
    assert report["exit_code"] == 10  # as without --aws
    (found,) = [each for each in report["findings"] if each["code"] == "KD508"]
    assert found["severity"] == "warning"
    assert "boto3 is not installed: pip install boto3" in " ".join(found["evidence"])


def test_a_vantage_point_of_ssm_says_what_to_install(bare: Path) -> None:
    done = kdiag(bare, "check", NOWHERE, "--from", "ssm://i-0123456789abcdef0")
    assert done.returncode == 80, done.stdout + done.stderr
    assert "boto3 is not installed here: pip install boto3" in done.stdout
