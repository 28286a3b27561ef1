"""Lines as loggers, terminals and people wrap them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from kdiag.logs.explain import explain
from kdiag.logs.stream import MAX_LINE_BYTES, PackedLogError
from tests.running import ENOUGH, ROOT, environment, kdiag
from tests.together import together

LINES = (
    "%3|1700000000.123|FAIL|rdkafka#producer-1| [thrd:sasl_ssl://k-1.example.com:9092/2]: "
    "sasl_ssl://k-1.example.com:9092/2: Connect to ipv4#198.51.100.7:9092 failed: Connection "
    "refused (after 0ms in state CONNECT)",
    "[2026-01-06 00:00:32,018] WARN [Producer clientId=p] Connection to node 3 (k-3.example.com/"
    "198.51.100.3:9092) could not be established. Node may not be available. (org.apache.kafka."
    "clients.NetworkClient)",
    '{"level":"warn","ts":"x","msg":"unable to open connection to broker","addr":"k:9092",'
    '"broker":"2","err":"unable to dial: dial tcp 198.51.100.7:9092: connect: connection refused"}',
)


def hard(text: str, width: int) -> str:
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


def soft(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False))


def journald(text: str) -> str:
    return json.dumps({"PRIORITY": "3", "MESSAGE": list(f"\x1b[31m{text}\x1b[0m".encode())})


RED = "\x1b[1;31m"
WRAPPERS: dict[str, Callable[[str], str]] = {
    "Docker": lambda text: json.dumps({"log": text + "\n", "stream": "stderr"}),
    "CRI": lambda text: f"2026-01-01T00:00:00.0Z stderr F {text}",
    "syslog": lambda text: f"Jan  1 00:00:00 host app[1]: {text}",
    "Compose": lambda text: f"app_1  | {text}",
    "quote": lambda text: f"> {text}",
    "CSV": lambda text: '"a","' + text.replace('"', '""') + '"',
    "JSON in JSON": lambda text: json.dumps({"message": json.dumps({"m": text})}),
    "HTML": lambda text: text.replace('"', "&quot;").replace(">", "&gt;"),
    "box": lambda text: f"│ {text} │",
    "colour": lambda text: f"{RED}{text}\x1b[0m",
    "colour in a phrase": lambda text: text.replace("refused", f"{RED}refused\x1b[0m").replace(
        "established", f"esta{RED}blished\x1b[0m"
    ),
    "colour as text": lambda text: json.dumps({"m": text.replace("onnect", f"{RED}onnect")}),
    "colour without its escape": lambda text: f"[31m{text}[0m",
    "journald": journald,
    "journald, many lines": lambda text: json.dumps({"MESSAGE": list(text.encode())}, indent=1),
    "80 columns": lambda text: hard(text, 80),
    "120 columns": lambda text: hard(text, 120),
    "80 columns at blanks": lambda text: soft(text, 80),
    "120 columns at blanks": lambda text: soft(text, 120),
    "80 columns among others": lambda text: "\n".join(
        hard(line, 80)
        for line in (
            "[2026-01-06 00:00:31,018] INFO one",
            text,
            "[2026-01-06 00:00:33,018] INFO two",
        )
    ),
    "Google Cloud": lambda text: json.dumps({"textPayload": text, "severity": "ERROR"}),
    "a stack trace in JSON": lambda text: json.dumps(
        {
            "a": "x" * 6000,
            "stack": "java.lang.X\n" + "\tat x.Y(Y.java:1)\n" * 300 + f"Caused by: {text}",
        }
    ),
    "CRI in parts": lambda text: "\n".join(
        f"2026-01-01T00:00:00Z stderr {'P' if text[at + 60 :] else 'F'} {text[at : at + 60]}"
        for at in range(0, len(text), 60)
    ),
    "blanks that do not break": lambda text: text.replace(" ", "\xa0"),
    "marks without width": lambda text: text.replace(" ", " \u200b"),
    "Go's escapes": lambda text: text.replace('"', "\\u0022").replace("&", "\\u0026"),
    "escaped newlines": lambda text: 'msg="one\\n' + text.replace('"', '\\"') + '\\nthree"',
}
ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 LE without its mark": lambda text: f"{text}\r\n".encode("utf-16-le"),
    "UTF-16 BE without its mark": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Windows-1252": lambda text: f"\xe4 {text}".encode("cp1252"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "bzip2": lambda text: bz2.compress(text.encode()),
    "xz": lambda text: lzma.compress(text.encode()),
}


@together("line", LINES)
@together("name", [*WRAPPERS, *ENCODINGS])
def test_a_wrapped_line_is_read(name: str, line: str) -> None:
    data = WRAPPERS[name](line).encode() if name in WRAPPERS else ENCODINGS[name](line)
    result = explain(io.BytesIO(data), name)
    assert (result.root_cause, result.hop, result.hop_told) == ("KD305", "listeners", True)


def test_a_packed_log_that_ends_early_is_read_as_far_as_it_goes() -> None:
    log = "".join(f"order {os.urandom(8).hex()}\n" for _ in range(20_000))
    data = gzip.compress(f"{LINES[0]}\n{log}".encode())
    result = explain(io.BytesIO(data[: len(data) // 2]), "x")
    assert result.root_cause == "KD305"
    assert result.notes == ["the gzip file is damaged or cut: what came before is read"]


@pytest.fixture
def no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.usefixtures("no_module")
def test_zstd_needs_a_module_or_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PackedLogError, match="nor the program zstd"):
        explain(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(20)), "x")


@pytest.mark.usefixtures("no_module")
@pytest.mark.skipif(not shutil.which("zstd"), reason="the program zstd is not here")
def test_zstd_unpacks_what_python_cannot() -> None:
    log = LINES[0].encode() + b"".join(b"\n" + os.urandom(60).hex().encode() for _ in range(5000))
    packed = subprocess.run(
        ["zstd", "-cq"], input=log, stdout=subprocess.PIPE, timeout=ENOUGH, check=True
    ).stdout
    result = explain(io.BytesIO(packed), "x")
    assert (result.root_cause, result.lines, result.notes) == ("KD305", 5001, [])
    result = explain(io.BytesIO(packed[: len(packed) // 2]), "x")
    assert result.root_cause == "KD305"
    assert result.notes == ["the zstd file is damaged or cut: what came before is read"]


def test_what_is_no_text_is_said_to_be_that() -> None:
    for data, what in (
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
        (bytes(range(32)) * 10, "binary data"),
    ):
        result = explain(io.BytesIO(data), "x")
        assert result.root_cause is None
        assert what in result.notes[0]


def test_a_line_that_was_cut_is_noted() -> None:
    result = explain(io.BytesIO(b"x" * (3 << 20) + b"\n" + LINES[0].encode()), "x")
    assert result.root_cause == "KD305"
    assert result.notes == [f"lines of more than {MAX_LINE_BYTES >> 10} kB were cut: 1"]


def test_several_files_are_explained_one_after_another(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(LINES[0])
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(b"%3|1|FAIL|p| [thrd:k:1/bootstrap]: k:1/bootstrap: "  # noqa: E501
        b"Connect to ipv4#198.51.100.7:1 failed: Connection refused (after 0ms in state CONNECT)"))  # fmt: skip  # noqa: E501
    done = kdiag("explain", "a.log", "b.log.gz", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (10, "")
    assert "KD305" in done.stdout
    assert "KD103" in done.stdout
    found = json.loads(kdiag("explain", "a.log", "b.log.gz", "-o", "json", cwd=tmp_path).stdout)
    assert (found["kind"], found["exit_code"]) == ("logs", 10)
    assert [log["root_cause"] for log in found["logs"]] == ["KD305", "KD103"]
    assert kdiag("explain", "a.log", "gone.log", cwd=tmp_path).returncode == 2


def test_a_line_as_words_or_without_blanks() -> None:
    done = kdiag("explain", "dial", "tcp", "10.0.1.11:9092:", "i/o", "timeout")
    assert (done.returncode, done.stderr) == (0, "")
    assert "KD104" in done.stdout
    done = kdiag("explain", "kafka.errors.NoBrokersAvailable:NoBrokersAvailable")
    assert (done.returncode, done.stderr) == (0, "")
    assert "UNEXPLAINED" in done.stdout


def test_a_closed_standard_input_is_no_failure_of_kdiag() -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m kdiag explain - <&-"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=ENOUGH,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input is closed" in done.stderr


def test_lines_after_one_in_parts_keep_their_numbers() -> None:
    part = "2026-01-01T00:00:00Z stderr"
    log = f"{part} P one \n{part} P two \n{part} F three\n{part} F {LINES[0]}\n"
    result = explain(io.BytesIO(log.encode()), "cri")
    assert result.cause is not None
    assert (result.cause.lines[0].line, result.lines) == (4, 4)
