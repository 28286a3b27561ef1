"""Several reports at once: each whole or not there at all, whatever becomes of the others."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import pytest

from kdiag.delivery import deliver, destinations
from kdiag.render import RENDERERS
from kdiag.usage import UsageError
from tests.running import kdiag


def test_every_format_at_once(tmp_path: Path) -> None:
    files = {form: tmp_path / f"kdiag.{form}" for form in RENDERERS}
    outputs = [text for form, file in files.items() for text in ("-o", f"{form}={file}")]
    done = kdiag("demo", "refused", *outputs)
    assert (done.returncode, done.stderr) == (10, "")
    assert "root cause: KD103 refused" in done.stdout
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
