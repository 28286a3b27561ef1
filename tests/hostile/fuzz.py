"""Walks among random peers for as long as wanted: `python -m tests.hostile.fuzz --minutes 10`.

Prints the seed of the first walk that does not hold, with its report, and ends with 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.hostile.peers import control
from tests.hostile.walking import holds, walked


def main() -> int:
    """Runs until the time is up or a walk fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    asked = parser.parse_args()
    end, seed, count = time.monotonic() + asked.minutes * 60, asked.seed, 0
    while time.monotonic() < end:
        try:
            holds(walked(control(seed), topic="orders" if seed % 2 else None))
        except BaseException:
            print(f"--seed {seed}", flush=True)  # noqa: T201
            raise
        seed, count = seed + 1, count + 1
    print(f"{count} walks held, from seed {asked.seed}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
