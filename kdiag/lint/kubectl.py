"""Reads Kubernetes resources with the user's own kubectl, its contexts and credentials."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

from kdiag.network.attempt import clean
from kdiag.network.child_process import OutputTooLarge, run_command

MAX_TEXT = 1 << 20  # bytes of all answers together: what is judged as one file
_LOG = re.compile(r"[EWIF]\d{4} \d\d:")
_KAFKA = "kafkas.kafka.strimzi.io"
_NEXT = "---\n"
_KIND = re.compile(r"""kind["']?: *["']?Kafka\b""")

# Reason → parts of the messages that kubectl writes to standard error.
_REASONS = (
    ("forbidden", ("forbidden", "cannot list resource", "cannot get resource")),
    ("credentials", ("unauthorized", "must be logged in", "executable", "getting credentials")),
    ("context", ("context", "kubeconfig", "no configuration", "current-context", "invalid config")),
    ("strimzi", ("doesn't have a resource type", "no matches for kind")),
    ("absent", ("notfound", "not found")),
    ("unreachable", ("unable to connect", "refused", "no such host", "timeout", "i/o", "eof")),
)


@dataclass(frozen=True)
class KubectlUnavailable:
    """A call of kubectl without a usable answer: the command, the reason (missing, hanging, large,
    odd, failed or one of _REASONS), and the error message."""

    command: str
    reason: str
    message: str


@dataclass(frozen=True)
class KubectlOutput:
    """The output of kubectl, as documents of YAML. `elapsed` is in seconds."""

    text: str
    unavailable: tuple[KubectlUnavailable, ...]
    elapsed: float


async def resources(namespace: str, name: str, seconds: float) -> KubectlOutput:
    """A Kafka resource, its node pools, the Services and the Nodes, each within so many seconds.

    Failed calls are in `unavailable`; without the Kafka resource itself, the text is empty.
    """
    started = time.perf_counter()
    in_namespace = ("-n", namespace)
    of_cluster = ("-l", f"strimzi.io/cluster={name}")
    calls = (
        ("get", _KAFKA, name, *in_namespace),
        ("get", "kafkanodepools.kafka.strimzi.io", *in_namespace, *of_cluster),
        ("get", "services", "--all-namespaces"),
        ("get", "nodes"),
    )
    answers = list(await asyncio.gather(*(_answer(call, seconds) for call in calls)))
    if isinstance(answers[2], KubectlUnavailable) and answers[2].reason == "forbidden":
        answers[2] = await _answer(("get", "services", *in_namespace), seconds)
    if isinstance(answers[0], str) and not _KIND.search(answers[0]):
        answers[0] = KubectlUnavailable(_command(calls[0]), "odd", "it shows no Kafka resource")
    left = MAX_TEXT
    for n, answer in enumerate(answers):  # the first ones matter most
        if isinstance(answer, str):
            left -= len(answer) + len(_NEXT)
            answers[n] = answer if left >= 0 else _too_large(_command(calls[n]))
    unavailable = tuple(each for each in answers if isinstance(each, KubectlUnavailable))
    texts = [each for each in answers if isinstance(each, str)]
    if isinstance(answers[0], KubectlUnavailable):
        texts, unavailable = [], (answers[0],)
    return KubectlOutput(_NEXT.join(texts), unavailable, time.perf_counter() - started)


async def _answer(call: tuple[str, ...], seconds: float) -> str | KubectlUnavailable:
    """One command's standard output, or why there is none."""
    command = _command(call)
    try:
        result = await run_command(("kubectl", *call, "-o", "yaml"), seconds, MAX_TEXT)
    except FileNotFoundError:
        return KubectlUnavailable(command, "missing", "kubectl is not on the PATH")
    except TimeoutError:
        return KubectlUnavailable(command, "hanging", f"it did not answer in {seconds:g} s")
    except OutputTooLarge:
        return _too_large(command)
    except OSError as error:
        return KubectlUnavailable(command, "failed", error.strerror or "it cannot be run")
    if result.code:
        message = _message(result.stderr.decode("utf-8", "replace"))
        return KubectlUnavailable(command, _reason(message), message)
    return result.stdout.decode("utf-8", "replace")


def _command(call: tuple[str, ...]) -> str:
    return f"kubectl {' '.join(call)}"


def _too_large(command: str) -> KubectlUnavailable:
    message = f"its answers are more than kdiag judges, {MAX_TEXT >> 20} MiB of all answers"
    return KubectlUnavailable(command, "large", message)


def no_room(resource: str) -> KubectlUnavailable:
    """The output of kubectl, which does not fit beside the files of --config."""
    message = "its answers are not judged: with the files of --config they are more than 4 MiB"
    return KubectlUnavailable(f"kubectl, for {resource}", "large", message)


def _message(output: str) -> str:
    """The last lines of standard error, without the log that newer kubectls write before them."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    messages = [line for line in lines if not _LOG.match(line)] or lines
    return clean(" ".join(messages[-3:]), 400)


def _reason(message: str) -> str:
    lowered = message.lower()
    return next(
        (why for why, signs in _REASONS if any(sign in lowered for sign in signs)), "failed"
    )
