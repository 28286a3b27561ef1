"""What kdiag reads of a file, whatever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdiag.text import decoded
from tests.running import kdiag

WRITTEN = "bootstrap.servers=broker.example.com:9092\r\nsasl.password=größe\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_encodings_that_editors_and_powershell_write(encoding: str) -> None:
    assert decoded(WRITTEN.encode(encoding)) == WRITTEN


def test_latin_1_is_what_java_writes() -> None:
    assert decoded(WRITTEN.encode("latin-1")) == WRITTEN


@pytest.mark.parametrize("data", [b"\0\0\0\0", b"a=\0\xff\xfe", b"\xff\xfea"])
def test_bytes_that_are_no_text(data: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(data)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_every_command_reads_what_powershell_wrote(tmp_path: Path, encoding: str) -> None:
    report, client = tmp_path / "report.json", tmp_path / "client.properties"
    client.write_bytes("bootstrap.servers=127.0.0.1:1\nsocket.nagle=1\n".encode(encoding))
    checked = kdiag("check", "127.0.0.1:1", "-F", str(client), "-o", "json")
    assert checked.returncode == 10, checked.stderr
    assert "socket.nagle" in checked.stdout  # a property of the file that is not used, by its name
    report.write_bytes(checked.stdout.encode(encoding))
    for command in ("show", "diff"):
        done = kdiag(command, str(report), *([str(report)] if command == "diff" else []))
        assert "KD103" in done.stdout, done.stderr
    targets = tmp_path / "kdiag.toml"
    targets.write_bytes('[targets.here]\nbootstrap = "127.0.0.1:1"\n'.encode(encoding))
    assert kdiag("check", "@here", cwd=tmp_path).returncode == 10


def test_a_properties_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    client = tmp_path / "client.properties"
    client.write_bytes(b"security.protocol=SSL\0\xff\n")
    done = kdiag("check", "127.0.0.1:1", "-F", str(client))
    assert (done.returncode, done.stdout) == (2, "")
    assert "its bytes are no text" in done.stderr
