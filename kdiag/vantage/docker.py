"""docker://container: by docker exec, in a container that runs and has Python."""

from __future__ import annotations

from kdiag.vantage.archive import SHELL
from kdiag.vantage.where import Where

PROGRAM = "docker"


def command(where: Where) -> list[str]:
    """The command line that runs SHELL there."""
    return [PROGRAM, "exec", "--interactive", where["container"], "sh", "-c", SHELL]
