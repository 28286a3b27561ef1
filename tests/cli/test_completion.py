"""Completion, in real shells: somebody types, and presses the tabulator."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import needs
from tests.running import ENOUGH, environment, kdiag

TAB, START_OF_LINE = "\t", "\x01"

# Each line that is completed starts a Python, on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
SET_UP = {
    "bash": 'bind "set enable-bracketed-paste off"; eval "$(kdiag completion bash)"',
    "zsh": 'autoload -U compinit; compinit -D; bindkey -e; eval "$(kdiag completion zsh)"',
}

TYPED = {
    "kdiag chec": "kdiag check",
    "kdiag check @pr": "kdiag check @prod",
    "kdiag check @prod @stag": "kdiag check @prod @staging",
    "kdiag check --ign": "kdiag check --ignore",
    "kdiag check --ignore KD70": "kdiag check --ignore KD701",
    "kdiag check --expect bro": "kdiag check --expect brokers",
    "kdiag check -o ju": "kdiag check -o junit",
    "kdiag explain kd70": "kdiag explain KD701",
    "kdiag explain certificate-n": "kdiag explain certificate-name",
    "kdiag demo wrong-b": "kdiag demo wrong-broker",
    "kdiag completion fi": "kdiag completion fish",
    "kdiag check -F client.prop": "kdiag check -F client.properties",
    "kdiag lint compo": "kdiag lint compose.yaml",
    "kdiag show saved.j": "kdiag show saved.json",
}


def typed(shell: str) -> list[tuple[str, str]]:
    """What is typed in a shell, and what it becomes. What kdiag offers does not depend on the
    shell: bash is tried with all, the others with each kind of what shells do with it."""
    rows = list(TYPED.items())
    return rows if shell == "bash" else [rows[0], rows[1], rows[3], *rows[-3:]]


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, master: int) -> None:
        self._master, self._heard = master, ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Reads until this comes; what came before is forgotten."""
        give_up = time.monotonic() + ENOUGH
        while not (found := re.search(pattern, self._heard)):
            assert time.monotonic() < give_up, self._heard
            if select.select([self._master], [], [], 1.0)[0]:
                self._heard += os.read(self._master, 65536).decode("utf-8", "replace")
        self._heard = self._heard[found.end() :]
        return found


def commands(folder: Path) -> dict[str, str]:
    """An environment in which kdiag is a command, and has two targets in this folder."""
    script = folder / "bin" / "kdiag"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m kdiag "$@"\n')
    script.chmod(0o755)
    (folder / "kdiag.toml").write_text(
        '[targets.prod]\nbootstrap = "a"\n[targets.staging]\nbootstrap = "b"\n'
    )
    for name in ("client.properties", "compose.yaml", "saved.json"):
        (folder / name).touch()
    return {"PATH": f"{script.parent}:{os.environ['PATH']}", "HOME": str(folder)}


@contextmanager
def shell(name: str, folder: Path) -> Iterator[Terminal]:
    """A shell in which kdiag completes, and that ends with the test."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        SHELLS[name],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env=environment(**commands(folder), TERM="dumb", COLUMNS="200", PS1=""),
        start_new_session=True,
    )
    os.close(slave)
    try:
        terminal = Terminal(master)
        terminal.type(f"{SET_UP[name]}; echo rea''dy\n")
        terminal.until("ready")
        yield terminal
    finally:
        process.kill()
        process.wait(ENOUGH)
        os.close(master)


@pytest.mark.parametrize("name", SHELLS)
def test_what_is_begun_is_completed(name: str, tmp_path: Path) -> None:
    """The line is completed, and then printed by the shell itself instead of being run."""
    needs.require(name)
    with shell(name, tmp_path) as terminal:
        for number, (begun, whole) in enumerate(typed(name)):
            terminal.type(f"{begun}{TAB} end{number}{START_OF_LINE}echo \n")
            said = terminal.until(rf"(?m)^(kdiag [^\r\n\b]*?) +end{number}\s*$").group(1)
            assert said.split() == whole.split(), begun


def test_what_is_begun_is_completed_in_fish(tmp_path: Path) -> None:
    """fish tells what it would offer, a line for each with a description behind it."""
    needs.require("fish")
    asked = "\n".join(f"complete -C '{begun}'; echo end" for begun, _ in typed("fish"))
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"kdiag completion fish | source\n{asked}"],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=environment(**commands(tmp_path)),
        timeout=ENOUGH,
    )
    assert done.stderr == ""
    offered = [said.partition("\t")[0].strip() for said in done.stdout.split("end\n")[:-1]]
    assert offered == [whole.split()[-1] for _, whole in typed("fish")]


def test_each_script_is_that_of_its_shell() -> None:
    for name in (*SHELLS, "fish"):
        done = kdiag("completion", name)
        assert done.returncode == 0, done.stderr
        assert f"_KDIAG_COMPLETE={name}_complete" in done.stdout
    assert kdiag("completion", "tcsh").returncode == 2


def test_a_broken_file_of_targets_completes_nothing(tmp_path: Path) -> None:
    (tmp_path / "kdiag.toml").write_text("[targets")
    done = kdiag(
        cwd=tmp_path, _KDIAG_COMPLETE="bash_complete", COMP_WORDS="kdiag\ncheck\n@", COMP_CWORD="2"
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
