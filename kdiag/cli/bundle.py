"""Writes a zip for a ticket: reports, settings without secrets, and facts of this machine.

Only the settings that `_settings` names are written.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import socket
import ssl
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from kdiag import __version__
from kdiag.config.settings import Settings
from kdiag.network.attempt import clean
from kdiag.network.dns import HOSTS_FILE
from kdiag.report.model import Report
from kdiag.report.render import render
from kdiag.report.several import Reports

REPORTS = {"report.json": "json", "report.html": "html", "report.txt": "terminal"}

_LIBRARIES = ("boto3", "click", "confluent-kafka", "cryptography", "dnspython", "msgspec", "rich")
_MOST = 1 << 16  # bytes of a file, or of the output of a command
_TIMEOUT = 5.0  # seconds for a command
_ROUTES = {"win32": ("route", "print"), "darwin": ("netstat", "-rn")}
_RESOLVER = {"win32": ("ipconfig", "/all"), "darwin": ("scutil", "--dns")}
_LOOPBACK = re.compile(r"^\s*(?:127\.|::1\b|#|$)")

ABOUT = """\
What kdiag check found, for a ticket. Made by kdiag {version}.

report.json    the report, for kdiag show and kdiag diff
report.html    the same as a page
report.txt     the same as a terminal shows it
settings.json  what was asked, without passwords, tokens, keys and user names
versions.json  kdiag, Python, OpenSSL and the libraries
resolver.txt   how this machine looks up names: resolv.conf, the hosts line of nsswitch.conf,
               and the entries of the hosts file for names that are in the report
routes.txt     where this machine sends packets

Host names and addresses of the cluster and of this machine are in it. Secrets are not.
"""


def write(result: Report | Reports, checks: Mapping[str, Settings], stream: IO[bytes]) -> None:
    """Writes the bundle, a zip. `checks` are the settings of each check, by label."""
    reported = {name: _rendered(form, result) for name, form in REPORTS.items()}
    members = {
        "README.txt": ABOUT.format(version=__version__),
        **reported,
        "settings.json": _json({label: _settings(each) for label, each in checks.items()}),
        "versions.json": _json(_versions()),
        "resolver.txt": "\n".join(_resolver(reported["report.json"])) + "\n",
        "routes.txt": "\n".join(_routes()) + "\n",
    }
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(f"kdiag/{name}", text.encode("utf-8", "backslashreplace"))


def _rendered(form: str, result: Report | Reports) -> str:
    stream = io.StringIO()
    render(form, result, stream)
    return stream.getvalue()


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, indent=2) + "\n"


def _settings(settings: Settings) -> dict[str, Any]:
    """The settings of a check; of values that may be secret, only whether they are set."""
    tls, sasl = settings.security.tls, settings.security.sasl
    return {
        "bootstrap": [str(endpoint) for endpoint in settings.bootstrap],
        "topic": settings.options.topic,
        "timeout": settings.options.timeout,
        "answer_timeout": settings.options.answer_timeout,
        "deadline": settings.options.deadline,
        "family": settings.family,
        "fail_on": settings.options.fail_on,
        "ignore": list(settings.options.ignore),
        "map": len(settings.options.mapped),
        "aws": settings.options.aws,
        "http": [server.url for server in settings.rest],
        "security.protocol": settings.security.protocol,
        "tls": {
            "authorities": tls.ca is not None,
            "certificate": tls.certificate is not None,
            "key": tls.key is not None,
            "verify": tls.verify,
            "verify_name": tls.verify_name,
            "versions": list(tls.versions),
        },
        "sasl": None
        if sasl is None
        else {
            "mechanism": sasl.mechanism,
            "username": bool(sasl.username),
            "password": bool(sasl.password),
            "token": bool(sasl.token),
            "token_endpoint": bool(sasl.endpoint),
        },
        "client_properties": sorted(settings.client),
    }


def _versions() -> dict[str, Any]:
    libraries: dict[str, str | None] = dict.fromkeys(_LIBRARIES)
    for name in libraries:
        with suppress(metadata.PackageNotFoundError):
            libraries[name] = metadata.version(name)
    return {
        "kdiag": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": libraries,
    }


def _resolver(report: str) -> Iterator[str]:
    """How this machine resolves names; of the hosts file only the names in the report."""
    if command := _RESOLVER.get(sys.platform):
        yield from _printed(command)
    else:
        yield "# /etc/resolv.conf"
        yield from _lines("/etc/resolv.conf")
        yield "# /etc/nsswitch.conf"
        yield from (line for line in _lines("/etc/nsswitch.conf") if line.startswith("hosts:"))
    yield f"# {HOSTS_FILE}"
    for line in _lines(HOSTS_FILE):
        names = line.partition("#")[0].split()[1:]
        if not _LOOPBACK.match(line) and any(name in report for name in names):
            yield line
    if "RES_OPTIONS" in os.environ:
        yield f"# RES_OPTIONS={clean(os.environ['RES_OPTIONS'], 200)}"


def _lines(name: str) -> Iterator[str]:
    with suppress(OSError), Path(name).open("rb") as file:
        for line in file.read(_MOST).decode("utf-8", "replace").splitlines():
            yield clean(line)


def _routes() -> Iterator[str]:
    """The routes of IPv4 and IPv6, from Linux' kernel, elsewhere from a command."""
    if command := _ROUTES.get(sys.platform):
        yield from _printed(command)
        return
    found = [*_routes_v4(), *_routes_v6()]
    yield from found or ["not known on this system: run netstat -rn"]


def _printed(command: Sequence[str]) -> Iterator[str]:
    """The output of a command of this system, at most _MOST bytes within _TIMEOUT."""
    yield f"# {' '.join(command)}"
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        yield f"not known: {type(error).__name__}"
        return
    for line in done.stdout[:_MOST].decode("utf-8", "replace").splitlines():
        yield clean(line)


def _routes_v4() -> Iterator[str]:
    for line in list(_lines("/proc/net/route"))[1:]:
        name, to, via, *_, mask = re.split(r"\\t|\s+", line)[:8]
        with suppress(ValueError, struct.error, OSError):
            to, via = (socket.inet_ntoa(struct.pack("=I", int(part, 16))) for part in (to, via))
            length = int(mask, 16).bit_count()
            gateway = "" if via == "0.0.0.0" else f" via {via}"
            yield f"{to}/{length}{gateway} dev {name}"


def _routes_v6() -> Iterator[str]:
    for line in _lines("/proc/net/ipv6_route"):
        with suppress(ValueError, OSError, IndexError):
            parts = line.split()
            to, via = (socket.inet_ntop(socket.AF_INET6, bytes.fromhex(parts[n])) for n in (0, 4))
            gateway = "" if via == "::" else f" via {via}"
            yield f"{to}/{int(parts[1], 16)}{gateway} dev {parts[9]}"
