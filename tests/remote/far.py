"""The far side of a demo's world: the probe as it travels, in another process, on any Python.

What the world plays in its own process, addresses behind a NAT, names and narrow paths, is told to
the other one.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdiag.demo.world import CLIENT, World
from kdiag.remote.payload import OLDEST, archive

# What a process of the far side plays, as its first argument says.
_PLAYED = """
import json, os, socket, sys
sys.path.insert(0, sys.argv[1])
from kdiag.kafka.dialer import KafkaDialer
from kdiag.network.sockets import Counted
from kdiag.network.tcp_info import lossy
from kdiag.remote.probe import main

def play(told):
    nat = {(address, port): to for address, port, to in told["nat"]}

    def lookup(host, *_):
        found = told["names"].get(host, socket.EAI_NONAME)
        if isinstance(found, int):
            raise socket.gaierror(found, told["words"][str(found)])
        return [(0, 0, 0, "", (address, 0)) for address in found]

    class Narrowed(Counted):
        lost = False

        def send(self, data, flags=0):
            if len(data) < told["fits"]:
                return super().send(data, flags)
            self.lost = True
            return len(data)

        def getsockopt(self, level, name, *size):
            found = super().getsockopt(level, name, *size)
            asked = self.lost and size and (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO)
            return lossy(found, segments=7, again=3) if asked else found

    class Played(KafkaDialer):
        outside = False

        def __init__(self, asked):
            tls, family = asked.security.tls, asked.family
            super().__init__(
                asked.options.timeout, family=family, lookup=lookup, device="lo", tls=tls
            )

        async def connect(self, address, port, **how):
            if (address, port) not in nat:
                return await super().connect(address, port, **how)
            line = await super().connect("127.0.0.1", nat[address, port], **how)
            if line.sock and address in told["narrow"]:
                line.sock.__class__ = Narrowed
            return line._replace(address=address, port=port, source=line.source and told["client"])

    source = sys.stdin.buffer
    source.readline()  # what makes a Python load the archive, which is here already
    source.read(int(source.readline()))
    os._exit(main(Played))
"""
_ONE = f"{_PLAYED}\nplay(json.loads(sys.argv[2]))"
# Has the whole probe loaded, and forks a process for each that asks, with its streams.
_MANY = f"""{_PLAYED}
import importlib, signal
from pathlib import Path
for path in Path(sys.argv[1], "kdiag").rglob("*.py"):
    name = ".".join(path.relative_to(sys.argv[1]).with_suffix("").parts)
    importlib.import_module(name.removesuffix(".__init__"))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(sys.argv[2])
server.listen(16)
print("ready", flush=True)
while True:
    wire, _ = server.accept()
    if os.fork():
        wire.close()
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, streams, _, _ = socket.recv_fds(wire, 1 << 18, 3)
    pid = os.fork()
    for wanted, stream in enumerate(streams):
        pid or os.dup2(stream, wanted)
        os.close(stream)
    if not pid:
        server.close()
        wire.close()
        play(json.loads(told))
    wire.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
    os._exit(0)
"""
_ASKS = """
import os, socket, sys
wire = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
wire.connect(sys.argv[1])
socket.send_fds(wire, [sys.argv[2].encode()], [0, 1, 2])
for stream in 0, 1, 2:
    os.close(stream)
os._exit(int(wire.recv(16)))
"""


def pythons() -> list[str]:
    """The Pythons that are here, from the oldest that will do; this one is always among them."""
    older = [f"3.{minor}" for minor in range(OLDEST[1], sys.version_info.minor)]
    managed = Path("~/.pyenv/versions").expanduser()
    found = [
        *(str(home / "bin" / "python") for v in older for home in managed.glob(f"{v}.*")),
        *(path for v in older if (path := shutil.which(f"python{v}")) and "shims" not in path),
    ]
    return [*found[:1], sys.executable]


def unpacked(folder: Path) -> Path:
    """A folder with the files of the archive. Of an archive Python keeps nothing compiled: each
    process would compile all of it, for 0.3 s."""
    with zipfile.ZipFile(io.BytesIO(archive())) as files:
        files.extractall(folder)
    return folder


@contextmanager
def served(probe: Path, folder: Path) -> Iterator[Path]:
    """A process that has loaded the probe from where it is unpacked, and from which others are
    forked: 30 ms rather than 270. Yields where it is asked for one."""
    from tests.lab.processes import end, spawn

    place = folder / "socket"
    command = [sys.executable, "-IS", "-c", _MANY, str(probe), str(place)]
    process = spawn(command, subprocess.PIPE, subprocess.PIPE)
    try:
        assert process.stdout and process.stderr
        if not process.stdout.readline():
            raise AssertionError(process.stderr.read().decode())
        yield place
    finally:
        end(process)


def command(
    world: World, folder: Path, python: str = sys.executable, server: Path | None = None
) -> list[str]:
    """The command that runs the probe in this world: as an archive in this folder, or forked."""
    packed = folder / "probe.pyz"
    if not packed.exists():  # others may be reading it
        packed.write_bytes(archive())
    from kdiag.demo.world import _RESOLVER_MESSAGES, SMALL_PACKET

    told = {
        "nat": [[address, port, to] for (address, port), to in world.nat.items()],
        "names": world.names,
        "words": _RESOLVER_MESSAGES,
        "client": CLIENT,
        "narrow": sorted(world.narrow),
        "fits": SMALL_PACKET,
    }
    code, place = (_ASKS, server) if server else (_ONE, packed)
    return [python, "-IS", "-c", code, str(place), json.dumps(told)]
