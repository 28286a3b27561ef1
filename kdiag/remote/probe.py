"""The remote side: reads a request, runs the walk, and writes the facts. It judges nothing."""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import BinaryIO

from kdiag.config.options import Options
from kdiag.config.security import Security
from kdiag.config.settings import Endpoint, Settings
from kdiag.remote.serialization import SerializationError, deserialize, serialize
from kdiag.walk.facts.run import WalkFacts
from kdiag.walk.runner import MakeDialer, collect, nobody, plain_dialer

REFUSED = 87  # the input is no request
NO_REGION = 88  # the AWS region of the login is not known on that machine
NARROW = 23_900  # characters; Run Command cuts off what is beyond 24,000
MAX_LINE = 32  # bytes of a line that tells a length


@dataclass(frozen=True)
class ProbeRequest:
    """The settings of a remote walk: those that collecting facts needs, without the options that
    the table marks `here`. `mark` is written before the facts, after what a login prints."""

    mark: str
    bootstrap: tuple[Endpoint, ...]
    options: Options
    family: str
    security: Security
    of_role: Mapping[str, str] = field(default_factory=dict)
    canonical: str = ""

    @property
    def settings(self) -> Settings:
        """The settings of the remote walk."""
        names = [each.name for each in fields(self) if each.name != "mark"]
        return Settings(**{name: getattr(self, name) for name in names})


def probe_request(settings: Settings, mark: str) -> ProbeRequest:
    """The request for a remote walk with these settings."""
    names = [each.name for each in fields(ProbeRequest) if each.name != "mark"]
    return ProbeRequest(mark, **{name: getattr(settings, name) for name in names})


def main(make_net: MakeDialer = plain_dialer) -> int:
    """Reads a request (a line with its length before it) from standard input, runs the walk, and
    writes the mark, the length and the facts to standard output. Returns the exit code.

    Standard input stays open while the other side waits for the facts; when it is closed, the walk
    ends.
    """
    source = sys.stdin.buffer
    try:
        request = deserialize(ProbeRequest, source.read(int(source.readline(MAX_LINE))))
    except (SerializationError, ValueError) as error:
        sys.stderr.write(f"kdiag: no request: {error}\n")
        sys.stderr.flush()
        return REFUSED
    if _lacks_region(request):
        return NO_REGION
    if request.security.sasl:  # a server may count a login of a walk that is lost from here on
        sys.stdout.buffer.write(b"\n%s+\n" % request.mark.encode())
        sys.stdout.buffer.flush()
    facts = serialize(asyncio.run(_walked(request, make_net, source)))
    with suppress(OSError):
        sys.stdout.buffer.write(b"\n%s %d\n%s\n" % (request.mark.encode(), len(facts), facts))
        sys.stdout.buffer.flush()
    return 0


def narrow(data: bytes) -> int:
    """Runs a request where standard input is not open and only NARROW characters of output return:
    writes the facts compressed, or else how many characters they take."""
    request = deserialize(ProbeRequest, data)
    gathered = asyncio.run(collect(request.settings, plain_dialer, nobody)).walk
    facts = base64.b64encode(zlib.compress(serialize(gathered), 9)).decode("ascii")
    fits = len(facts) + len(request.mark) < NARROW
    sys.stdout.write(f"\n{request.mark} {facts if fits else f'takes {len(facts)}'}\n")
    sys.stdout.flush()
    return 0


def find_libraries() -> None:
    """Adds site-packages to the path, which Python with -IS leaves out: a login by AWS_MSK_IAM
    takes the keys that botocore finds."""
    import site  # 2 ms

    site.main()
    site.addsitedir(site.getusersitepackages())


def _lacks_region(request: ProbeRequest) -> bool:
    sasl = request.security.sasl
    if sasl is None or sasl.mechanism != "AWS_MSK_IAM":
        return False
    find_libraries()
    from kdiag.kafka.sasl.iam import without_region  # 12 ms: few logins need it

    return without_region(sasl, request.bootstrap[0].host)


async def _walked(request: ProbeRequest, make_net: MakeDialer, source: BinaryIO) -> WalkFacts:
    walking = asyncio.ensure_future(collect(request.settings, make_net, nobody))
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while source.read(4096):
            pass
        with suppress(RuntimeError):  # the walk is over, and its loop closed
            loop.call_soon_threadsafe(walking.cancel)

    threading.Thread(target=wait, daemon=True).start()
    return (await walking).walk
