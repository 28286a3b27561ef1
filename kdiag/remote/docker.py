"""docker://container: by docker exec, in a container that runs and has Python."""

from __future__ import annotations

from kdiag.remote.engine import Engine
from kdiag.remote.payload import SHELL
from kdiag.remote.vantage import Vantage


class Docker(Engine):
    """Runs SHELL with docker exec."""

    program = "docker"

    def command(self, vantage: Vantage) -> list[str]:
        return ["docker", "exec", "--interactive", vantage["container"], "sh", "-c", SHELL]


ENGINE = Docker
