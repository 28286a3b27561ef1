"""`--strimzi` with a kubectl that means harm, or is broken: a sentence, and the walk stands.

It is a script on the PATH; the real kubectl is in test_strimzi.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kdiag.api import check
from kdiag.config.usage import UsageError
from tests.running import ENOUGH, Brokers, command, environment, measured

MEMORY = 100 << 20  # bytes; kdiag alone takes half of it
DEADLINE = "6"
ESCAPES = r"printf '\033[31mred\007\033]0;title\007\302\233 ::error::x\n'"
# 10^9 texts and 10^9 levels' worth of them, in 400 bytes.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
RESOURCE = """\
apiVersion: kafka.strimzi.io/v1
kind: Kafka
metadata: {name: my-cluster, namespace: kafka}
"""
KAFKA_BOMB = RESOURCE + "spec:\n" + "".join(f"  {line}\n" for line in BOMB.splitlines())
MERGES = RESOURCE + "spec: &s\n  kafka: *s\n  <<: *s\n"
DEEP = RESOURCE + "spec: " + "[" * 200_000
LARGE = RESOURCE + "# of this one\n" * 30_000
NEVER = "sleep 600"

# What kubectl does → what KD629 has; "" where it only has to stand.
CASES: dict[str, tuple[str, str]] = {
    "100 MB": ("head -c 100000000 /dev/zero | tr '\\0' x", "it shows more than is read"),
    "100 MB on stderr": (
        "head -c 100000000 /dev/zero | tr '\\0' x >&2; exit 1",
        "it shows more than is read",
    ),
    "100 MB of lines": ("yes 'a: [b, {c: d}]' | head -c 100000000", "it shows more than is read"),
    "binary": ("head -c 300000 /dev/urandom", "it shows something else"),
    "escapes": (ESCAPES, "it shows something else"),
    "a bomb": ("cat bomb", "it shows something else"),
    "a Kafka resource that is one": ("cat kafka-bomb", ""),
    "merges of itself": ("cat merges", ""),
    "deep": ("cat deep", ""),
    "nothing": (":", "it shows something else"),
    "400 kB four times": ("cat large", "more than kdiag judges, 1 MiB of all answers"),
    "hangs": (NEVER, "it did not answer in time"),
    "hangs after half": (f"echo 'apiVersion: v1'; {NEVER}", "it did not answer in time"),
    "hangs with its output closed": (f"exec >&- 2>&-; {NEVER}", "it did not answer in time"),
    "fails with escapes": (f"{ESCAPES} >&2; exit 3", "it failed"),
    "fails with nothing": ("exit 255", "it failed"),
    "is killed": ("kill -9 $$", "it failed"),
}


class Done(NamedTuple):
    report: dict[str, Any]
    text: str
    seconds: float
    memory: int
    code: int


def checked(bootstrap: str, folder: Path, script: str) -> Done:
    """kdiag with that kubectl, as a report and as a terminal has it, and what it took."""
    texts = {"bomb": BOMB, "kafka-bomb": KAFKA_BOMB, "merges": MERGES, "deep": DEEP, "large": LARGE}
    for name, text in texts.items():
        (folder / name).write_text(text)
    kubectl = folder / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncd '{folder}'\n{script}\n")
    kubectl.chmod(0o755)
    begun = time.monotonic()
    checking = command(
        *("check", bootstrap, "--strimzi", "kafka/my-cluster", "--deadline", DEADLINE),
        *("-o", "terminal", "-o", f"json={folder}/report.json"),
    )
    process = subprocess.run(
        measured(folder / "memory", checking),
        env=environment(PATH=f"{folder}:{os.environ['PATH']}"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=ENOUGH,
    )  # fmt: skip
    taken = time.monotonic() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    memory = int((folder / "memory").read_text()) * unit
    report = json.loads((folder / "report.json").read_text())
    return Done(report, process.stdout, taken, memory, process.returncode)


def test_files_that_leave_no_room_for_what_kubectl_shows(
    brokers: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they are more than is judged: what kubectl shows is left out, and the report says
    so. Files that are too many by themselves are refused before anything is dialled."""
    known = "listeners=PLAINTEXT://:9092\n"
    padded = known + "#" * ((1 << 20) - len(known) - 1)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncat '{tmp_path}/resource'\n")
    kubectl.chmod(0o755)
    (tmp_path / "resource").write_text(RESOURCE)
    files = {f"{n}/server.properties": padded for n in range(4)}
    port = int(brokers.three().bootstrap.rpartition(":")[2])
    report = check(f"127.0.0.1:{port}", config=files, strimzi="kafka/my-cluster")
    codes = [finding.code for finding in report.findings]
    assert "KD001" not in codes
    (told,) = [finding for finding in report.findings if finding.code == "KD629"]
    assert "with the files of --config they are more than 4 MiB" in told.evidence[0]
    brokers.brokers[1].requests.clear()
    with pytest.raises(UsageError, match="more than 4 MiB together"):
        check(f"127.0.0.1:{port}", config={**files, "4/server.properties": padded})
    assert not brokers.brokers[1].requests


@pytest.mark.parametrize(("script", "words"), CASES.values(), ids=CASES)
def test_a_kubectl_that_means_harm(
    brokers: Brokers, tmp_path: Path, script: str, words: str
) -> None:
    done = checked(brokers.three().bootstrap, tmp_path, script)
    assert done.text.startswith("kdiag "), done.text  # and nothing on standard error
    assert "Traceback" not in done.text
    assert all(char.isprintable() for char in done.text.replace("\n", ""))
    assert done.memory < MEMORY
    assert done.seconds < ENOUGH
    assert [hop["status"] for hop in done.report["hops"][:4]] == ["pass"] * 4
    told = [finding for finding in done.report["findings"] if finding["code"] == "KD629"]
    codes = [finding["code"] for finding in done.report["findings"]]
    assert "KD001" not in codes, done.text
    assert told or not words
    said = json.dumps(told, ensure_ascii=False)
    assert words in said
    assert all(char.isprintable() for char in said)
    assert done.code in (0, 60)
