"""A stand-in for Run Command: real boto3 calls it, and it runs the scripts on this machine.

It cuts what a script prints where AWS does, lists instances of a tag a moment late, and knows the
calls that kdiag makes and no others.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_OUTPUT, MOST_PARAMETERS = 24_000, 64_000  # characters
FLEET = ("i-0aaaaaaaaaaaaaaa1", "i-0aaaaaaaaaaaaaaa2", "i-0aaaaaaaaaaaaaaa3")
_SNAKE = re.compile(r"(?=[A-Z])")
COMMAND = "11111111-2222-3333-4444-555555555555"


@dataclass
class RunCommand:
    """`asked` has the calls; `never` are instances that never take a command, `environment` maps
    one to the variables that its shell has."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    never: set[str] = field(default_factory=set)
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    denied: bool = False
    url: str = ""
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _ended: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    _listed: int = 0

    def answer(self, call: str, told: Any) -> tuple[int, Any]:
        """Status and body of one call's answer."""
        self.asked.append((call, told))
        if self.denied:
            return 400, {"__type": "AccessDeniedException", "message": f"not allowed: {call}"}
        return 200, getattr(self, _SNAKE.sub("_", call).lower())(told)

    def _send_command(self, told: Any) -> Any:
        assert len(json.dumps(told["Parameters"])) < MOST_PARAMETERS
        assert told["TimeoutSeconds"] >= 30
        assert told["DocumentName"] == "AWS-RunShellScript"
        script = "\n".join(told["Parameters"]["commands"])
        for one in told.get("InstanceIds") or FLEET:
            if one in self.never:
                continue
            self._running[one] = subprocess.Popen(
                ["/bin/sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=self.environment.get(one),
            )
        self._instances = list(told.get("InstanceIds") or FLEET)
        return {"Command": {"CommandId": COMMAND}}

    def _list_command_invocations(self, told: Any) -> Any:
        assert told["CommandId"] == COMMAND
        self._listed += 1
        known = self._instances if self._listed > 1 else []
        listed = [{"InstanceId": one, "Status": self._state(one)} for one in known]
        if "NextToken" in told or len(listed) < 2:
            return {"CommandInvocations": listed[-1:]}
        return {"CommandInvocations": listed[:-1], "NextToken": "more"}

    def _get_command_invocation(self, told: Any) -> Any:
        code, said, words = self._ended[told["InstanceId"]]
        return {
            "ResponseCode": code,
            "StandardOutputContent": said[:MOST_OUTPUT],
            "StandardErrorContent": words[:MOST_OUTPUT],
        }

    def _cancel_command(self, told: Any) -> Any:
        self.stop()
        return {}

    def _state(self, instance: str) -> str:
        process = self._running.get(instance)
        if process is None:
            return "Pending"
        if instance not in self._ended:
            if process.poll() is None and not _readable(process):
                return "InProgress"
            said, words = process.communicate(timeout=50)
            self._ended[instance] = (process.returncode, said, words)
        return "Failed" if self._ended[instance][0] else "Success"

    def stop(self) -> None:
        """Ends what still runs."""
        for process in self._running.values():
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


def _readable(process: subprocess.Popen[str]) -> bool:
    assert process.stdout
    return bool(select.select([process.stdout], [], [], 0)[0])


@contextmanager
def served() -> Iterator[RunCommand]:
    """The stand-in, on loopback."""
    made = RunCommand()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = self.headers["X-Amz-Target"].partition(".")[2]
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = made.answer(call, told)
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()
        made.stop()
