"""A copy of kdiag to which a test adds something by hand: it counts the files that were edited.

docs/development.md says how many files each kind of thing takes; tests/test_additions.py and the
tests that use Tree hold it to that.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.running import ENOUGH, ROOT, environment


class Tree:
    """A copy of the package under `folder`. Raises AssertionError where an edit does not fit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # With what is compiled, but for what another worker writes just now.
        ignore = shutil.ignore_patterns("*.pyc.*")
        shutil.copytree(ROOT / "kdiag", folder / "kdiag", ignore=ignore)

    def add(self, path: str, text: str) -> None:
        """Writes a new file, or adds to the end of one that is there."""
        with (self._folder / path).open("a", encoding="utf-8") as file:
            file.write(text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces a text that stands in a file once."""
        file = self._folder / path
        text = file.read_text("utf-8")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        file.write_text(text.replace(old, new), "utf-8")

    @property
    def edited(self) -> list[str]:
        """The files that are not as in the original, and the new ones."""
        files = [
            file.relative_to(self._folder)
            for file in self._folder.glob("kdiag/**/*")
            if file.is_file() and "__pycache__" not in file.parts
        ]
        return sorted(
            path.as_posix()
            for path in files
            if not (ROOT / path).exists()
            or (ROOT / path).read_bytes() != (self._folder / path).read_bytes()
        )

    def kdiag(self, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        """Runs the copy's command, with `given` in its environment."""
        return self.python("-m", "kdiag", *arguments, **given)

    def python(self, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        """Runs Python with the copy in the place of kdiag."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env={**environment(**given), "PYTHONPATH": str(self._folder)},
            capture_output=True,
            text=True,
            timeout=ENOUGH,
        )
