"""The client of AWS Systems Manager's Run Command, through boto3."""

from __future__ import annotations

from typing import Any

from kdiag.network.attempt import clean

CALLS = (
    "ssm:SendCommand",
    "ssm:ListCommandInvocations",
    "ssm:GetCommandInvocation",
    "ssm:CancelCommand",
)
AT_ONCE = "50"  # instances of one command that run it at the same time
DELIVERY = 30  # seconds for an instance to take a command, the least that there is
MAX_SCRIPT = 62_000  # characters; a document and what it is given have 64 KB together

# In seconds. No call is asked twice by botocore alone: those that only read are asked again.
_CONNECT, _READ = 3, 10
_WORDS = 300


class SsmError(Exception):
    """AWS did not do it. The text says why, and is clean."""


class RunCommand:
    """Calls Run Command; the methods block, and raise SsmError."""

    def __init__(self) -> None:
        try:
            import boto3.session  # 182 ms
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise SsmError("boto3 is not installed here: pip install boto3") from None

        self._errors = (BotoCoreError, ClientError, OSError, ValueError)
        try:
            self._client: Any = boto3.session.Session().client(
                "ssm",
                config=Config(
                    connect_timeout=_CONNECT,
                    read_timeout=_READ,
                    retries={"mode": "adaptive", "total_max_attempts": 4},
                ),
            )
        except self._errors as error:
            raise SsmError(_message(error)) from None

    def send(
        self, script: str, seconds: int, *, instance: str = "", tag: str = "", value: str = ""
    ) -> str:
        """Runs a script on one instance, or on all with a tag; returns the id of the command."""
        target: dict[str, Any] = {"InstanceIds": [instance]}
        if tag:
            target = {"Targets": [{"Key": f"tag:{tag}", "Values": [value]}]}
            # One that fails does not keep the others from their turn.
            target |= {"MaxConcurrency": AT_ONCE, "MaxErrors": "100%"}
        response = self._call(
            "send_command",
            DocumentName="AWS-RunShellScript",
            Comment="kdiag check: looks from there, and changes nothing",
            TimeoutSeconds=DELIVERY,
            Parameters={"commands": script.splitlines(), "executionTimeout": [str(seconds)]},
            **target,
        )
        return str(response["Command"]["CommandId"])

    def states(self, command: str) -> dict[str, str]:
        """The state of each instance: Pending, InProgress, Success, Failed, TimedOut, …"""
        found: dict[str, str] = {}
        more: dict[str, str] = {}
        while True:
            response = self._call(
                "list_command_invocations", CommandId=command, MaxResults=50, **more
            )
            for invocation in response["CommandInvocations"]:
                found[clean(invocation["InstanceId"], 40)] = clean(invocation["Status"], 40)
            if not response.get("NextToken"):
                return found
            more = {"NextToken": response["NextToken"]}

    def output(self, command: str, instance: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of an instance that has ended."""
        response = self._call("get_command_invocation", CommandId=command, InstanceId=instance)
        printed, errors = (
            response.get("StandardOutputContent"),
            response.get("StandardErrorContent"),
        )
        return int(response.get("ResponseCode", -1)), str(printed or ""), str(errors or "")

    def cancel(self, command: str) -> None:
        """Cancels a command on every instance."""
        self._call("cancel_command", CommandId=command)

    def _call(self, call: str, **parameters: Any) -> dict[str, Any]:
        try:
            response: dict[str, Any] = getattr(self._client, call)(**parameters)
        except self._errors as error:
            raise SsmError(_message(error)) from None
        return response


def _message(error: BaseException) -> str:
    return clean(str(error) or type(error).__name__, _WORDS)
