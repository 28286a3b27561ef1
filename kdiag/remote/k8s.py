"""k8s://namespace/pod[/container] and k8s://namespace/label=value: by kubectl exec.

Where a pod has no Python, a pod of its own, of a stock image, stands in for it for as long as the
walk takes; it is deleted afterwards, and ends by itself where nobody is left to do that.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress

from kdiag.config.usage import UsageError
from kdiag.remote.payload import NO_PYTHON, SHELL
from kdiag.remote.process import CommandEnded, ask, said
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.unreached import NotReached
from kdiag.remote.vantage import Vantage, parse_vantage

PROGRAM = "kubectl"
IMAGE = "python:3.13-alpine"
MAX_PODS = 500  # of one selector
READY = 60.0  # seconds for a pod of our own to run: its image may have to be fetched
_PATIENCE = 15.0  # seconds for kubectl to list or delete


async def pods(where: Vantage) -> list[Vantage]:
    """The running pods that a selector means; the pod itself where one was named."""
    if not where["selector"]:
        return [where]
    namespace, selector = where["namespace"], where["selector"]
    command = [
        *(PROGRAM, "get", "pods", f"--namespace={namespace}", f"--selector={selector}"),
        *("--field-selector=status.phase=Running", "--output=name"),
    ]
    try:
        listed = await said(command, _PATIENCE)
    except CommandEnded as error:
        raise NotReached("kubectl cannot list its pods", error.words) from None
    names = [line.removeprefix("pod/") for line in listed.split()]
    if not names:
        raise NotReached(f"no pod in {namespace} runs that has {selector}")
    if len(names) > MAX_PODS:
        raise NotReached(f"{len(names)} pods have {selector}: {MAX_PODS} at most")
    try:
        return [parse_vantage(f"k8s://{namespace}/{name}") for name in names]
    except UsageError:
        raise NotReached("kubectl lists what is no name of a pod") from None


def command(where: Vantage) -> list[str]:
    """The command line that runs SHELL in a pod."""
    container = [f"--container={where['container']}"] if where["container"] else []
    return [
        *(PROGRAM, "exec", "--stdin", f"--namespace={where['namespace']}", *container),
        *(where["pod"], "--", "sh", "-c", SHELL),
    ]


async def walked(
    where: Vantage, question: RemoteWalk, longest: float
) -> tuple[bytes, tuple[str, ...]]:
    """The answer from a pod, or from the pod that stands in for it, and what is to be noted."""
    try:
        return await ask(command(where), question, longest), ()
    except CommandEnded as error:
        # 126 and 127 are the runtime's: without a shell there is no Python either, as a rule.
        if error.code not in (NO_PYTHON, 126, 127):
            raise
    note = (
        f"{where.text} has no Python: this is how it looks from another pod of its namespace, "
        f"{IMAGE}, which network policies and the pod's own node may treat otherwise"
    )
    return await beside(where["namespace"], question, longest), (note,)


async def beside(namespace: str, question: RemoteWalk, longest: float) -> bytes:
    """The answer from a pod of our own in a namespace, which is deleted. Raises NotReached."""
    name = f"kdiag-{secrets.token_hex(4)}"
    space = f"--namespace={namespace}"
    life = round(longest + READY)
    spec = {"spec": {"activeDeadlineSeconds": life, "terminationGracePeriodSeconds": 0}}
    run = [
        *(PROGRAM, "run", name, space, f"--image={IMAGE}", "--restart=Never"),
        *("--labels=app.kubernetes.io/name=kdiag", f"--overrides={json.dumps(spec)}"),
        *("--command", "--", "sleep", str(life)),
    ]
    wait = [PROGRAM, "wait", space, f"pod/{name}", "--for=condition=Ready", f"--timeout={READY:g}s"]
    place = Vantage("", "k8s", (("namespace", namespace), ("pod", name)))
    try:
        await said(run, _PATIENCE)
        await said(wait, READY + _PATIENCE)
        return await ask(command(place), question, longest)
    except CommandEnded as error:
        if error.begun:
            raise
        raise NotReached(
            f"it has no Python, and no pod of {IMAGE} can stand in for it",
            error.words,
            "Let kdiag create a pod there, or name a pod whose image has Python 3.9 or newer.",
        ) from None
    finally:
        deleting = asyncio.ensure_future(_deleted(name, space))
        try:
            await asyncio.shield(deleting)
        except asyncio.CancelledError:
            await deleting
            raise


async def _deleted(name: str, space: str) -> None:
    """Deletes the pod, whatever became of it and of the walk."""
    gone = [PROGRAM, "delete", "pod", name, space, "--ignore-not-found", "--now", "--wait=false"]
    with suppress(CommandEnded, NotReached):
        await said(gone, _PATIENCE)
