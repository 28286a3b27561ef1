"""Two network namespaces, and packets that take their time between them. Needs root and TUN."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

_DEVICES = "/dev/net/tun"
NEAR, FAR = "10.213.7.1", "10.213.7.2"
_TUNSETIFF, _TUN, _NO_INFO = 0x400454CA, 0x0001, 0x1000
_LARGEST = 65536


def lacks() -> str:
    """What is missing here to have a distance, "" for nothing."""
    if os.geteuid() != 0:
        return "root"
    if shutil.which("ip") is None:
        return "iproute2"
    return "" if Path(_DEVICES).exists() else _DEVICES


def inside(name: str) -> list[str]:
    """What a command begins with that is to run in one of the two namespaces."""
    return ["ip", "netns", "exec", name]


@contextmanager
def apart(seconds: float) -> Iterator[tuple[str, str]]:
    """The names of two namespaces, at NEAR and at FAR; a packet takes so many `seconds` between
    them. The running loop carries packets."""
    near, far = (f"kdiag{os.getpid()}{end}" for end in ("near", "far"))
    ends = []
    try:
        for name, address in ((near, NEAR), (far, FAR)):
            _ip("netns", "add", name)
            ends.append(_device(name[-15:]))
            _ip("link", "set", name[-15:], "netns", name)
            _ip("-n", name, "address", "add", f"{address}/24", "dev", name[-15:])
            _ip("-n", name, "link", "set", name[-15:], "up")
            _ip("-n", name, "link", "set", "lo", "up")
        loop = asyncio.get_running_loop()
        for source, sink in (ends, reversed(ends)):
            loop.add_reader(source, partial(_carry, loop, source, sink, seconds))
        yield near, far
    finally:
        for end in ends:
            asyncio.get_running_loop().remove_reader(end)
            os.close(end)
        for name in (near, far):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _device(name: str) -> int:
    """A TUN device, and what its packets are read from and written to."""
    handle = os.open(_DEVICES, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN | _NO_INFO))
    return handle


def _carry(loop: asyncio.AbstractEventLoop, source: int, sink: int, seconds: float) -> None:
    with suppress(BlockingIOError):
        while True:
            loop.call_later(seconds, _arrive, sink, os.read(source, _LARGEST))


def _arrive(sink: int, packet: bytes) -> None:
    with suppress(OSError):  # both ends may be gone by now
        os.write(sink, packet)
