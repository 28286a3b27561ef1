"""Many brokers over TLS in a process of their own: `python -m tests.crowd COUNT [sasl]` prints the
bootstrap server's port and the name of a file with the authority's certificate."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from kdiag.demo.broker import FakeBroker, FakeCluster, FakeNode
from kdiag.demo.certificates import Authority, server_context
from kdiag.demo.logins import Logins
from kdiag.network.sockets import raise_limit
from tests.running import ROOT

PASSWORD = "crowd-secret"


class Crowd(NamedTuple):
    """Where the first of them is, and who vouches for them."""

    port: int
    authority: str

    def properties(self, *, sasl: bool) -> list[str]:
        """The options of `kdiag check` for it."""
        given = {"ssl.ca.location": self.authority, "security.protocol": "SSL"}
        if sasl:
            given |= {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-256"}
            given |= {"sasl.username": "app", "sasl.password": PASSWORD}
        return [word for each in given.items() for word in ("-X", "=".join(each))]


@contextmanager
def crowd(count: int, *, sasl: bool = False) -> Iterator[Crowd]:
    """So many brokers, as long as this lasts."""
    command = [sys.executable, "-m", "tests.crowd", str(count), *(["sasl"] if sasl else [])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield Crowd(*json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


async def _serve(count: int, logins: Logins | None) -> None:
    """Serves until the process is ended. Each broker has a certificate of its own."""
    authority = Authority("crowd-ca")
    cluster = FakeCluster("crowdedCluster00000001")
    for node in range(1, count + 1):
        tls = server_context(authority.issue(f"broker-{node}", ["127.0.0.1"]))
        port = await FakeBroker(cluster, node, sasl=logins).start(tls=tls)
        cluster.nodes.append(FakeNode(node, "127.0.0.1", port))
    with TemporaryDirectory() as folder:
        file = Path(folder, "ca.pem")
        file.write_text(authority.pem)
        sys.stdout.write(f"{json.dumps([cluster.nodes[0].port, str(file)])}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    raise_limit()
    with_logins = Logins({"app": PASSWORD}) if "sasl" in sys.argv else None
    asyncio.run(_serve(int(sys.argv[1]), with_logins))
