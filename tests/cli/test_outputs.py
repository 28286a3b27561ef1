"""Several reports at once: each whole or not there at all, whatever becomes of the others."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from kdiag.cli.outputs import deliver, destinations
from kdiag.config.usage import UsageError
from kdiag.report.render import RENDERERS
from tests.running import AS_ANYBODY, ROOT, kdiag


def test_every_format_at_once(tmp_path: Path) -> None:
    files = {form: tmp_path / f"kdiag.{form}" for form in RENDERERS}
    outputs = [text for form, file in files.items() for text in ("-o", f"{form}={file}")]
    done = kdiag("demo", "refused", *outputs)
    assert (done.returncode, done.stderr) == (10, "")
    assert "KD103 refused" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f.name for f in files.values()
    )
    for form, file in files.items():
        assert "KD103" in file.read_text("utf-8"), form


@pytest.mark.parametrize("second", ["report", "./report", "link"])
def test_a_file_takes_one_report(tmp_path: Path, second: str) -> None:
    (tmp_path / "link").symlink_to("report")
    done = kdiag("demo", "refused", "-o", "json=report", "-o", f"junit={second}", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(f"-o junit={second}: give each of them a file of its own\n")
    assert not (tmp_path / "report").exists()


def test_a_device_takes_any_number() -> None:
    assert (
        kdiag("demo", "refused", "-o", "json=/dev/null", "-o", "junit=/dev/null").returncode == 10
    )


def test_a_form_that_fails_takes_away_no_other(tmp_path: Path) -> None:
    """As a bug of ours would: the others are written, then it is told."""

    def write(form: str, stream: TextIO) -> None:
        stream.write("begun")
        if form == "html":
            raise ValueError("a bug")

    outputs = [f"{form}={tmp_path}/{form}" for form in ("junit", "html", "json")]
    with pytest.raises(ValueError, match="a bug"), destinations(outputs) as opened:
        deliver(write, opened)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["json", "junit"]


def test_the_file_that_could_not_be_written_is_named(tmp_path: Path) -> None:
    """What a form writes beside its stream, too, and never a file that is only ours."""
    (tmp_path / "folder").mkdir()

    def write(form: str, stream: TextIO) -> None:
        if form == "github":
            (tmp_path / "none" / "summary").open("a")
        if form == "json":  # its place is taken while it is written
            (tmp_path / "json").mkdir()

    outputs = [f"github={tmp_path}/github", f"json={tmp_path}/json"]
    with pytest.raises(UsageError) as told, destinations(outputs) as opened:
        deliver(write, opened)
    assert str(told.value) == (
        f"cannot write {tmp_path}/none/summary: No such file or directory; "
        f"cannot write {tmp_path}/json: Is a directory"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "json"]


def _writes(text: str) -> Callable[[str, TextIO], None]:
    def write(form: str, stream: TextIO) -> None:
        stream.write(text)

    return write


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_what_killed_runs_have_left_is_removed(tmp_path: Path) -> None:
    """Not what another run is writing, not what is new, and no other file."""
    old = [tmp_path / f".report.{number}.kdiag-part" for number in range(3)]
    kept = [
        tmp_path / ".other.1.kdiag-part",
        tmp_path / ".report.rc",
        tmp_path / ".report.new.kdiag-part",
    ]
    for path in (*old, *kept):
        path.write_text("half")
        os.utime(path, (1, 1))
    os.utime(kept[2])
    with old[2].open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with destinations([f"json={tmp_path}/report"]) as opened:
            deliver(_writes("whole"), opened)
    assert parts(tmp_path) == sorted(path.name for path in (*kept, old[2]))
    assert (tmp_path / "report").read_text() == "whole"


def test_a_part_is_held_while_it_is_written(tmp_path: Path) -> None:
    with destinations([f"json={tmp_path}/report"]):
        (name,) = parts(tmp_path)
        os.utime(tmp_path / name, (1, 1))
        with destinations([f"json={tmp_path}/report"]):
            assert name in parts(tmp_path)
    assert parts(tmp_path) == []


@pytest.mark.parametrize(("mode", "followed"), [(0o755, True), (0o1777, False), (0o777, False)])
def test_a_link_is_followed_where_nobody_else_can_have_put_it(
    tmp_path: Path, mode: int, followed: bool
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "shared" / "report").symlink_to(tmp_path / "precious")
    for option in ("-ojson=shared/report", "--bundle=shared/report"):
        done = kdiag("check", "127.0.0.1:1", option, cwd=tmp_path)
        assert (done.returncode == 10) is followed, done.stderr
        assert ("it is a symbolic link, in a folder that others can" in done.stderr) is not followed
        assert ((tmp_path / "precious").read_bytes() == b"mine") is not followed
        assert parts(tmp_path / "shared") == parts(tmp_path) == []


def test_a_file_keeps_its_mode_and_its_owner(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.write_text("old")
    report.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(report, 12345, 23456)
    before = report.stat()
    with destinations([f"json={report}"]) as opened:
        deliver(_writes("new"), opened)
    after = report.stat()
    assert report.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_of_somebody_else_keeps_its_owner_too(tmp_path: Path) -> None:
    """Who may write to it and not give it away writes into it."""
    report = tmp_path / "report"
    report.write_text("old and longer")
    report.chmod(0o666)
    os.chown(report, 12345, 12345)
    code = (
        "from kdiag.cli.outputs import *\n"
        f"with destinations(['json={report}']) as o: deliver(lambda f, s: s.write('new'), o)"
    )
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (report.read_text(), report.stat().st_uid) == ("new", 12345)
    assert parts(tmp_path) == []


def test_a_pipe_that_nobody_reads_is_said_to_be_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = kdiag("demo", "refused", "-o", "json=pipe", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kdiag: cannot write pipe: nobody reads from this pipe\n"
