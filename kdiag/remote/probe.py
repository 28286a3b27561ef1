"""The far side: settings come in, the walk is walked there, and facts go out. It judges nothing."""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import BinaryIO

from kdiag.config.options import Options
from kdiag.config.security import Security
from kdiag.config.settings import Endpoint, Settings
from kdiag.remote.serialization import SerializationError, deserialize, serialize
from kdiag.walk.facts.run import WalkFacts
from kdiag.walk.runner import MakeDialer, collect, nobody, plain_dialer

REFUSED = 87  # what came in is no errand
NO_REGION = 88  # nothing over there says which AWS region a login is to be signed for
NARROW = 23_900  # characters; Run Command cuts off what is beyond 24,000
MAX_LINE = 32  # bytes of a line that tells a length


@dataclass(frozen=True)
class ProbeRequest:
    """What the remote walk has to know, and no more: of `Settings`, what gathering needs; of the
    options, those that the table does not keep here. `mark` is written in front of the facts, so
    that they are told from what a login prints."""

    mark: str
    bootstrap: tuple[Endpoint, ...]
    options: Options
    family: str
    security: Security

    @property
    def settings(self) -> Settings:
        """The settings of the walk there."""
        names = [field.name for field in fields(self) if field.name != "mark"]
        return Settings(**{name: getattr(self, name) for name in names})


def probe_request(asked: Settings, mark: str) -> ProbeRequest:
    """What a walk elsewhere needs of these settings."""
    names = [field.name for field in fields(ProbeRequest) if field.name != "mark"]
    return ProbeRequest(mark, **{name: getattr(asked, name) for name in names})


def main(make_net: MakeDialer = plain_dialer) -> int:
    """Reads an errand (a line with its length before it) from standard input, runs it, and writes
    the mark, the length and the facts to standard output. Gives the exit code.

    Standard input stays open for as long as somebody waits for the answer: when it ends before,
    so does the walk, and none goes on that nobody asks for.
    """
    source = sys.stdin.buffer
    try:
        asked = deserialize(ProbeRequest, source.read(int(source.readline(MAX_LINE))))
    except (SerializationError, ValueError) as error:
        sys.stderr.write(f"kdiag: no errand: {error}\n")
        sys.stderr.flush()
        return REFUSED
    if _lacks_region(asked):
        return NO_REGION
    if asked.security.sasl:  # a server may count a login of a walk that is lost from here on
        sys.stdout.buffer.write(b"\n%s+\n" % asked.mark.encode())
        sys.stdout.buffer.flush()
    facts = serialize(asyncio.run(_walked(asked, make_net, source)))
    with suppress(OSError):
        sys.stdout.buffer.write(b"\n%s %d\n%s\n" % (asked.mark.encode(), len(facts), facts))
        sys.stdout.buffer.flush()
    return 0


def narrow(told: bytes) -> int:
    """Runs an errand where nothing can be read meanwhile, and only NARROW characters get back: the
    facts go to standard output compressed, or else how many characters they would take."""
    asked = deserialize(ProbeRequest, told)
    gathered = asyncio.run(collect(asked.settings, plain_dialer, nobody)).walk
    facts = base64.b64encode(zlib.compress(serialize(gathered), 9)).decode("ascii")
    fits = len(facts) + len(asked.mark) < NARROW
    sys.stdout.write(f"\n{asked.mark} {facts if fits else f'takes {len(facts)}'}\n")
    sys.stdout.flush()
    return 0


def find_libraries() -> None:
    """Has this Python find what is installed for it: it was started without (-IS), and a login by
    AWS_MSK_IAM takes the keys that botocore finds."""
    import site

    site.main()
    site.addsitedir(site.getusersitepackages())


def _lacks_region(asked: ProbeRequest) -> bool:
    sasl = asked.security.sasl
    if sasl is None or sasl.mechanism != "AWS_MSK_IAM":
        return False
    find_libraries()
    from kdiag.kafka.sasl.iam import without_region  # what few logins need

    return without_region(sasl, asked.bootstrap[0].host)


async def _walked(asked: ProbeRequest, make_net: MakeDialer, source: BinaryIO) -> WalkFacts:
    walking = asyncio.ensure_future(collect(asked.settings, make_net, nobody))
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while source.read(4096):
            pass
        with suppress(RuntimeError):  # the walk is over, and its loop closed
            loop.call_soon_threadsafe(walking.cancel)

    threading.Thread(target=wait, daemon=True).start()
    return (await walking).walk
