"""What the lab needs from the machine, and what becomes of a test where it is missing."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import NoReturn

import pytest

_KERBEROS = {
    "krb5kdc": "krb5-kdc",
    "kadmin.local": "krb5-admin-server",
    "kinit": "krb5-user",
    "/usr/lib/*/sasl2/libgssapiv2.so": "libsasl2-modules-gssapi-mit",
    "/usr/include/librdkafka/rdkafka.h": "librdkafka-dev",
    f"{sysconfig.get_path('include')}/Python.h": "python3-dev",
    "gcc": "gcc",
    "pkg-config": "pkg-config",
}

# Command, or pattern of a file's path → the Debian package that has it.
DEBIAN = {
    "java": "default-jre-headless",
    "mvn": "maven",
    "go": "golang-go",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "keytool": "default-jre-headless",
    "openssl": "openssl",
    "nginx": "nginx-light",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "redis-server": "redis-server",
    "squid": "squid",
    "danted": "dante-server",
    "microsocks": "microsocks",
    "haproxy": "haproxy",
    "stunnel": "stunnel4",
    "pg_createcluster": "postgresql",
    "kubectl": "kubernetes-client",
    "chromium": "chromium",
    "groff": "groff-base",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "bash": "bash",
    "zsh": "zsh",
    "fish": "fish",
    "wine": "wine",
    "/usr/lib/wine/wine64": "wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    **_KERBEROS,
}
KAFKA = ("java", "mvn")
LAB = (*KAFKA, "ip", "nft", "nsenter")
KERBEROS = tuple(_KERBEROS)
POSTGRESQL = "pg_createcluster"  # its server is not on the path


def absent(*commands: str) -> list[str]:
    """Those of these commands and files that this machine has not."""
    return [
        command
        for command in commands
        if not shutil.which(command)
        and not (command.startswith("/") and any(Path("/").glob(command[1:])))
    ]


def require(*commands: str, root: bool = False) -> None:
    """Goes on only where these commands and files are, and this process is root if it has to be."""
    missing = absent(*commands)
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
