"""A Kubernetes API on loopback, which the real kubectl talks to: fabric8's, from Maven Central.

It speaks the API's own HTTP and keeps what is created. It has no discovery of its own, so it is
told what to answer there, as well as where it is to refuse.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.lab.kafka import JAVA, jars
from tests.lab.processes import end, spawn
from tests.running import ENOUGH

_FABRIC8 = "7.4.0"
_ARTIFACTS = (
    ("io.fabric8", "kubernetes-server-mock", _FABRIC8),
    ("io.fabric8", "kubernetes-client", _FABRIC8),
    ("org.eclipse.jdt", "ecj", "3.38.0"),  # compiles where there is no JDK
)
_SOURCE = Path(__file__).with_name("KubernetesApi.java")
_STRIMZI = {"groupVersion": "kafka.strimzi.io/v1", "version": "v1"}
_DISCOVERY: Mapping[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {"name": "kafka.strimzi.io", "versions": [_STRIMZI], "preferredVersion": _STRIMZI}
        ],
    },
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "nodes", "singularName": "node", "namespaced": False, "kind": "Node"},
            {"name": "services", "singularName": "service", "namespaced": True, "kind": "Service"},
        ],
    },
    "/apis/kafka.strimzi.io/v1": {
        "kind": "APIResourceList",
        "groupVersion": "kafka.strimzi.io/v1",
        "resources": [
            {"name": "kafkas", "singularName": "kafka", "namespaced": True, "kind": "Kafka"},
            {
                "name": "kafkanodepools",
                "singularName": "kafkanodepool",
                "namespaced": True,
                "kind": "KafkaNodePool",
            },
        ],
    },
}
_VERBS = ["create", "get", "list", "patch", "update"]


class Kubernetes:
    """The server, and a kubeconfig in `folder` that leads to it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        assert process.stdin
        assert process.stdout
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self.port = int(self._out.readline())
        self.config = folder / "kubeconfig"
        self.config.write_text(kubeconfig(self.port))
        self.environment = {"KUBECONFIG": str(self.config), "HOME": str(folder)}
        for path, answer in _DISCOVERY.items():
            for resource in answer.get("resources", ()):
                resource["verbs"] = _VERBS
            self.answers(path, 200, answer)
            self.answers(f"{path}?timeout=32s", 200, answer)  # as kubectl asks

    def answers(self, path: str, status: int, answer: Any) -> None:
        """From now on it answers a GET of this path so."""
        self._in.write(f"{path} {status} {json.dumps(answer)}\n".encode())
        self._in.flush()
        assert self._out.readline().strip() == path.encode()

    def forbids(self, path: str, resource: str) -> None:
        """From now on it refuses a GET of this path, as role-based access control does."""
        words = f'{resource} is forbidden: User "dev" cannot list resource "{resource}"'
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403}
        self.answers(path, 403, {**status, "reason": "Forbidden", "message": words})

    def create(self, text: str) -> None:
        """Creates resources, as a user does."""
        self.kubectl("create", "--validate=false", "-f", "-", stdin=text)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints."""
        done = subprocess.run(
            ["kubectl", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment},
            timeout=ENOUGH,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def kubeconfig(port: int, context: str = "here") -> str:
    """The text of a kubeconfig whose context leads to this port on loopback."""
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "current-context": context,
        }
    )


@contextmanager
def kubernetes(folder: Path) -> Iterator[Kubernetes]:
    """A server as long as it is needed."""
    classpath = os.pathsep.join(
        map(str, sorted(jars("kubernetes-7.4.0", _ARTIFACTS).glob("*.jar")))
    )
    compiler = "org.eclipse.jdt.internal.compiler.batch.Main"
    command = [*JAVA, "-cp", classpath, compiler, "-17", "-cp", classpath, "-d", str(folder)]
    subprocess.run([*command, str(_SOURCE)], check=True, timeout=ENOUGH)
    process = spawn(
        [*JAVA, "-cp", f"{folder}{os.pathsep}{classpath}", "KubernetesApi"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    try:
        yield Kubernetes(process, folder)
    finally:
        end(process)
