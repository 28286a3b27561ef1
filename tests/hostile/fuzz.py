"""Walks among random peers for as long as wanted: `python -m tests.hostile.fuzz --minutes 10`.

Prints the seed of every walk that does not hold, with the reason; `--seed N` walks that one again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import traceback
from collections import Counter
from itertools import count

from tests.hostile.peers import fuzzed
from tests.hostile.walking import holds

AT_ONCE = 12  # walks in one loop: they mostly wait


def main() -> int:
    """Walks until the time is up; 1 when a walk did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="walk this one only")
    asked = parser.parse_args()
    first = random.randrange(1 << 32) if asked.seed is None else asked.seed
    last = None if asked.seed is None else first
    failed, met = asyncio.run(_many(first, last, time.monotonic() + 60 * asked.minutes))
    causes = ", ".join(f"{code} {times}" for code, times in sorted(met.items()))
    sys.stdout.write(f"{met.total()} walks from seed {first}, {failed} failed; {causes}\n")
    return 1 if failed else 0


async def _many(first: int, last: int | None, end: float) -> tuple[int, Counter[str]]:
    """Walks seed after seed: how many did not hold, and the causes found."""
    asyncio.get_running_loop().set_exception_handler(lambda _, told: None)
    seeds, failed, met = count(first), 0, Counter[str]()

    async def work() -> None:
        nonlocal failed
        for seed in seeds:
            if time.monotonic() > end or (last is not None and seed > last):
                return
            try:
                report = await fuzzed(random.Random(seed))
                met[report.root_cause or "none"] += 1
                holds(report)
            except Exception:
                failed += 1
                sys.stderr.write(f"--seed {seed}\n{traceback.format_exc()}\n")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return failed, met


if __name__ == "__main__":
    sys.exit(main())
