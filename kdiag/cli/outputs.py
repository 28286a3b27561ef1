"""Writes a report to standard output and files; each is opened before kdiag dials."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from kdiag.config.usage import UsageError, near
from kdiag.report.render import RENDERERS

if TYPE_CHECKING:
    from pathlib import Path


_PART = ".kdiag-part"  # ends the name of a file that is being written
_FRESH = 60.0  # seconds in which a part may not be held yet


class Destination:
    """Standard output, in a format of RENDERERS."""

    def __init__(self, form: str) -> None:
        self.form, self.name, self.stream = form, "standard output", sys.stdout

    def keep(self) -> None:
        """Completes the output, after the whole report is written."""
        self.stream.flush()


class File(Destination):
    """A file that takes its name only when its content is whole: until then it is a part beside it.

    An existing file keeps its owner and its mode. A device or a pipe is written to directly. Raises
    OSError.
    """

    def __init__(self, form: str, name: str) -> None:
        self.form, self.name = form, name
        import tempfile  # 5.3 ms: for files alone, as what it needs
        from pathlib import Path

        self._part: Path | None = None
        self._in_place = False
        path = Path(name)
        _no_planted_link(path)
        if path.exists() and not path.is_file():
            self.stream = _device(path)
            return
        self._target = path.resolve()
        _remove_stale(self._target)
        handle, part = tempfile.mkstemp(
            prefix=f".{self._target.name}.", suffix=_PART, dir=self._target.parent
        )
        self._part = Path(part)
        # The same bytes on every system.
        self.stream = os.fdopen(handle, "w", encoding="utf-8", newline="\n")
        try:
            _lock(handle)
            self._like_the_old_one(handle)
        except OSError:
            self.drop()
            raise

    def _like_the_old_one(self, handle: int) -> None:
        """Gives the part the mode and the owner of the file that it replaces. Where kdiag cannot
        set the owner, `keep` copies the content into the old file instead."""
        if os.name != "posix":  # the folder's rights are inherited
            if self._target.exists():
                with self._target.open("a"):  # raises where it must not be written to
                    return
            return
        if not self._target.exists():
            os.fchmod(handle, 0o666 & ~_umask())
            return
        with self._target.open("a"):  # raises where it must not be written to
            old = self._target.stat()
        new = os.fstat(handle)
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            try:
                os.fchown(handle, old.st_uid, old.st_gid)
            except PermissionError:
                self._in_place = True
                return
        os.fchmod(handle, stat.S_IMODE(old.st_mode))

    def keep(self) -> None:
        self.stream.close()
        if not self._part:
            return
        if self._in_place:
            from shutil import copyfileobj  # 3.5 ms

            with self._part.open("rb") as whole, self._target.open("r+b") as old:
                old.truncate()
                copyfileobj(whole, old)
            self._part.unlink()
        else:
            self._part.replace(self._target)
        self._part = None

    def drop(self) -> None:
        """Removes the part, unless it was kept."""
        with suppress(OSError):  # the disk is full; the content is not kept anyway
            self.stream.close()
        if self._part:
            self._part.unlink(missing_ok=True)


def _no_planted_link(path: Path) -> None:
    """Raises OSError for a link in a folder where somebody else may have put it."""
    if os.name != "posix" or not path.is_symlink():  # Windows lets administrators alone make links
        return
    folder = path.parent.stat()
    shared = folder.st_mode & stat.S_IWGRP and folder.st_gid != os.getgid()
    if shared or folder.st_mode & stat.S_IWOTH:
        raise OSError(errno.ELOOP, "it is a symbolic link, in a folder that others can write to")


def _device(path: Path) -> TextIO:
    """A device or a pipe, open to be written to. Raises OSError for a pipe that nobody reads."""
    try:
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "nobody reads from this pipe") from None
        raise
    os.set_blocking(handle, True)
    return os.fdopen(handle, "w", encoding="utf-8")


def _remove_stale(target: Path) -> None:
    """Removes the unlocked parts of this file that killed runs have left."""
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if entry.name.startswith(f".{target.name}.") and entry.name.endswith(_PART):
                with suppress(OSError):
                    _remove_unheld(entry.path)


def _remove_unheld(part: str) -> None:
    handle = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if time.time() - os.fstat(handle).st_mtime > _FRESH:
            _lock(handle)
            os.unlink(part)  # noqa: PTH108
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Locks a file while it is open. Raises OSError where another process has locked it."""
    try:
        import fcntl  # 0.3 ms
    except ImportError:
        return  # Windows removes no file that is open
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def destinations(
    outputs: Sequence[str], known: Collection[str] = RENDERERS, default: str = "terminal"
) -> Iterator[list[Destination]]:
    """Opens the destinations of `-o`, FORMAT or FORMAT=FILE; without a FORMAT for standard output,
    it gets the default one. Raises UsageError."""
    wanted: list[tuple[str, str]] = []
    for output in outputs:
        form, separator, path = output.partition("=")
        form = "terminal" if form.lower() == "text" else form.lower()  # as it was called in lint
        if form not in known or (separator and not path):
            raise UsageError(
                f"-o {output!r}: write FORMAT or FORMAT=FILE; FORMAT is one of {', '.join(known)}"
                f"{near(form, known)}"
            )
        wanted.append((form, path))
    if not _apart([path for _, path in wanted if path]):
        raise UsageError(f"-o {' -o '.join(outputs)}: give each of them a file of its own")
    on_stdout = [form for form, path in wanted if not path]
    if len(on_stdout) > 1:
        raise UsageError(
            f"-o {' -o '.join(on_stdout)}: one report fits on standard output; give the other a "
            "file, FORMAT=FILE"
        )
    if not on_stdout:
        wanted.append((default, ""))
    with ExitStack() as stack:
        opened: list[Destination] = []
        for form, path in wanted:
            if not path:
                opened.append(Destination(form))
                continue
            file = _open(form, path)
            stack.callback(file.drop)
            opened.append(file)
        yield opened


