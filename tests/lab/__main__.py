"""The lab by hand: `python -m tests.lab [aws]` starts it, says how to get there, and waits."""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.lab import in_aws, on_loopback
from tests.lab.listeners import LISTENERS, NODES


def main() -> None:
    """Runs until it is interrupted."""
    build = in_aws if "aws" in sys.argv[1:] else on_loopback
    with tempfile.TemporaryDirectory() as folder, build(Path(folder)) as lab:
        lines = [f"certificates and logs: {folder}"]
        for listener in LISTENERS:
            told = [listener.advertises(n, lab.kafka.homes, lab.kafka.publics) for n in NODES]
            lines.append(f"{listener.name:11}{listener.protocol:15}{lab.at(listener.name):19}"
                         f"advertises {' '.join(told)}")  # fmt: skip
        prefix = shlex.join(lab.client.inside)
        lines.append(f"{prefix} {sys.executable} -m kdiag check {lab.at('PUBLIC')}".strip())
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
