"""docker://container: by docker exec, in a container that runs and has Python."""

from __future__ import annotations

from kdiag.remote.payload import SHELL
from kdiag.remote.vantage import Vantage

PROGRAM = "docker"


def command(where: Vantage) -> list[str]:
    """The command line that runs SHELL there."""
    return [PROGRAM, "exec", "--interactive", where["container"], "sh", "-c", SHELL]
