"""Where the client stands: kdiag and the real client, run there as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from tests.forked import Forks
from tests.lab import goldens
from tests.lab.listeners import USERS
from tests.lab.processes import ROOT
from tests.running import FORKS, ended

VALID = jsonschema.Draft202012Validator(json.loads((ROOT / "kdiag" / "schema.json").read_text()))
PATIENCE = 90  # seconds; nothing takes that long unless it hangs

# What a process is forked from, by what it has loaded; those in a namespace end with their client.
HERE = {("kdiag",): FORKS}
FOR_AWS = ("kdiag.aws", "boto3", "botocore.config")

Verdict = tuple[str | None, str | None, int]  # failing hop, root cause, exit code
HEALTHY: Verdict = (None, None, 0)


@dataclass(frozen=True)
class Client:
    """A place to run commands in. `inside` is the prefix that gets there; `fresh` has a new
    interpreter for each rather than a fork."""

    inside: tuple[str, ...] = ()
    fresh: bool = False
    _forks: dict[tuple[str, ...], Forks] = field(default_factory=dict, repr=False, compare=False)

    def check(
        self,
        *arguments: str,
        given: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        **variables: str,
    ) -> Report:
        """`kdiag check` with these arguments and client properties, in a folder and with
        environment variables; its JSON report, which the test's golden is held against."""
        properties = [part for pair in (given or {}).items() for part in ("-X", "=".join(pair))]
        told = ("check", *arguments, *properties, "-o", "json")
        done = self._run("kdiag", *told, folder=folder, **variables)
        assert done.stdout, f"no report, exit code {done.returncode}: {done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        assert not any(secret in done.stdout + done.stderr for secret in USERS.values())
        report = Report(json.loads(done.stdout))
        assert report.told["exit_code"] == done.returncode
        VALID.validate(report.told)
        goldens.hold(report.told)
        return report

    def tool(self, *arguments: str) -> Any:
        """What one of tools.py's commands prints."""
        done = self._run("tests.lab.tools", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _run(
        self, module: str, *arguments: str, folder: Path = ROOT, **more: str
    ) -> subprocess.CompletedProcess[str]:
        mine = {k: v for k, v in os.environ.items() if not k.startswith("KDIAG_")}
        loaded = (module, *(FOR_AWS if "--aws" in arguments else ()))
        forks = (self._forks if self.inside else HERE).setdefault(
            loaded, Forks(*loaded, inside=self.inside)
        )
        return ended(
            arguments,
            {**mine, "PYTHONPATH": str(ROOT), **more},
            folder,
            PATIENCE,
            fresh=self.fresh or "PYTHONPATH" in more,
            forks=forks,
        )


@dataclass(frozen=True)
class Report:
    """A JSON report, and what tests ask of it. `str()` is for a failing test."""

    told: dict[str, Any]

    @property
    def verdict(self) -> Verdict:
        """Failing hop, root cause, exit code."""
        return self.told["failing_hop"], self.told["root_cause"], self.told["exit_code"]

    @property
    def cause(self) -> dict[str, Any]:
        """The finding that is the root cause."""
        found = self.told["findings"]
        return next(f for f in found if f["code"] == self.told["root_cause"])

    @property
    def brokers(self) -> dict[int, dict[str, Any]]:
        """Brokers by node id."""
        return {broker["node"]: broker for broker in self.told["cluster"]["brokers"]}

    def __str__(self) -> str:
        return json.dumps(self.told, indent=1)
