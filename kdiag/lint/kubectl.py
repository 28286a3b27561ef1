"""The door to Kubernetes: the user's own kubectl, its contexts and credentials. Read only."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

from kdiag.network.attempt import clean
from kdiag.network.child_process import end_command, start_command

MAX_TEXT = 1 << 20  # bytes of all answers together: what is judged as one file
_LOG = re.compile(r"[EWIF]\d{4} \d\d:")
_KAFKA = "kafkas.kafka.strimzi.io"
_NEXT = "---\n"
_KIND = re.compile(r"""kind["']?: *["']?Kafka\b""")

# What kubectl says on standard error → why: its own words are shown beside it.
_REASONS = (
    ("forbidden", ("forbidden", "cannot list resource", "cannot get resource")),
    ("credentials", ("unauthorized", "must be logged in", "executable", "getting credentials")),
    ("context", ("context", "kubeconfig", "no configuration", "current-context", "invalid config")),
    ("strimzi", ("doesn't have a resource type", "no matches for kind")),
    ("absent", ("notfound", "not found")),
    ("unreachable", ("unable to connect", "refused", "no such host", "timeout", "i/o", "eof")),
)


class _TooLarge(Exception):
    """More than is read."""


@dataclass(frozen=True)
class KubectlUnavailable:
    """A call that kubectl did not answer: the command, why (missing, hanging, large, odd, one of
    those above, or failed), and its words."""

    command: str
    reason: str
    words: str


@dataclass(frozen=True)
class KubectlOutput:
    """What kubectl showed: documents of YAML. `elapsed` is in seconds."""

    text: str
    untold: tuple[KubectlUnavailable, ...]
    elapsed: float


async def resources(namespace: str, name: str, seconds: float) -> KubectlOutput:
    """A Kafka resource, its node pools, the Services and the Nodes, each within so many seconds.

    What cannot be had is in `untold`; only where the Kafka resource itself is, nothing is shown.
    """
    started = time.perf_counter()
    here = ("-n", namespace)
    mine = ("-l", f"strimzi.io/cluster={name}")
    calls = (
        ("get", _KAFKA, name, *here),
        ("get", "kafkanodepools.kafka.strimzi.io", *here, *mine),
        ("get", "services", "--all-namespaces"),
        ("get", "nodes"),
    )
    told = list(await asyncio.gather(*(_asked(call, seconds) for call in calls)))
    if isinstance(told[2], KubectlUnavailable) and told[2].reason == "forbidden":
        told[2] = await _asked(("get", "services", *here), seconds)
    if isinstance(told[0], str) and not _KIND.search(told[0]):
        told[0] = KubectlUnavailable(_command(calls[0]), "odd", "it shows no Kafka resource")
    left = MAX_TEXT
    for n, each in enumerate(told):  # the first ones matter most
        if isinstance(each, str):
            left -= len(each) + len(_NEXT)
            told[n] = each if left >= 0 else _too_large(_command(calls[n]))
    untold = tuple(each for each in told if isinstance(each, KubectlUnavailable))
    texts = [each for each in told if isinstance(each, str)]
    if isinstance(told[0], KubectlUnavailable):
        texts, untold = [], (told[0],)
    return KubectlOutput(_NEXT.join(texts), untold, time.perf_counter() - started)


async def _asked(call: tuple[str, ...], seconds: float) -> str | KubectlUnavailable:
    """One command's standard output, or why there is none."""
    command = _command(call)
    try:
        process = await start_command(
            ("kubectl", *call, "-o", "yaml"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        return KubectlUnavailable(command, "missing", "kubectl is not on the PATH")
    except OSError as error:
        return KubectlUnavailable(command, "failed", error.strerror or "it cannot be run")
    try:
        reading = asyncio.gather(_all(process.stdout), _all(process.stderr))
        out, err = await asyncio.wait_for(reading, seconds)
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return KubectlUnavailable(command, "hanging", f"it did not answer in {seconds:g} s")
    except _TooLarge:
        return _too_large(command)
    finally:
        await end_command(process)
    if process.returncode:
        words = _words(err.decode("utf-8", "replace"))
        return KubectlUnavailable(command, _reason(words), words)
    return out.decode("utf-8", "replace")


def _command(call: tuple[str, ...]) -> str:
    return f"kubectl {' '.join(call)}"


def _too_large(command: str) -> KubectlUnavailable:
    words = f"its answers are more than kdiag judges, {MAX_TEXT >> 20} MiB of all answers"
    return KubectlUnavailable(command, "large", words)


def no_room(resource: str) -> KubectlUnavailable:
    """What kubectl showed, where the files of --config leave no room for it."""
    words = "its answers are not judged: with the files of --config they are more than 4 MiB"
    return KubectlUnavailable(f"kubectl, for {resource}", "large", words)


async def _all(stream: asyncio.StreamReader | None) -> bytes:
    """What a stream gives. Raises _TooLarge as soon as that is too much."""
    found = bytearray()
    while stream and (part := await stream.read(1 << 16)):
        found += part
        if len(found) > MAX_TEXT:
            raise _TooLarge
    return bytes(found)


def _words(said: str) -> str:
    """What kubectl says to its user; newer ones write a log before it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if not _LOG.match(line)] or lines
    return clean(" ".join(told[-3:]), 400)


def _reason(words: str) -> str:
    said = words.lower()
    return next((why for why, signs in _REASONS if any(sign in said for sign in signs)), "failed")
