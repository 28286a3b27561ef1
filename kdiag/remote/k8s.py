"""k8s://namespace/pod[/container] and k8s://namespace/label=value: by kubectl exec.

If a pod has no Python, kdiag creates a pod of a stock image in its place, and deletes it after the
walk; the pod also ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress

from kdiag.config.usage import UsageError
from kdiag.remote.engine import Engine
from kdiag.remote.payload import NO_PYTHON, SHELL
from kdiag.remote.process import CommandEnded, output, run_walk
from kdiag.remote.reply import RemoteWalk
from kdiag.remote.unreached import NotReached
from kdiag.remote.vantage import Vantage, parse_vantage

PROGRAM = "kubectl"
IMAGE = "python:3.13-alpine"
MAX_PODS = 500  # of one selector
READY = 60.0  # seconds for a pod of our own to run: its image may have to be fetched
_PATIENCE = 15.0  # seconds for kubectl to list or delete


class Kubectl(Engine):
    """Runs SHELL with kubectl exec; a selector stands for the running pods that it selects."""

    program = PROGRAM

    def command(self, vantage: Vantage) -> list[str]:
        return _exec(vantage)

    async def points(self, vantage: Vantage, walk: RemoteWalk) -> list[Vantage]:
        selector = vantage["selector"]
        return await _pods(vantage["namespace"], selector) if selector else [vantage]

    async def answer(self, point: Vantage, walk: RemoteWalk) -> tuple[bytes, tuple[str, ...]]:
        try:
            return await super().answer(point, walk)
        except CommandEnded as error:
            # 126 and 127 are the runtime's: without a shell there is no Python either, as a rule.
            if error.code not in (NO_PYTHON, 126, 127):
                raise
        note = (
            f"{point.text} has no Python: this is how it looks from another pod of its namespace, "
            f"{IMAGE}, which network policies and the pod's own node may treat otherwise"
        )
        return await in_new_pod(point["namespace"], walk, self.longest), (note,)


ENGINE = Kubectl


async def _pods(namespace: str, selector: str) -> list[Vantage]:
    """The running pods that a selector selects. Raises NotReached."""
    command = [
        *(PROGRAM, "get", "pods", f"--namespace={namespace}", f"--selector={selector}"),
        *("--field-selector=status.phase=Running", "--output=name"),
    ]
    try:
        listed = await output(command, _PATIENCE)
    except CommandEnded as error:
        raise NotReached("kubectl cannot list its pods", error.lines) from None
    names = [line.removeprefix("pod/") for line in listed.split()]
    if not names:
        raise NotReached(f"no pod in {namespace} runs that has {selector}")
    if len(names) > MAX_PODS:
        raise NotReached(f"{len(names)} pods have {selector}: {MAX_PODS} at most")
    try:
        return [parse_vantage(f"k8s://{namespace}/{name}") for name in names]
    except UsageError:
        raise NotReached("kubectl lists what is no name of a pod") from None


def _exec(pod: Vantage) -> list[str]:
    container = [f"--container={pod['container']}"] if pod["container"] else []
    return [
        *(PROGRAM, "exec", "--stdin", f"--namespace={pod['namespace']}", *container),
        *(pod["pod"], "--", "sh", "-c", SHELL),
    ]


async def in_new_pod(namespace: str, walk: RemoteWalk, longest: float) -> bytes:
    """The reply of a walk from a new pod of IMAGE in a namespace; the pod is deleted afterwards.
    Raises CommandEnded and NotReached."""
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
    pod = Vantage("", "k8s", (("namespace", namespace), ("pod", name)))
    try:
        await output(run, _PATIENCE)
        await output(wait, READY + _PATIENCE)
        return await run_walk(_exec(pod), walk, longest)
    except CommandEnded as error:
        if error.begun:
            raise
        raise NotReached(
            f"it has no Python, and no pod of {IMAGE} can replace it",
            error.lines,
            "Let kdiag create a pod there, or name a pod whose image has Python 3.9 or newer.",
        ) from None
    finally:
        deleting = asyncio.ensure_future(_delete(name, space))
        try:
            await asyncio.shield(deleting)
        except asyncio.CancelledError:
            await deleting
            raise


async def _delete(name: str, space: str) -> None:
    """Deletes the pod; a failure is ignored, as the pod also ends by itself."""
    command = [PROGRAM, "delete", "pod", name, space, "--ignore-not-found", "--now", "--wait=false"]
    with suppress(CommandEnded, NotReached):
        await output(command, _PATIENCE)
