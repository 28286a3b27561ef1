"""The command line as its users meet it: what is refused, what goes where, how it looks."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from kdiag import __version__
from kdiag.cli.group import COMMANDS
from kdiag.demo.scenarios import SCENARIOS
from kdiag.rules.catalog import every_rule
from tests import peers
from tests.running import ENOUGH, ROOT, Brokers, environment, kdiag, on_terminal

RULES = every_rule()


ESCAPE = "\x1b"
COLOUR = re.compile(ESCAPE + r"\[[0-9;]*m")

# What is refused. BROKER stands for the address of a broker that must not be dialled.

REFUSED: dict[str, tuple[Sequence[str], str]] = {
    "nothing": (["check"], "HOST:PORT"),
    "an empty list": (["check", ""], "empty"),
    "commas": (["check", ",,,"], "empty"),
    "port 0": (["check", "BROKER,b:0"], "'0' is not a number between 1 and 65535"),
    "port 70000": (["check", "BROKER,b:70000"], "'70000' is not a number between 1 and 65535"),
    "a negative port": (["check", "BROKER,b:-1"], "is not a number between 1 and 65535"),
    "no number": (["check", "BROKER,b:kafka"], "is not a number between 1 and 65535"),
    "an empty port": (["check", "BROKER,b:"], "is not a number between 1 and 65535"),
    "an empty host": (["check", "BROKER,:9092"], "is not a host name or an IP address"),
    "a space": (["check", "BROKER,my broker:9092"], "is not a host name or an IP address"),
    "a line break": (["check", "BROKER,b\nroker:9092"], "is not a host name or an IP address"),
    "an escape": (["check", "BROKER,\x1b[31mb:9092"], "is not a host name or an IP address"),
    "IPv6 without brackets": (["check", "BROKER,2001:db8::1"], "[2001:db8::1]:9092"),
    "IPv6 and port without": (["check", "BROKER,2001:db8::1:9092"], "[2001:db8::1]:9092"),
    "half a bracket": (["check", "BROKER,[::1:9092"], "[2001:db8::1]:9092"),
    "kafka://": (["check", "kafka://BROKER"], "is a URL; a bootstrap server is HOST:PORT"),
    "PLAINTEXT:// and a path": (["check", "PLAINTEXT://BROKER/a"], "is a URL"),
    "https:// and a path": (["check", "https://BROKER/topics"], "is a URL"),
    "an unknown property": (
        ["check", "BROKER", "-X", "bootstrap.server=b"],
        "did you mean bootstrap.servers?",
    ),
    "no property": (["check", "BROKER", "-X", "client.id"], "write NAME=VALUE"),
    "an odd protocol": (["check", "BROKER", "-X", "security.protocol=TLS"], "PLAINTEXT"),
    "Kerberos": (
        ["check", "BROKER", "-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanism=GSSAPI"],
        "was built without Kerberos",
    ),
    "an unknown mechanism": (
        ["check", "BROKER", "-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanism=OTHER"],
        "SCRAM-SHA-512",
    ),
    "an unreadable file": (["check", "BROKER", "-F", "/nonexistent/c.properties"], "cannot read"),
    "a folder for a file": (["check", "BROKER", "-F", "/"], "cannot read /"),
    "a topic with a space": (["check", "BROKER", "--topic", "a b"], "a topic name has"),
    "a topic without a name": (["check", "BROKER", "--topic", ""], "a topic name has"),
    "no time": (["check", "BROKER", "--timeout", "0"], "--timeout 0: write seconds between"),
    "no number of seconds": (["check", "BROKER", "--timeout", "soon"], "--timeout"),
    "not a number": (["check", "BROKER", "--timeout", "nan"], "--timeout"),
    "no end": (["check", "BROKER", "--deadline", "inf"], "--deadline"),
    "half a mapping": (["check", "BROKER", "--map", "10.0.1.11"], "ADVERTISED=CANDIDATE"),
    "an odd mapping": (["check", "BROKER", "--map", "a=b:0"], "--map" "|port"),
    "an unknown severity": (["check", "BROKER", "--fail-on", "info"], "--fail-on"),
    "an unknown expectation": (["check", "BROKER", "--expect", "broker=3"], "you mean brokers?"),
    "half an expectation": (["check", "BROKER", "--expect", "certificate-days"], "in quotes"),
    "an odd expectation": (["check", "BROKER", "--expect", "brokers=x"], "a number of brokers"),
    "partitions of what": (["check", "BROKER", "--expect", "topic-partitions>5"], "--topic NAME"),
    "ignoring what is none": (["check", "BROKER", "--ignore", "KD4066"], "did you mean KD406?"),
    "ignoring a bug": (["check", "BROKER", "--ignore", "KD001"], "always counts"),
    "an unknown format": (["check", "BROKER", "-o", "yaml"], "FORMAT=FILE"),
    "a format without its file": (["check", "BROKER", "-o", "json="], "FORMAT=FILE"),
    "two on standard output": (["check", "BROKER", "-o", "json", "-o", "terminal"], "one report"),
    "no folder for the file": (["check", "BROKER", "-o", "json=/nonexistent/r"], "cannot write"),
    "a folder for the file": (["check", "BROKER", "-o", "json=/"], "cannot write /"),
    "an unknown option": (["check", "BROKER", "--verbatim"], "--verbose"),
    "a second that is none": (["check", "BROKER", "another:bad"], "'bad' is not a number"),
    "a target among others": (["check", "BROKER", "@none"], "@none: there is no kdiag.toml here"),
    "a target with an escape": (["check", "@a\x1b[31mb"], "@a…: there is no kdiag.toml here"),
    "all of no targets": (["check", "@all"], "there is no target"),
    "files for two clusters": (["check", "BROKER", "b:1", "--strimzi", "a/b"], "about one cluster"),
    "waiting for nothing": (["check", "BROKER", "--wait", "soon"], "--wait"),
    "waiting backwards": (["check", "BROKER", "--wait", "-1"], "--wait"),
    "waiting without end": (["check", "BROKER", "--wait", "inf"], "between 0 and 86400"),
    "waiting for no number": (["check", "BROKER", "--wait", "nan"], "between 0 and 86400"),
    "an unknown command": (["chekc", "BROKER"], "chekc"),
    "an unknown code": (["explain", "KD999"], "is no finding of kdiag"),
    "no code": (["explain"], "CODE"),
    "an unknown scenario": (["demo", "helathy"], "kdiag demo --list"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(brokers: Brokers, arguments: Sequence[str], said: str) -> None:
    target = brokers.three().bootstrap
    done = kdiag(*(argument.replace("BROKER", target) for argument in arguments))
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("kdiag: ")
    assert any(words in line for words in said.split("|")), line
    assert line.isprintable()
    assert 20 < len(line) < 400
    assert brokers.brokers[1].connections == 0, "nothing may be dialled"


def test_no_command_at_all_is_the_help() -> None:
    done = kdiag()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == kdiag("--help").stdout


def test_a_secret_beside_a_mistake_is_not_repeated(tmp_path: Path) -> None:
    for arguments in (
        ["-X", "sasl.pasword=hunter2"],
        ["-X", "sasl.password:hunter2"],
        ["kafka://alice:hunter2@b:9092"],
        ["alice:hunter2@b:9092"],
    ):
        done = kdiag("check", *arguments)
        assert done.returncode == 2
        assert "hunter2" not in done.stderr + done.stdout


def test_a_port_that_is_assumed_is_said_beside_the_report(brokers: Brokers) -> None:
    done = kdiag("check", f"{brokers.three().bootstrap},127.0.0.1", "-o", "json")
    assert "127.0.0.1: no port given, 9092 assumed" in done.stderr
    assert json.loads(done.stdout)["target"][1] == "127.0.0.1:9092"


def test_ipv6_with_brackets_is_taken() -> None:
    done = kdiag("check", "[::1]:1", "--timeout", "1", "-o", "json")
    assert done.returncode == 10
    assert json.loads(done.stdout)["target"] == ["[::1]:1"]


# Exit codes.


def test_a_path_that_works(brokers: Brokers) -> None:
    done = kdiag("check", brokers.three().bootstrap)
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) <= 9, "terse when all is well"
    assert "PASS" in done.stdout.splitlines()[-1]


EXITS = {
    "healthy": 0, "throttled": 0, "refused": 10, "no-brokers": 20, "wrong-broker": 30,
    "port-closed": 30, "produce-unanswered": 40,
}  # fmt: skip


@pytest.mark.parametrize(("name", "code"), EXITS.items())
def test_the_first_hop_that_fails_is_the_exit_code(name: str, code: int) -> None:
    done = kdiag("demo", name, "--timeout", "1")
    assert done.returncode == code
    assert done.stdout.split()[-2:] == ["exit", str(code)]
    assert done.stderr == ""


def test_a_warning_fails_when_asked_to(brokers: Brokers) -> None:
    """One of two bootstrap servers is dead."""
    dead = f"127.0.0.1:{brokers.serve(peers.hangs_up_when_asked)}"
    target = f"{brokers.three().bootstrap},{dead}"
    warned = kdiag("check", target, "-o", "json")
    failed = kdiag("check", target, "-o", "json", "--fail-on", "warning")
    assert (warned.returncode, failed.returncode) == (0, 10)
    first, second = json.loads(warned.stdout), json.loads(failed.stdout)
    assert (first["verdict"], second["verdict"]) == ("warn", "fail")
    assert second["failing_hop"] == "bootstrap"
    assert second["root_cause"] == second["findings"][0]["code"]


def test_what_is_given_and_not_used_is_said(brokers: Brokers) -> None:
    at = brokers.three().bootstrap
    given = ("--timeout", "1", "--timeout=5", "-X", "bootstrap.servers=127.0.0.1:1")
    done = kdiag("check", at, *given, "--map", "10.9.9.9=127.0.0.1", "-q")
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        [
            "kdiag: note: --timeout is given more than once: the last one counts, 5",
            f"kdiag: note: bootstrap.servers is not used: {at} is given beside the properties",
            "kdiag: note: --map of 10.9.9.9 is not used: no broker advertises it",
        ],
    )


def test_expectations_from_everywhere(brokers: Brokers, tmp_path: Path) -> None:
    """A target has some; the environment wins over it, and the command line over that."""
    target = brokers.three().bootstrap
    (tmp_path / "kdiag.toml").write_text(
        f'[targets.here]\nbootstrap = "{target}"\nexpect = ["brokers=3", "identity=proven"]\n'
    )
    met = kdiag("check", "@here", cwd=tmp_path)
    from_here = "kdiag: note: @here is from kdiag.toml in this folder\n"
    assert (met.returncode, met.stderr) == (0, from_here)
    assert "√ expect    2 of 2 expectations met" in met.stdout
    unmet = kdiag("check", "@here", cwd=tmp_path, KDIAG_EXPECT="brokers=4 acks-ms<60000")
    assert unmet.returncode == 70
    assert "Expected brokers=4: it is 3" in unmet.stdout
    asked = ("--expect", "brokers>=3", "-o", "json")
    read = json.loads(kdiag("check", target, *asked, KDIAG_EXPECT="brokers=4").stdout)
    assert [one["expectation"] for one in read["expectations"]] == ["brokers>=3"]


def test_ignored_from_everywhere(brokers: Brokers, tmp_path: Path) -> None:
    dead = f"127.0.0.1:{brokers.serve(peers.hangs_up_when_asked)}"
    target = f"{brokers.three().bootstrap},{dead}"
    (tmp_path / "kdiag.toml").write_text(
        f'[targets.here]\nbootstrap = "{target}"\nfail-on = "warning"\nignore = "KD121"\n'
    )
    assert kdiag("check", target, "--fail-on", "warning").returncode == 10
    for done in (
        kdiag("check", "@here", cwd=tmp_path),
        kdiag("check", target, "--fail-on", "warning", "--ignore", "closed-early"),
        kdiag("check", target, "--fail-on", "warning", KDIAG_IGNORE="KD121 KD103"),
    ):
        assert done.returncode == 0
        assert "– ignored: KD121 closed-early · " in done.stdout


# What goes where.


def test_nothing_but_the_report_is_on_standard_output(brokers: Brokers) -> None:
    brokers.three()
    done = kdiag("check", f"{brokers.bootstrap}", "-X", "linger.ms=5", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "pass"
    assert done.stderr.startswith("kdiag: note: ")
    assert "linger.ms" in done.stderr


def test_json_on_standard_output_and_the_report_for_people_in_a_file(
    brokers: Brokers, tmp_path: Path
) -> None:
    file = tmp_path / "report.txt"
    done = kdiag("check", brokers.three().bootstrap, "-o", "json", "-o", f"terminal={file}")
    assert json.loads(done.stdout)["exit_code"] == 0
    assert "√ bootstrap" in file.read_text("utf-8")
    assert ESCAPE not in file.read_text("utf-8")


def test_a_file_leaves_standard_output_to_the_report_for_people(
    brokers: Brokers, tmp_path: Path
) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    outputs = [text for file in files for text in ("-o", f"json={file}")]
    done = kdiag("check", brokers.three().bootstrap, *outputs)
    assert "√ bootstrap" in done.stdout
    assert [json.loads(file.read_text("utf-8"))["exit_code"] for file in files] == [0, 0]


def test_a_file_gets_its_name_when_it_is_whole(brokers: Brokers, tmp_path: Path) -> None:
    """While the walk is under way there is only a hidden file; when it fails, the old one stays."""
    file = tmp_path / "report.json"
    file.write_text("the old one", "utf-8")
    file.chmod(0o640)
    seen: list[str] = []

    def look(_: object) -> None:
        seen.append(file.read_text("utf-8"))

    brokers.three().brokers[1].control = look
    assert kdiag("check", brokers.bootstrap, "-o", f"json={file}").returncode == 0
    assert set(seen) == {"the old one"}
    assert json.loads(file.read_text("utf-8"))["exit_code"] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_new_file_has_the_rights_that_every_new_file_has(
    brokers: Brokers, tmp_path: Path
) -> None:
    file, usual = tmp_path / "report.json", tmp_path / "usual"
    usual.touch()
    kdiag("check", brokers.three().bootstrap, "-o", f"json={file}")
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_link_is_followed(brokers: Brokers, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "report.json"
    link.symlink_to(tmp_path / "real" / "report.json")
    kdiag("check", brokers.three().bootstrap, "-o", f"json={link}")
    assert link.is_symlink()
    assert json.loads((tmp_path / "real" / "report.json").read_text("utf-8"))["exit_code"] == 0


def test_when_one_file_cannot_be_written_no_other_appears(brokers: Brokers, tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    outputs = ["-o", f"json={good}", "-o", f"json={tmp_path}/none/bad.json"]
    done = kdiag("check", brokers.three().bootstrap, *outputs)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
    assert brokers.brokers[1].connections == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_takes_away_no_other_report(brokers: Brokers, tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    outputs = ["-o", "json=/dev/full", "-o", f"json={good}"]
    done = kdiag("check", brokers.three().bootstrap, *outputs)
    assert done.returncode == 2
    assert done.stderr == "kdiag: cannot write /dev/full: No space left on device\n"
    assert "√ bootstrap" in done.stdout
    assert json.loads(good.read_text("utf-8"))["exit_code"] == 0


def test_a_pipe_is_written_to_as_it_is(brokers: Brokers, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        done = kdiag("check", brokers.three().bootstrap, "-o", f"json={fifo}")
        out, _ = reader.communicate(timeout=ENOUGH)
    assert done.returncode == 0
    assert json.loads(out)["exit_code"] == 0
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_properties_from_standard_input(brokers: Brokers) -> None:
    done = kdiag(
        "check", "-F", "-", "-o", "json", stdin=f"bootstrap.servers={brokers.three().bootstrap}\n"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == [brokers.bootstrap]


def test_properties_from_a_file_and_the_command_line_on_top(
    brokers: Brokers, tmp_path: Path
) -> None:
    file = tmp_path / "client.properties"
    file.write_bytes("# Umlaut in Latin-1: ä\nclient.id=from-file\nlinger.ms=5\n".encode("latin-1"))
    brokers.three().cluster.topics["orders"] = [1]
    asked = ["--topic", "orders", "-F", str(file), "-X", "client.id=from-line"]
    assert kdiag("check", brokers.bootstrap, *asked).returncode == 0
    clients = {r.client_id for b in brokers.brokers.values() for r in b.requests}
    assert "from-line" in clients
    assert "from-file" not in clients


def test_a_file_that_is_no_file_of_properties(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as stream:
        stream.truncate(64 << 20)
    done = kdiag("check", "b:9092", "-F", str(file))
    assert done.returncode == 2
    assert "1 MiB at most" in done.stderr


def test_a_path_of_windows_in_a_file_of_properties(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("security.protocol=SSL\nssl.truststore.location=C:\\kafka\\new.jks\n")
    done = kdiag("check", "b:9092", "-F", str(file))
    assert done.returncode == 2
    assert (
        "cannot read it: No such file or directory; a backslash is an escape in a file of "
        "properties: write ssl.truststore.location=C:\\\\kafka\\\\new.jks or "
        "ssl.truststore.location=C:/kafka/new.jks"
    ) in " ".join(done.stderr.split())


# How it looks.

FAILING = ("demo", "private-address", "--timeout", "1")


def test_a_pipe_gets_no_colour() -> None:
    done = kdiag(*FAILING)
    assert ESCAPE not in done.stdout
    assert "× listeners" in done.stdout


def test_force_color_colours_a_pipe() -> None:
    assert f"{ESCAPE}[" in kdiag(*FAILING, FORCE_COLOR="1").stdout


def test_no_color_wins_over_a_terminal() -> None:
    out, _ = on_terminal(*FAILING, NO_COLOR="1")
    assert not re.search(ESCAPE + r"\[[0-9;]*3[0-7]", out), "no foreground colour"
    assert "× listeners" in COLOUR.sub("", out)


def test_a_terminal_gets_colour() -> None:
    out, _ = on_terminal(*FAILING)
    assert re.search(ESCAPE + r"\[[0-9;]*31m", out), "red"


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_lines_are_as_long_as_columns_say(columns: int) -> None:
    done = kdiag(*FAILING, COLUMNS=str(columns))
    # What is to be copied is never wrapped, an address of documentation cannot be.
    lines = [
        line
        for line in done.stdout.splitlines()
        if not line.startswith("       ") and "https://" not in line
    ]
    assert max(map(len, lines)) <= min(columns, 120)
    assert max(map(len, lines)) > min(columns, 120) * 0.7


@pytest.mark.parametrize("name", ["private-address", "not-kafka", "healthy", "throttled"])
def test_ascii_alone_says_it_all(name: str) -> None:
    plain = kdiag("demo", name, "--timeout", "1", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    full = kdiag("demo", name, "--timeout", "1")
    assert plain.returncode == full.returncode
    assert plain.stdout.isascii()
    assert not full.stdout.isascii()
    assert "?" not in plain.stdout
    assert "\\u" not in plain.stdout
    assert len(plain.stdout.splitlines()) == len(full.stdout.splitlines())
    assert re.search(r"^ [+x] bootstrap", plain.stdout, re.MULTILINE)


def test_a_list_of_scenarios_in_ascii() -> None:
    done = kdiag("demo", "--list", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()


# The live view, on a terminal of its own.


def test_a_terminal_shows_the_walk_as_it_goes_and_wipes_it() -> None:
    out, err = on_terminal("demo", "private-address", "--timeout", "1")
    assert "hop 3 of 4, listeners" in err
    assert "3 brokers, cluster" in err
    assert f"{ESCAPE}[?25h" in err, "the cursor is shown again"
    assert "hop 3 of 4, listeners" not in out
    assert "× listeners" in COLOUR.sub("", out)


@pytest.mark.parametrize("given", [{"CI": "true"}, {"TERM": "dumb"}], ids=["CI", "dumb"])
def test_no_live_view_where_nobody_watches(given: dict[str, str]) -> None:
    out, err = on_terminal(*FAILING, **given)
    assert err == ""
    assert "× listeners" in COLOUR.sub("", out)


def test_no_live_view_in_a_pipe() -> None:
    assert kdiag(*FAILING).stderr == ""


# Help, and what it costs.

IMPORTED = re.compile(r"import time:.*\|\s*(\S+)$", re.MULTILINE)
ALONE = """
import click

