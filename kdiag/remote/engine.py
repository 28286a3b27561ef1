"""An engine reaches the vantage points of one scheme and runs walks there.

To add a vantage point, add its forms to SCHEMES in kdiag/remote/vantage.py, and a module of the
scheme's name with its `ENGINE` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from kdiag.remote.process import run_walk
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.vantage import Vantage

SETTING_UP = 15.0  # seconds, beside the walk's own, for a connection and for a Python to start


class Engine:
    """Reaches the vantage points of one check, by default with a command that runs SHELL there.

    `program` is the command's name. `remedies` maps an exit code of the command itself to what the
    user can do. `longest` is the time for one walk, in seconds.
    """

    program = "the command"
    remedies: Mapping[int, str] = MappingProxyType({})

    def __init__(self, longest: float) -> None:
        self.longest = longest

    def command(self, vantage: Vantage) -> list[str]:
        """The command line that runs SHELL at a vantage point."""
        raise NotImplementedError

    async def points(self, vantage: Vantage, walk: RemoteWalk) -> list[Vantage]:
        """The single vantage points that one WHERE stands for. Raises NotReached."""
        return [vantage]

    async def answer(self, point: Vantage, walk: RemoteWalk) -> tuple[bytes, tuple[str, ...]]:
        """The reply of the walk from one point, and notes on how it was made. Raises CommandEnded,
        NotReached and SerializationError."""
        return await run_walk(self.command(point), walk, self.longest), ()

    async def end(self) -> None:
        """Stops what still runs."""


def load(scheme: str, longest: float) -> Engine:
    """The engine of a scheme; loads only that one (ssm:// loads boto3)."""
    made: Engine = import_module(f"kdiag.remote.{scheme}").ENGINE(longest)
    return made
