"""A far side that begins an answer of 6 MB, of failures of one hop, and never comes to its end."""

import os
import re
import sys
import time
from pathlib import Path

LENGTH = 6_000_000

heard = b""
while not (mark := re.search(rb"kdiag-[0-9a-f]{16}", heard)):
    heard += os.read(0, 65536)
one = b'{"hop": "metadata", "seconds": 1.0, "error": "x"}, '
out = sys.stdout.buffer
out.write(b"\n%s %d\n" % (mark[0], LENGTH) + b'{"halts": [' + one * (LENGTH // len(one) // 2))
out.flush()
with Path(os.environ["STANDIN_LOG"]).open("a") as log:
    log.write("drips\n")
while True:
    time.sleep(0.05)
    out.write(one)
    out.flush()
