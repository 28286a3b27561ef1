"""What the lab needs from the machine, and what becomes of a test where it is missing."""

from __future__ import annotations

import os
import shutil
import sys
from typing import NoReturn

import pytest

# Command → the Debian package that has it.
DEBIAN = {
    "java": "default-jre-headless",
    "mvn": "maven",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "keytool": "default-jre-headless",
    "openssl": "openssl",
    "nginx": "nginx-light",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "redis-server": "redis-server",
    "pg_createcluster": "postgresql",
    "chromium": "chromium",
}
KAFKA = ("java", "mvn")
LAB = (*KAFKA, "ip", "nft", "nsenter")
POSTGRESQL = "pg_createcluster"  # its server is not on the path


def require(*commands: str, root: bool = False) -> None:
    """Goes on only where these commands are, and this process is root if it has to be."""
    missing = [command for command in commands if not shutil.which(command)]
    if missing:
        packages = " ".join(DEBIAN[command] for command in missing)
        lacking(f"no {', '.join(missing)} on this machine (Debian: apt-get install {packages})")
    if root and os.geteuid() != 0:
        lacking("network namespaces need root")


def require_loopback() -> None:
    """Goes on only where 127.0.0.0/8 is all of this machine."""
    if sys.platform != "linux":
        lacking("only Linux has all of 127.0.0.0/8 on loopback")


def lacking(reason: str) -> NoReturn:
    """Skips, or fails where the lab must run: with CI=true, or KDIAG_REQUIRE_LAB=1."""
    if os.environ.get("CI") == "true" or os.environ.get("KDIAG_REQUIRE_LAB") == "1":
        pytest.fail(f"the lab must run here: {reason}", pytrace=False)
    pytest.skip(reason)
