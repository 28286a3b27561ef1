"""kdiag serve as a process: how it begins and ends, and what Prometheus' own tool says of it."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from kdiag.cli.group import cli
from kdiag.config.usage import UsageError
from tests.lab.needs import require
from tests.peers import silent
from tests.running import Brokers, environment, started
from tests.serve.conftest import Start, write
from tests.serve.documented import documented

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals of POSIX")


@contextmanager
def server(toml: Path, *options: str) -> Iterator[tuple[Any, str]]:
    """kdiag serve as a process, and its address; the first line of its log has been read."""
    given = environment(XDG_CONFIG_HOME=str(toml.parent.parent), HOME=str(toml.parent))
    with started("serve", "--listen", "127.0.0.1:0", *options, env=given) as running:
        assert running.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+", line := running.stderr.readline())
        assert found, line
        yield running, found.group()


def get(url: str, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(url, headers=named), timeout=50) as answer:
        return str(answer.read().decode())


def test_signals(toml: Path, brokers: Brokers) -> None:
    """SIGHUP reads kdiag.toml again; SIGTERM lets the probe that is under way end, and exits 0."""
    write(toml, slow=f'bootstrap = "127.0.0.1:{brokers.serve(silent)}"\nanswer-timeout = 1.5')
    with server(toml) as (running, url), ThreadPoolExecutor() as pool:
        toml.write_text(toml.read_text() + '[targets.new]\nbootstrap = "127.0.0.1:1"\n')
        running.send_signal(signal.SIGHUP)
        assert "reloaded: 2 targets" in running.stderr.readline()
        assert 'code="KD103"' in get(f"{url}/probe?target=new")
        assert " new: fail at bootstrap: KD103" in running.stderr.readline()
        probe = pool.submit(get, f"{url}/probe?target=slow")
        while "kdiag_walks_in_progress 1.0" not in get(f"{url}/metrics"):
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        assert 'code="KD107"' in probe.result(50)
        assert running.wait(50) == 0
        assert "ended" in running.stderr.read()
        with pytest.raises(urllib.error.URLError):
            get(url)


def run(*arguments: str) -> UsageError:
    """How the command refuses these arguments."""
    error = CliRunner().invoke(cli, ["serve", *arguments]).exception
    assert isinstance(error, UsageError)
    return error


def test_what_it_cannot_begin_with(toml: Path) -> None:
    assert "there is no target" in str(run())
    toml.write_text("[targets.odd]\nbootstrap = 'a:b:c'")
    assert str(run()).startswith("@odd: ")
    write(toml, prod='bootstrap = "127.0.0.1:1"')
    for listen in ("9797", ":9797", "127.0.0.1:x", "127.0.0.1:99999"):
        assert "write HOST:PORT" in str(run("--listen", listen))


def test_a_port_that_is_taken(toml: Path, brokers: Brokers) -> None:
    write(toml, prod='bootstrap = "127.0.0.1:1"')
    error = run("--listen", f"127.0.0.1:{brokers.serve(silent)}")
    assert re.fullmatch(r"cannot listen on 127\.0\.0\.1:\d+: Address already in use", str(error))


def test_without_the_extra_it_says_what_is_missing(toml: Path) -> None:
    def spec(name: str) -> Any:
        return None if name in ("uvicorn", "starlette") else find_spec(name)

    with patch("kdiag.cli.extra.find_spec", spec):
        error = run()
    assert str(error) == (
        "kdiag serve takes starlette, uvicorn, which is not installed: pip install 'kdiag[serve]'"
    )


def promtool(*arguments: str, stdin: str = "", cwd: Path | None = None) -> None:
    done = subprocess.run(
        ["promtool", *arguments], input=stdin, capture_output=True, text=True, cwd=cwd, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


async def test_promtool_has_nothing_to_say_of_the_metrics(start: Start, brokers: Brokers) -> None:
    require("promtool")
    served = await start(prod=f'bootstrap = "{brokers.three().bootstrap}"', no='bootstrap = "h:1"')
    brokers.cluster.nodes[1].host = 'ev"il\\\n{}.example'
    texts = [(await served.get(path)).text for path in ("/probe?target=prod", "/metrics")]
    assert 'kdiag_root_cause_info{target="127.0.0.1' in texts[0]
    for text in texts:
        await asyncio.to_thread(promtool, "check", "metrics", stdin=text)


def test_promtool_has_nothing_to_say_of_the_documented_files(tmp_path: Path) -> None:
    require("promtool")
    for name in ("prometheus.yml", "kdiag.rules.yml"):
        (tmp_path / name).write_text(documented(name))
    promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    promtool("check", "rules", "kdiag.rules.yml", cwd=tmp_path)
