"""A machine that is short of something, or odd: kdiag says so, with the right exit code."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import site
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import kdiag as package
from kdiag.config.reading import read
from tests.lab.needs import lacking
from tests.running import ENOUGH, ROOT, Brokers, command, environment, kdiag


def ran(*arguments: str, before: Callable[[], None] | None = None, **more: str):  # type: ignore[no-untyped-def]
    """kdiag with its streams, and what its process does to itself before it begins."""
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(**more), capture_output=True,
        encoding="utf-8", timeout=ENOUGH, preexec_fn=before,
    )  # fmt: skip


def test_a_number_without_end_in_the_file_of_targets(tmp_path: Path) -> None:
    (tmp_path / "kdiag.toml").write_text(f"[targets.prod]\ntimeout = {'9' * 5000}\n")
    done = kdiag("check", "@prod", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "kdiag: @prod: kdiag.toml is not TOML: a number in it is too long\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("lint", "pipe"),
        ("explain", "pipe"),
        ("show", "pipe"),
        ("diff", "pipe", "pipe"),
        ("check", "h:1", "-F", "pipe"),
        ("check", "h:1", "--config", "pipe"),
        ("check", "h:1", "-X", "ssl.ca.location=pipe"),
        ("lint", "--report", "pipe", "tests/lint/corpus/compose/port-differs.yaml"),
    ],
    ids=" ".join,
)
def test_a_pipe_that_nobody_writes(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    given = [each.replace("pipe", str(tmp_path / "pipe")) for each in arguments]
    code = "import kdiag.config.reading; kdiag.config.reading.PATIENCE = 0.2\n"
    code += "from kdiag.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=ROOT, env=environment(), capture_output=True,
        encoding="utf-8", timeout=ENOUGH,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(": nobody writes to this pipe\n")
    assert done.stderr.count("\n") == 1


def test_a_pipe_that_somebody_writes(tmp_path: Path) -> None:
    """As `-F <(command)` of a shell, in pieces."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            for _ in range(3):
                file.write(b"x" * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    assert read(str(pipe), 10_000) == b"x" * 3000
    writer.join(ENOUGH)


@pytest.mark.parametrize("name", ["a\0b", "folder", "/dev/null"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    done = kdiag("lint", name, cwd=tmp_path) if "\0" not in name else None
    if done:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_from_inside_a_running_loop() -> None:
    async def inside() -> None:
        with pytest.raises(package.UsageError, match=r"await kdiag\.check_async"):
            package.check("127.0.0.1:1")
        report = await package.check_async("127.0.0.1:1")
        assert report.root_cause == "KD103"

    asyncio.run(inside())


NO_THREAD = """
import threading
def start(self):
    raise RuntimeError("can't start new thread")
threading.Thread.start = start
from kdiag.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "arguments", [("localhost:1",), ("localhost:1", "--aws"), ("localhost:1", "-o", "json")]
)
def test_no_thread_to_be_had(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_THREAD, "check", *arguments], cwd=ROOT,
        env=environment(), capture_output=True, encoding="utf-8", timeout=ENOUGH,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    said = " ".join((done.stdout + done.stderr).split())
    assert "cannot start another thread on this machine: see ulimit -u" in said
    assert "Traceback" not in said


def limited(what: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (most, most))


def test_few_descriptors(brokers: Brokers) -> None:
    done = ran("check", brokers.three().bootstrap, before=limited(resource.RLIMIT_NOFILE, 24))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_file_that_may_not_grow(brokers: Brokers, tmp_path: Path) -> None:
    """As a full disk, and a file-size limit, whose signal ends nothing."""
    done = ran(
        *("check", brokers.three().bootstrap, "-o", f"json={tmp_path}/report.json"),
        before=limited(resource.RLIMIT_FSIZE, 100),
    )
    assert done.returncode == 2
    assert done.stderr == f"kdiag: cannot write {tmp_path}/report.json: File too large\n"
    assert "√ produce" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_little_memory_ends_with_a_sentence_or_well(brokers: Brokers) -> None:
    done = ran("check", brokers.three().bootstrap, before=limited(resource.RLIMIT_AS, 200 << 20))
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("home", [None, "", "/nowhere", "/dev/null", "relative"])
def test_no_home(brokers: Brokers, home: str | None) -> None:
    told = {name: value for name, value in environment().items() if name != "HOME"}
    if home is not None:
        told["HOME"] = home
    for arguments, code in ((("check", brokers.three().bootstrap), 0), (("check", "@prod"), 2)):
        done = subprocess.run(
            command(*arguments), cwd=ROOT, env=told, capture_output=True, encoding="utf-8",
            timeout=ENOUGH,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_a_folder_that_is_gone(brokers: Brokers, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", str(tmp_path / "gone"),
         *command("check", brokers.three().bootstrap)],
        env=environment(PYTHONPATH=str(ROOT)), capture_output=True, encoding="utf-8",
        timeout=ENOUGH,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# Folders that are closed to others, as /root is, give way to empty ones in which what Python needs
# is mounted again; the rest of the machine sees nothing of it.
OTHER_USER = """
set -e
mount --make-rprivate /
kept=$1; closed=$2; shift 2
mount -t tmpfs -o mode=755 none "$kept"
for folder in $NEEDED; do mkdir -p "$kept$folder"; mount --rbind "$folder" "$kept$folder"; done
for folder in $closed; do mount -t tmpfs -o mode=755 none "$folder"; done
for folder in $NEEDED; do mkdir -p "$folder"; mount --rbind "$kept$folder" "$folder"; done
exec setpriv --reuid=45678 --regid=45678 --clear-groups -- "$@"
"""


def as_another_user(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """kdiag as a user that no name is known of, with Python and the checkout open to it."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        lacking("another user takes root, unshare and setpriv")
    needed = [ROOT, Path(sys.base_prefix), *map(Path, site.getsitepackages()), Path(sys.prefix)]
    parents = {path for each in needed for path in each.resolve().parents}
    shut = {path for path in parents if not path.stat().st_mode & 1}
    first = [path for path in shut if not shut & set(path.parents)]
    given = environment(HOME="/nowhere", NEEDED=" ".join(str(each.resolve()) for each in needed))
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", OTHER_USER, "sh", str(folder),
         " ".join(map(str, first)), *command(*arguments)],
        cwd="/", env={**given, "PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8",
        timeout=ENOUGH,
    )  # fmt: skip


def test_another_user_that_no_name_is_known_of(brokers: Brokers, tmp_path: Path) -> None:
    """As in a container: no entry in passwd, nothing that may be written to."""
    kept, own = tmp_path / "kept", tmp_path / "own"
    kept.mkdir()
    own.mkdir(mode=0o700)
    done = as_another_user(kept, "check", brokers.three().bootstrap)
    assert (done.returncode, done.stderr) == (0, "")
    refused = as_another_user(kept, "check", "127.0.0.1:1", "-o", f"json={own}/x")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"kdiag: cannot write {own}/x: Permission denied")


READ_ONLY = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=1m none "$1"
cp "$2" "$1/compose.yaml"
mount -o remount,ro "$1"
cd "$1"
shift 2
exec "$@"
"""


def read_only(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """kdiag where the current folder, its home and that for temporary files cannot be written to,
    not by root either; it sees nothing else of the machine's mounts changed."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        lacking("a file system that is read only takes root, and unshare")
    mistaken = ROOT / "tests/lint/corpus/compose/port-differs.yaml"
    where = str(folder)
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", where, str(mistaken),
         *command(*arguments)],
        env=environment(HOME=where, TMPDIR=where, XDG_CACHE_HOME=where), capture_output=True,
        encoding="utf-8", timeout=ENOUGH,
    )  # fmt: skip


