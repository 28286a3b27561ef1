"""ssh://[user@]host[:port]: by the user's own OpenSSH client, with the user's configuration."""

from __future__ import annotations

import shlex
from types import MappingProxyType

from kdiag.remote import engine
from kdiag.remote.payload import SHELL
from kdiag.remote.vantage import Vantage

# ssh never asks: a password, a passphrase or an unknown host key is a failure with a message.
_OPTIONS = ("-T", "-oBatchMode=yes", "-oEscapeChar=none")


class Ssh(engine.Engine):
    """Runs SHELL with ssh; 255 is the exit code of ssh's own failures."""

    program = "ssh"
    remedies = MappingProxyType(
        {255: "Make this command work first, without a prompt: ssh -oBatchMode=yes HOST true"}
    )

    def command(self, vantage: Vantage) -> list[str]:
        port = ["-p", vantage["port"]] if vantage["port"] else []
        user = ["-l", vantage["user"]] if vantage["user"] else []
        timeout = f"-oConnectTimeout={max(1, round(engine.SETTING_UP / 2))}"
        host = vantage["host"].strip("[]")
        return ["ssh", *_OPTIONS, timeout, *port, *user, "--", host, f"sh -c {shlex.quote(SHELL)}"]


ENGINE = Ssh
