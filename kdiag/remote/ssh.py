"""ssh://[user@]host[:port]: by the user's own OpenSSH client, whose configuration counts."""

from __future__ import annotations

import shlex

from kdiag.remote.payload import SHELL
from kdiag.remote.vantage import Vantage

PROGRAM = "ssh"
CANNOT = 255  # how ssh exits when it is ssh that failed
REMEDY = "Make this work first, without any question asked: ssh -oBatchMode=yes HOST true"

# It never asks: a password, a passphrase or an unknown host key is a failure that says so.
_OPTIONS = ("-T", "-oBatchMode=yes", "-oEscapeChar=none")


def command(where: Vantage, timeout: float) -> list[str]:
    """The command line that runs SHELL there. `timeout` is in seconds, for the connection."""
    port = ["-p", where["port"]] if where["port"] else []
    user = ["-l", where["user"]] if where["user"] else []
    patience = f"-oConnectTimeout={max(1, round(timeout))}"
    host = where["host"].strip("[]")
    return [PROGRAM, *_OPTIONS, patience, *port, *user, "--", host, f"sh -c {shlex.quote(SHELL)}"]