@click.group(epilog="end")
@click.option("--some", help="thing")
def alone(some): "What click needs by itself."

alone(["--help"])
"""


def imported(*arguments: str) -> set[str]:
    """Every module that a Python process imports, its own start included."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=ENOUGH,
    )
    assert done.returncode == 0, done.stderr
    return set(IMPORTED.findall(done.stderr))


_LIGHT = ("access", "endpoint", "options", "proxy", "security", "usage")


@pytest.mark.parametrize("help_for", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_imports_click_and_nothing_heavier(help_for: list[str]) -> None:
    mine = imported("-m", "kdiag", *help_for, "--help")
    bare = imported("-c", textwrap.dedent(ALONE))
    assert "click" in bare
    assert {"kdiag", "kdiag.cli"} <= mine
    runpy = {"runpy", "importlib.util", "importlib._abc", "importlib.machinery", "pkgutil"}
    light = {
        "kdiag",
        "kdiag.cli",
        "kdiag.report",
        "kdiag.report.render",
        "kdiag.walk",
        "kdiag.walk.areas",
        "kdiag.config.record",
        "kdiag.config",
        *(f"kdiag.config.{name}" for name in _LIGHT),
    }
    heavier = mine - bare - runpy - light - {"signal", "gc"}
    assert {name for name in heavier if not name.startswith("kdiag.cli.")} == set()


def test_a_check_does_import_what_is_heavy(brokers: Brokers) -> None:
    """What the test above rests on: it would see these."""
    found = imported("-m", "kdiag", "check", brokers.three().bootstrap)
    assert {"asyncio", "rich.console", "kdiag.api"} <= found
    assert not found & {"confluent_kafka", "dns", "cryptography", "boto3", "botocore", "msgspec"}
    seldom = {f"config.properties.{name}" for name in ("dialects", "logins", "jaas", "stores")}
    assert not found & {f"kdiag.{name}" for name in (*seldom, "aws.facts", "demo.world")}
    assert not found & {
        "kdiag.kafka.sasl.mechanisms",
        "kdiag.kafka.sasl.credentials",
        "tomllib",
        "difflib",
    }
    assert not found & {"kdiag.network.tls", "kdiag.config.targets", "kdiag.cli.lint"}
    slow = {"tempfile", "hashlib", "secrets", "pathlib", "urllib.parse", "lzma", "zipfile"}
    assert not found & slow, "what few checks need loads where it is needed"


def test_few_classes_of_a_check_take_long_to_make() -> None:
    """The methods of a dataclass are compiled, and of a named tuple all annotations: 0.9 and 0.2 ms
    for each of a hundred classes. Those of kdiag/config/record.py share their methods."""
    code = """
    import dataclasses, sys, typing
    made = []
    create, declare = dataclasses._create_fn, typing.NamedTupleMeta.__new__
    def created(name, *rest, **how):
        caller = sys._getframe(2)
        while caller and not caller.f_globals["__name__"].startswith(("kdiag.", "rich.")):
            caller = caller.f_back
        made.append(caller.f_globals["__name__"])
        return create(name, *rest, **how)
    def declared(cls, name, bases, body):
        made.append(body["__module__"])
        return declare(cls, name, bases, body)
    dataclasses._create_fn, typing.NamedTupleMeta.__new__ = created, declared
    import kdiag.cli.check, kdiag.api, kdiag.report.judge, kdiag.report.render.terminal, kdiag.rules
    kdiag.rules.walk_rules()
    print(*sorted({name for name in made if name.startswith("kdiag.")}), "rich.cells" in made)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT
    )
    # Options are made from evaluated annotations; rich's own classes show that it counts.
    assert done.stdout.split() == ["kdiag.config.options", "True"], done.stderr


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(option: str) -> None:
    done = kdiag(option)
    assert done.returncode == 0
    assert done.stderr == ""
    for name in ("check", "demo", "explain"):
        assert f"  {name} " in done.stdout
    assert "10 20 30 40" in done.stdout


def test_help_for_check_names_every_option() -> None:
    done = kdiag("check", "--help")
    options = (
        *("-X, --property", "-F, -c, --command-config", "-t, --topic", "--timeout", "--deadline"),
        *("--map", "--fail-on", "--output"),
    )
    for option in options:
        assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    "typed",
    [
        ["127.0.0.1:1", "--json"],
        ["--json", "127.0.0.1:1"],
        ["-b", "127.0.0.1:1", "--json"],
        ["--bootstrap-server=127.0.0.1:1", "-o", "json", "--json"],
        ["check", "-b", "127.0.0.1:1", "-t", "orders", "--format", "json"],
        ["check", "--bootstrap-server", "127.0.0.1:1", "-o", "JSON", "--no-color"],
        ["check", "--bootstrap-servers", "127.0.0.1:1", "-c", "/dev/null", "--json"],
    ],
    ids=" ".join,
)
def test_what_fingers_know_is_a_check(typed: list[str]) -> None:
    done = kdiag(*typed, KDIAG_BOOTSTRAP="127.0.0.1:2" if "check" in typed else "")
    assert done.returncode == 10, done.stderr
    assert json.loads(done.stdout)["target"] == ["127.0.0.1:1"]


@pytest.mark.parametrize(
    "typed",
    [
        ["demo", "healthy", "--format", "JSON"],
        ["--json", "demo", "healthy", "--timeout", "500ms"],
        ["findings", "-o", "Json"],
        ["explain", "KD301", "--json"],
        ["lint", "--json", "server.properties"],
        ["show", "report.json", "--no-color", "--json"],
        ["diff", "report.json", "other.json", "--output=json"],
    ],
    ids=" ".join,
)
def test_every_command_that_prints_has_the_same_options(typed: list[str], tmp_path: Path) -> None:
    (tmp_path / "server.properties").write_text("listeners=PLAINTEXT://:9092\n")
    saved = kdiag("check", "127.0.0.1:1", "-o", "json").stdout
    (tmp_path / "report.json").write_text(saved)
    (tmp_path / "other.json").write_text(saved)
    done = kdiag(*typed, cwd=tmp_path)
    assert json.loads(done.stdout)["schema_version"] == 1, done.stderr


def test_no_color_is_an_option_of_every_command_that_prints() -> None:
    coloured = kdiag("demo", "refused", FORCE_COLOR="1").stdout
    plain = kdiag("--no-color", "demo", "refused", FORCE_COLOR="1").stdout
    assert re.search(ESCAPE + r"\[[0-9;]*3[0-7]", coloured)
    assert not re.search(ESCAPE + r"\[[0-9;]*3[0-7]", plain)
    for name in set(COMMANDS) - {"completion", "serve", "mcp"}:
        told = kdiag(name, "--help").stdout
        for option in (
            "-o, --format, --output FORMAT[=FILE]",
            "--json",
            "--no-color",
            "-h, --help",
        ):
            assert f"  {option}" in told, (name, option)
        assert "\n  Examples:\n    kdiag " in told


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["kafka.example.com"], "to check a bootstrap server: kdiag check kafka.example.com:9092"),
        (["127.0.0.1", "1"], "127.0.0.1 1: did you mean 127.0.0.1:1?"),
        (["--topicc", "orders"], "No such option '--topicc'. Did you mean '--topic'?"),
        (["explain", "--jsn", "KD301"], "No such option '--jsn'. Did you mean '--json'?"),
        (["check", "127.0.0.1:1", "-o", "jsno"], "(did you mean json?)"),
        (["help", "chek"], "No such command 'chek'."),
        (["check"], "write kdiag check HOST:PORT, or a target of kdiag.toml: @prod, @stage"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_is_answered_with_the_right_spelling(
    typed: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "kdiag.toml").write_text(
        '[targets.prod]\nbootstrap = "b:1"\n[targets.stage]\nbootstrap = "b:2"\n'
    )
    done = kdiag(*typed, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert told in line


def test_help_and_version_are_words_too() -> None:
    assert kdiag("help").stdout == kdiag("--help").stdout
    assert kdiag("help", "check").stdout == kdiag("check", "--help").stdout
    assert kdiag("version").stdout == kdiag("-V").stdout == f"kdiag {__version__}\n"


def test_the_version() -> None:
    assert kdiag("--version").stdout == f"kdiag {__version__}\n"


# explain and demo.


@pytest.mark.parametrize("code", ["KD301", "kd301", " KD301 ", "private-address"])
def test_a_code_is_explained(code: str) -> None:
    done = kdiag("explain", code)
    assert done.returncode == 0
    assert done.stdout.startswith("KD301 private-address (error)\n")
    assert RULES["KD301"].doc.split() == done.stdout.split()[-len(RULES["KD301"].doc.split()) :]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_page_is_as_wide_as_the_terminal(columns: int) -> None:
    """What is to be copied is not broken."""
    lines = kdiag("explain", "KD301", COLUMNS=str(columns)).stdout.splitlines()
    assert max(len(line) for line in lines if "://" not in line) <= min(columns, 100)
    assert any(line.startswith("How to fix: ") for line in lines)
    assert any("advertised.listeners=INTERNAL://10.0.1.11:9092,EXTERNAL://" in x for x in lines)


@pytest.mark.parametrize(
    ("wrong", "near"), [("privat-address", "private-address"), ("KD3007", "KD307")]
)
def test_a_code_that_is_nearly_one(wrong: str, near: str) -> None:
    done = kdiag("explain", wrong)
    assert done.returncode == 2
    assert f"did you mean {near}" in done.stderr


def test_all_findings_are_listed() -> None:
    done = kdiag("findings", COLUMNS="80")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    codes = [rule.code for rule in sorted(RULES.values(), key=lambda rule: (rule.area, rule.code))]
    assert [line.split()[0] for line in lines if line.startswith("KD")] == codes
    assert max(map(len, lines)) <= 80
    told = json.loads(kdiag("findings", "-o", "json").stdout)
    assert [one["code"] for one in told["findings"]] == codes
    first = {"code": "KD001", "name": "internal-error", "severity": "error"}
    assert first.items() <= told["findings"][0].items()


def test_the_tour() -> None:
    done = kdiag("demo", "--timeout", "1")
    assert done.returncode == 0
    assert done.stderr == ""
    healthy, private = (done.stdout.index(f"$ kdiag demo {n}") for n in ("healthy", "private-addr"))
    assert healthy < private
    assert "PASS" in done.stdout[healthy:private]
    assert "KD301 private-address" in done.stdout[private:]
    assert "--list" in done.stdout.splitlines()[-1]


def test_the_list_of_scenarios() -> None:
    done = kdiag("demo", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(SCENARIOS)
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


def test_a_demo_as_json(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    done = kdiag("demo", "wrong-broker", "-o", "json", "-o", f"terminal={file}")
    assert done.returncode == json.loads(done.stdout)["exit_code"] == 30
    assert "KD307" in file.read_text("utf-8")


def test_a_port_behind_a_blank_is_the_servers() -> None:
    done = kdiag("check", "127.0.0.1", "9094")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kdiag: 127.0.0.1 9094: did you mean 127.0.0.1:9094?\n"