def _apart(names: Sequence[str]) -> bool:
    """Whether no two names are of one regular file."""
    if len(names) < 2:
        return True
    from pathlib import Path  # 7.1 ms

    files = [Path(name).resolve() for name in names]
    regular = [file for file in files if file.is_file() or not file.exists()]
    return len(set(regular)) == len(regular)


@contextmanager
def file(form: str, name: str | None) -> Iterator[list[Destination]]:
    """A file besides those of `-o`, as a list; empty without a name. Raises UsageError."""
    if name is None:
        yield []
        return
    opened = _open(form, name)
    try:
        yield [opened]
    finally:
        opened.drop()


def _open(form: str, name: str) -> File:
    try:
        return File(form, name)
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}") from None


def deliver(write: Callable[[str, TextIO], None], opened: Sequence[Destination]) -> None:
    """Calls `write` with the format and the stream of each destination; a failure of one does not
    stop the others.

    KeyboardInterrupt is raised after the last one, or with the second Ctrl-C. Raises UsageError for
    a destination that kdiag cannot write to, and the first other exception of `write`.
    """
    failed: list[str] = []
    raised: list[Exception] = []
    with _held():
        for destination in opened:
            beside = None  # a file that the form writes beside its stream
            try:
                try:
                    write(destination.form, destination.stream)
                except OSError as error:
                    beside = error.filename
                    raise
                destination.keep()
            except BrokenPipeError:
                if destination.stream is sys.stdout:
                    forget_stdout()
            except OSError as error:
                failed.append(f"cannot write {beside or destination.name}: {error.strerror}")
            except Exception as error:
                raised.append(error)
    if raised:
        raise raised[0]
    if failed:
        raise UsageError("; ".join(failed))


def forget_stdout() -> None:
    """Sends further output to the null device, because the reader of standard output has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _held() -> Iterator[None]:
    """Delays the first Ctrl-C until the end."""
    import signal  # it makes enums, 1 ms: by now asyncio has loaded it

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    held: list[int] = []

    def hold(number: int, _: object) -> None:
        held.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
