"""What many probes leave behind: `python -m tests.serve.endurance [PROBES]`, ten thousand at first.

The server is a process of its own, on loopback: a healthy target, one with TLS and a login, a
closed port, and a server that stays silent. Memory and descriptors are read at each tenth.
"""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import trustme

from kdiag.demo.logins import Logins
from tests.peers import silent
from tests.running import Brokers, environment, started

AT_ONCE = 4
GROWTH_KB = 8192  # of memory, between a tenth of the probes and the end


def main() -> int:
    """Probes, and says how memory and descriptors were. Exit 1 where they have grown."""
    probes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        plain, login = Brokers(), Brokers()
        for each in (plain, login):
            each.start()
        try:
            return measure(Path(folder), plain, login, probes)
        finally:
            for each in (plain, login):
                each.stop()


def measure(folder: Path, plain: Brokers, login: Brokers, probes: int) -> int:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    login.many(1, tls=tls, sasl=Logins(users={"monitor": "secret"}))
    (folder / "kdiag").mkdir()
    (folder / "kdiag/kdiag.toml").write_text(
        f'[targets.plain]\nbootstrap = "{plain.three().bootstrap}"\n'
        f'[targets.login]\nbootstrap = "{login.bootstrap}"\n[targets.login.properties]\n'
        '"security.protocol" = "SASL_SSL"\n"sasl.mechanism" = "PLAIN"\n'
        '"sasl.username" = "monitor"\n"sasl.password" = "secret"\n'
        f'"ssl.ca.location" = "{folder}/ca.pem"\n'
        '[targets.closed]\nbootstrap = "127.0.0.1:1"\n'
        f'[targets.silent]\nbootstrap = "127.0.0.1:{plain.serve(silent)}"\nanswer-timeout = 0.05\n'
    )
    given = environment(XDG_CONFIG_HOME=str(folder), HOME=str(folder))
    options = {"env": given, "stderr": subprocess.PIPE}
    with started("serve", "--listen", "127.0.0.1:0", **options) as process:
        assert process.stderr
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        expected = {"plain": 1.0, "login": 1.0, "closed": 0.0, "silent": 0.0}
        before, began = (0, 0), time.monotonic()
        marks = {0, *(probes * tenth // 10 for tenth in range(1, 11))}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in range(0, probes, AT_ONCE):
                answers = pool.map(lambda name: success(url, name), expected)
                assert dict(zip(expected, answers, strict=True)) == expected
                if not marks.isdisjoint(range(done, done + AT_ONCE)):
                    now = state(process.pid)
                    say(f"{done + AT_ONCE} probes: {now[0]} kB, {now[1]} descriptors")
                    before = now if done < probes // 5 else before
                for each in (plain, login):  # brokers of the test, in this process
                    for broker in each.brokers.values():
                        broker.requests.clear()
        after = state(process.pid)
    say(f"{probes} probes in {time.monotonic() - began:.0f} s")
    return int(after[0] > before[0] + GROWTH_KB or after[1] > before[1] + AT_ONCE)


def success(url: str, target: str) -> float:
    """probe_success of a target."""
    with urllib.request.urlopen(f"{url}/probe?target={target}", timeout=60) as answer:
        (found,) = re.findall(r"^probe_success (\S+)$", answer.read().decode(), re.M)
    return float(found)


def state(process: int) -> tuple[int, int]:
    """The memory of a process in kB, and how many descriptors it has open."""
    status = Path(f"/proc/{process}/status").read_text()
    (found,) = re.findall(r"^VmRSS:\s+(\d+)", status, re.M)
    return int(found), len(os.listdir(f"/proc/{process}/fd"))  # noqa: PTH208


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