def test_a_read_only_file_system_is_enough_to_check_and_to_lint(
    brokers: Brokers, tmp_path: Path
) -> None:
    """As in a container with a read-only root: what writes no file works."""
    for form in ("terminal", "json", "html", "junit"):
        done = read_only(tmp_path, "check", brokers.three().bootstrap, "-o", form)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    fixed = read_only(tmp_path, "lint", "--diff", "compose.yaml")
    assert fixed.returncode == 0
    assert "PLAINTEXT://127.0.0.1:19092" in fixed.stdout
    assert fixed.stderr.endswith("1 fixed, no errors and 1 warning left\n")
    unwritten = read_only(tmp_path, "lint", "--fix", "compose.yaml")
    assert (unwritten.returncode, unwritten.stdout) == (2, "")
    assert unwritten.stderr == "kdiag: cannot write compose.yaml: Read-only file system\n"
    shown = read_only(tmp_path, "lint", "compose.yaml")
    assert shown.returncode == 60
    assert shown.stdout.startswith("compose.yaml:")


@pytest.mark.parametrize(
    ("option", "name"),
    [("-o", "json=report.json"), ("-o", "html=report.html"), ("--bundle", "ticket.zip")],
)
def test_a_file_on_a_read_only_file_system(
    brokers: Brokers, tmp_path: Path, option: str, name: str
) -> None:
    """It is said before anything is dialled."""
    cluster = brokers.three()
    done = read_only(tmp_path, "check", cluster.bootstrap, option, name)
    path = name.rpartition("=")[2]
    assert done.returncode == 2
    assert done.stderr == f"kdiag: cannot write {path}: Read-only file system\n"
    assert done.stdout == ""
    assert sum(broker.connections for broker in cluster.brokers.values()) == 0


CLOCK = """
import time
now, calls = time.time, 0
def jumping():
    global calls
    calls += 1
    return now() + (-1e9 if calls % 2 else 1e8)
time.time = jumping
from kdiag.__main__ import main
main()
"""


def test_a_wall_clock_that_jumps(brokers: Brokers) -> None:
    """Nothing is measured by it: not a step, not the deadline."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK, "check", brokers.three().bootstrap, "-o", "json"], cwd=ROOT,
        env=environment(), capture_output=True, encoding="utf-8", timeout=ENOUGH,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert 0 <= told["elapsed_ms"] < ENOUGH * 1000
    assert all(0 <= hop["elapsed_ms"] < ENOUGH * 1000 for hop in told["hops"])


def test_a_worker_of_xdist_can_check(brokers: Brokers, tmp_path: Path) -> None:
    """In a process without a terminal, whose standard input is somebody else's protocol."""
    (tmp_path / "test_it.py").write_text(
        "import kdiag\nimport pytest\n\n\n@pytest.mark.parametrize('n', range(4))\n"
        f"def test_it(n):\n    assert kdiag.check({brokers.three().bootstrap!r}).ok\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path, env={**environment(), "PYTHONPATH": str(ROOT)}, capture_output=True,
        encoding="utf-8", timeout=ENOUGH,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
