"""Explanations of logs: every pattern, lines from public issues, damaged and hostile logs."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdiag.logs import reader
from kdiag.logs.explain import explain
from kdiag.logs.explanation import Explanation
from kdiag.logs.pattern import PROVES, Pattern, every_pattern
from kdiag.logs.reader import read
from kdiag.logs.render import render
from kdiag.logs.secrets import without_secrets
from kdiag.logs.text import MESSAGES
from kdiag.report.render.palette import COLOURS
from kdiag.rules.catalog import every_rule
from kdiag.walk.facts import run
from tests.running import ENOUGH, ROOT, environment, kdiag
from tests.together import together

RULES = every_rule()

EXAMPLES = [(example, pattern) for pattern in every_pattern() for example in pattern.examples]
EVERY_EXAMPLE = together("example, pattern", EXAMPLES)


def explanation_of(text: str | bytes) -> Explanation:
    data = text if isinstance(text, bytes) else text.encode()
    return explain(io.BytesIO(data), "client.log")


@EVERY_EXAMPLE
def test_every_pattern_finds_its_examples(example: str, pattern: Pattern) -> None:
    """A pattern that never matches its own example is dead."""
    noise = "INFO order 7 processed in 3 ms, status OK\n" * 3
    log = read(io.BytesIO(f"{noise}{example}\n{noise}".encode()))
    assert pattern in [event.pattern for event in log.events if event.line == 4]


def test_every_pattern_is_whole() -> None:
    for pattern in every_pattern():
        assert pattern.keys, pattern
        assert pattern.examples, pattern
        assert not pattern.code or pattern.code in RULES
        assert not pattern.code or pattern.code in MESSAGES
        assert {pattern.proves, pattern.needs} <= set(PROVES)
        assert not (pattern.code and pattern.proves)


@EVERY_EXAMPLE
def test_every_pattern_with_a_code_gives_a_root_cause(example: str, pattern: Pattern) -> None:
    if pattern.code and not pattern.needs:
        assert explanation_of(example).root_cause is not None


def test_every_message_is_a_sentence_and_every_fix_ends_with_a_full_stop() -> None:
    for code, (message, fix) in MESSAGES.items():
        assert code in RULES
        text = message.format(who="x", Who="X", at="", s="s", es="es")
        assert text[0].isupper()
        assert not text.endswith(".")
        assert fix.endswith(".")


# Lines from public issue threads: (line, root cause, hop, exit code). A hop in brackets is a guess,
# because the line does not name the hop.
PASTED = [
    (
        "%3|1|FAIL|rdkafka#producer-1| [thrd:ip-10-0-145-219.us-west-2.compute.internal:9092/0]: "
        "ip-10-0-145-219.us-west-2.compute.internal:9092/0: Failed to resolve "
        "'ip-10-0-145-219.us-west-2.compute.internal:9092': nodename nor servname provided, or not "
        "known (after 5ms in state CONNECT)",
        *("KD304", "listeners", 30),
    ),
    (
        "%3|1|FAIL|rdkafka#consumer-1| [thrd:10.10.0.3:31313/1002]: 10.10.0.3:31313/1002: Connect "
        "to ipv4#10.10.0.3:31313 failed: Connection timed out (after 131226ms in state CONNECT)",
        *("KD301", "listeners", 30),
    ),
    (
        "%3|1|FAIL|c#producer-1| [thrd:localhost:9093/bootstrap]: localhost:9093/bootstrap: "
        "Connect to ipv6#[::1]:9093 failed: Connection refused (after 0ms in state CONNECT)",
        *("KD103", "bootstrap", 10),
    ),
    (
        "%3|1|FAIL|c#producer-1| [thrd:kafka:9091/bootstrap]: kafka:9091/bootstrap: Disconnected "
        "while requesting ApiVersion: might be caused by incorrect security.protocol configuration "
        "(connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request) "
        "(after 1ms in state APIVERSION_QUERY)",
        *("KD110", "bootstrap", 10),
    ),
    (
        "%3|1|FAIL|c#producer-1| [thrd:ssl://k:9094/bootstrap]: ssl://k:9094/bootstrap: SSL "
        "handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 3ms in "
        "state SSL_HANDSHAKE)",
        *("KD111", "bootstrap", 10),
    ),
    (
        "%3|1|FAIL|c#producer-1| [thrd:kafka:9092/0]: kafka:9092/0: Host resolution failure: "
        "kafka:9092/0: Failed to resolve 'kafka:9092': Name or service not known",
        *("KD304", "listeners", 30),
    ),
    ("dial tcp 127.0.0.1:9092: connect: connection refused", "KD103", "(bootstrap)", 0),
    ("lookup c3d0d2984699: no such host", "KD304", "(listeners)", 0),
    ("lookup b-1.msk.internal on 127.0.0.53:53: server misbehaving", "KD102", "(bootstrap)", 0),
    (
        "kafka: client has run out of available brokers to talk to (Is your cluster reachable?)",
        *(None, None, 0),
    ),
    ("Error: connect ETIMEDOUT 172.21.1.13:9092", "KD104", "(bootstrap)", 0),
    (
        "KafkaJSConnectionError: Connection error: getaddrinfo ENOTFOUND kafka-2.kafka.svc",
        *("KD304", "(listeners)", 0),
    ),
    (
        "WARN [Producer clientId=p] Connection to node 2 (/10.36.13.61:9094) could not be "
        "established. Broker may not be available. (org.apache.kafka.clients.NetworkClient)",
        *("KD305", "listeners", 30),
    ),
    (
        "WARN [Consumer clientId=c, groupId=g] Connection to node -1 (localhost/127.0.0.1:9092) "
        "could not be established. Broker may not be available.",
        *("KD103", "bootstrap", 10),
    ),
    (
        "WARN [AdminClient clientId=a] Connection to node -1 (kafka/10.16.28.206:443) failed "
        "authentication due to: SSL handshake failed",
        *("KD116", "bootstrap", 10),
    ),
    (
        "WARN [Producer clientId=p] Bootstrap broker 10.100.10.3:9094 (id: -1 rack: null) "
        "disconnected",
        *("KD121", "bootstrap", 10),
    ),
    (
        "javax.net.ssl.SSLHandshakeException: No subject alternative names matching IP address "
        "10.132.131.34 found",
        *("KD113", "(bootstrap)", 0),
    ),
    (
        "No subject alternative DNS name matching strimzi-kafka-0.svc.cumulus-k8s found.",
        *("KD113", "(bootstrap)", 0),
    ),
    (
        "Unexpected handshake request with client mechanism SCRAM-SHA-512, enabled mechanisms are "
        "[]",
        *("KD118", "(bootstrap)", 0),
    ),
    (
        "The broker does not support the requested SASL mechanism.",
        *("KD119", "(bootstrap)", 0),
    ),
    (
        "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. "
        "Call: listTopics",
        *(None, None, 0),
    ),
    (
        "Expiring 1 record(s) for test-1: 1511 ms has passed since batch creation plus linger time",
        *(None, None, 0),
    ),
    ("Request METADATA failed on brokers List(x:32447 (id: -1 rack: null))", None, None, 0),
    (
        "kafka.conn DNS lookup failed for kafka:9092 (AddressFamily.AF_UNSPEC)",
        *("KD101", "(bootstrap)", 0),
    ),
    (
        "org.apache.kafka.common.network.InvalidReceiveException: Invalid receive (size = "
        "369295617 larger than 104857600)",
        *("KD111", "(bootstrap)", 0),
    ),
    (
        "Invalid receive (size = 352518912 larger than 104857600)",
        *("KD110", "(bootstrap)", 0),
    ),
    (
        "Invalid receive (size = 1195725856 larger than 104857600)",
        *("KD108", "(bootstrap)", 0),
    ),
    (
        "INFO Failed authentication with /10.0.0.7 (Unexpected Kafka request of type METADATA "
        "during SASL handshake.) (org.apache.kafka.common.network.Selector)",
        *("KD117", "bootstrap", 10),
    ),
    (
        "ERROR [Producer clientId=p] Connection to node -1 (b-1.orders.kafka.eu-west-2.amazonaws."
        "com/10.0.1.11:9098) failed authentication due to: [d3b0b5c0-0c34-4d5b]: Too many connects",
        *("KD126", "bootstrap", 10),
    ),
    (
        "org.apache.kafka.common.errors.SaslAuthenticationException: [d3b0b5c0]: Too many connects",
        *("KD126", "(bootstrap)", 0),
    ),
    (
        "%3|1|FAIL|c#producer-1| [thrd:sasl_ssl://k:9098/bootstrap]: sasl_ssl://k:9098/bootstrap: "
        "SASL authentication error: [d3b0b5c0]: Too many connects (after 9ms in state AUTH_REQ)",
        *("KD126", "bootstrap", 10),
    ),
    ("sasl: [d3b0b5c0]: Too many connects", "KD126", "(bootstrap)", 0),
    ("Received request api key METADATA which is not enabled", "KD109", "bootstrap", 10),
    ("The node does not support METADATA", "KD109", "(bootstrap)", 0),
    (
        "2 partitions have leader brokers without a matching listener, including [orders-0]",
        *("KD207", "metadata", 20),
    ),
    (
        "Unexpected broker id, expected 2 or empty string, but received 1",
        *("KD307", "listeners", 30),
    ),
    ("Error: NOT_LEADER_OR_FOLLOWER", "KD405", "produce", 40),
    ("kafka.errors.NoBrokersAvailable: NoBrokersAvailable", None, None, 0),
    (
        'KafkaError{code=_ALL_BROKERS_DOWN,val=-187,str="3/3 brokers are down"}',
        *(None, None, 0),
    ),
]


@together("line, code, hop, exit_code", PASTED)
def test_a_line_from_a_public_issue(
    line: str, code: str | None, hop: str | None, exit_code: int
) -> None:
    result = explanation_of(line)
    assert result.root_cause == code
    assert (result.hop if result.hop_told or not result.hop else f"({result.hop})") == hop
    assert result.exit_code == exit_code
    assert result.outcomes or result.findings


def test_a_limit_on_connections_is_no_wrong_password_and_no_sure_claim_without_a_login() -> None:
    login = "SASL authentication error: [d3b0]: Too many connects (after 9ms in state AUTH_REQ)"
    head = "%3|1|FAIL|c#producer-1| [thrd:sasl_ssl://k:9098/bootstrap]: sasl_ssl://k:9098/bootstrap"
    result = explanation_of(f"{head}: {login}")
    assert result.confidence == "sure"
    assert [found.finding.code for found in result.findings] == ["KD126"]
    assert result.command.endswith("-F client.properties")
    assert explanation_of("proxy: Too many connects").confidence == "likely"
    assert explanation_of("ERROR 1040 (HY000): Too many connections").root_cause is None


@pytest.mark.parametrize(
    ("size", "means"),
    [
        (369295616, "a TLS handshake"),
        (369295617, "a TLS handshake"),
        (369296129, "a TLS handshake"),
        (352518400, "a TLS alert"),
        (352518912, "a TLS alert"),
        (1213486160, "the answer of an HTTP server"),
        (1195725856, "an HTTP request"),
        (1397966893, "the greeting of an SSH server"),
    ],
)
def test_a_size_that_is_no_size_is_decoded(size: int, means: str) -> None:
    result = explanation_of(f"Invalid receive (size = {size} larger than 104857600)")
    assert result.cause is not None
    assert result.cause.finding.evidence == [
        f"the size {size} is no size: its four bytes are {means}"
    ]


def test_a_consequence_refers_to_its_root_cause() -> None:
    result = explanation_of(
        "%4|1|FAIL|p| [thrd:10.0.1.11:9094/1]: 10.0.1.11:9094/1: Connection setup timed out in "
        "state CONNECT (after 30029ms in state CONNECT)\n"
        'Message delivery failed: KafkaError{code=_MSG_TIMED_OUT,val=-192,str="Local: Message '
        'timed out"}\n' * 3
    )
    found = {r.finding.code: r.finding.consequence_of for r in result.findings}
    assert found == {"KD301": None, "KD104": "KD301"}
    assert [(line.line, line.count) for line in result.outcomes] == [(2, 3)]


def test_a_bootstrap_server_that_is_down_is_not_the_cause_if_the_client_received_metadata() -> None:
    result = explanation_of(
        "%3|1|FAIL|p| [thrd:a:9092/bootstrap]: a:9092/bootstrap: Connect to ipv4#198.51.100.1:9092 "
        "failed: Connection refused (after 0ms in state CONNECT)\n"
        "%3|1|FAIL|p| [thrd:localhost:9092/2]: localhost:9092/2: Connect to ipv4#127.0.0.1:9092 "
        "failed: Connection refused (after 0ms in state CONNECT)\n"
    )
    assert (result.root_cause, result.hop, result.exit_code) == (
        "KD302",
        "listeners",
        30,
    )
    assert result.command == "kdiag check a:9092"


def test_a_private_advertised_address_is_no_fault_for_a_client_in_the_same_network() -> None:
    result = explanation_of(
        "%4|1|FAIL|p| [thrd:10.0.1.10:9092/bootstrap]: 10.0.1.10:9092/bootstrap: Connect to "
        "ipv4#10.0.1.10:9092 failed: Connection refused (after 0ms in state CONNECT)\n"
        "%4|1|FAIL|p| [thrd:10.0.1.11:9094/1]: 10.0.1.11:9094/1: Connection setup timed out in "
        "state CONNECT (after 30029ms in state CONNECT)\n"
    )
    assert result.root_cause == "KD306"


def test_a_stack_trace_belongs_to_the_connection_of_the_line_before_it() -> None:
    result = explanation_of(
        "ERROR [Producer clientId=p] Connection to node 3 (/198.51.100.3:9094) failed "
        "authentication due to: SSL handshake failed (org.apache.kafka.clients.NetworkClient)\n"
        "org.apache.kafka.common.errors.SslAuthenticationException: SSL handshake failed\n"
        "Caused by: javax.net.ssl.SSLHandshakeException: PKIX path building failed: "
        "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid "
        "certification path to requested target\n"
    )
    assert (result.root_cause, result.hop, result.exit_code) == (
        "KD112",
        "listeners",
        30,
    )
    assert result.cause is not None
    assert result.cause.finding.subjects == ["broker 3"]


# Damaged and hostile logs.


def test_commands_are_those_of_the_system_that_explains(monkeypatch: pytest.MonkeyPatch) -> None:
    log = "%3|1|FAIL|p#producer-1| [thrd:kafka.x:9092/bootstrap]: kafka.x:9092/bootstrap: Failed "
    log += "to resolve 'kafka.x:9092': Name or service not known (after 3ms in state CONNECT)"
    log += "\nbootstrap.servers=a.x:9092,b.x:9092\n"
    for system, lookup, servers in (
        ("linux", "getent ahosts NAME", "kdiag check kafka.x:9092,"),
        ("windows", "Resolve-DnsName NAME", "kdiag check 'kafka.x:9092,"),  # else a list
    ):
        monkeypatch.setattr(run, "_SYSTEM", system)
        found = explanation_of(log)
        assert lookup in found.findings[0].finding.remedies[0].summary
        assert servers in found.command


def test_a_log_without_failures_has_no_findings() -> None:
    for text in ("", "\n\n", "INFO all is well\n" * 1000, "\x00" * 5000):
        result = explanation_of(text)
        assert (
            result.root_cause,
            result.exit_code,
            result.findings,
            result.outcomes,
        ) == (None, 0, [], [])


REFUSED = (
    b"%3|1|FAIL|p| [thrd:k:9092/bootstrap]: k:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 "
    b"failed: Connection refused (after 0ms in state CONNECT)"
)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b[31m" + REFUSED + b"\x1b[0m\x1b]0;owned\x07",
        b"\xfd\xfe\xff\x80 " + REFUSED + b"\xc3",
        bytes(range(256)).replace(b"\n", b"") * 3 + b" " + REFUSED,
        REFUSED + b"x" * 5_000_000,
        b"y" * 3_000_000 + b"\n" + REFUSED,
        REFUSED.decode().encode("utf-16"),
        (REFUSED.decode() + "\r\nnext\r\n").encode("utf-16"),
        REFUSED.replace(b" ", b"\xc2\xa0 ", 1),
        b'{"log":"' + REFUSED.replace(b'"', b'\\"') + b'\\n","stream":"stderr"}',
    ],
)
def test_a_damaged_log_is_read_and_cleaned(data: bytes) -> None:
    result = explanation_of(data)
    assert result.root_cause == "KD103"
    for reading in result.findings:
        for text in (reading.finding.message, *(line.text for line in reading.lines)):
            assert text.isprintable()
            assert len(text) < 500


def test_many_kinds_of_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the limit, and of the lines."""
    assert reader._MAX_EVENTS <= 2000
    monkeypatch.setattr(reader, "_MAX_EVENTS", 200)
    lines = (
        f"%3|1|FAIL|p| [thrd:h{n}:9092/{n}]: h{'x' * (n % 50)}{n}.example.com:9092/{n}: Failed to "
        f"resolve 'h{n}:9092': Name or service not known\n"
        for n in range(2000)
    )
    result = explanation_of("".join(lines))
    assert result.root_cause is not None
    assert result.notes == [
        "there were more kinds of lines than kdiag tells apart: the others are left out"
    ]
    assert sum(len(reading.lines) for reading in result.findings) < 100


SECRETS = [
    (r'{"msg":"{\"sasl.password\":\"hunter2,s\",\"a\":1}"}', "hunter2"),
    ("Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=hunter2abc=", "hunter2"),
    ("password='hunter2,secret more'", "secret more"),
    ("kcat --sasl.password hunter2 -b k:9092", "hunter2"),
    ('{sasl,{plain,<<"alice">>,<<"hunter2">>}}', "hunter2"),
    ('sasl: {:scram_sha_256, "user", "hunter2"}', "hunter2"),
    ("sasl=('alice', 'hunter2')", "hunter2"),
    ("kafka://alice-a@k:9092", "alice-a"),
    ("sasl.password=hunter2-secret", "hunter2-secret"),
    (
        'sasl.jaas.config=o.a.k.PlainLoginModule required username="u" password="hunter2-s";',
        "hunter2-s",
    ),
    ('{"password": "hunter2-secret"}', "hunter2-secret"),
    ("ssl.key.password = 'hunter2 secret'", "hunter2 secret"),
    ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    ("http://user:hunter2-secret@proxy:8080/", "hunter2-secret"),
    ("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "eyJhbGciOiJIUzI1NiJ9"),
    ("using key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
    ("X-Amz-Signature=0123456789abcdef&x=1", "0123456789abcdef"),
    ("<SaslPassword>hunter2</SaslPassword>", "hunter2"),
    ("url=kafka://:hunter2@k:9092", "hunter2"),
    ("client secret 'hunter2'", "hunter2"),
    ("sasl_plain_password hunter2", "hunter2"),
    ('"sasl_password":{"value":"hunter2"}', "hunter2"),
    ("the password is hunter2", "hunter2"),
]


@together("line, secret", SECRETS)
@together("form", ["terminal", "json"])
def test_a_secret_in_a_line_is_not_printed(line: str, secret: str, form: str) -> None:
    result = explanation_of(f"{line} {REFUSED.decode()} {line}\n")
    assert result.exit_code == 10
    stream = io.StringIO()
    render(form, [result], stream)
    assert secret not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.parametrize("form", ["terminal", "json"])
def test_the_command_prints_no_secret(form: str) -> None:
    log = "".join(f"{line} {REFUSED.decode()} {line}\n" for line, _ in SECRETS)
    done = kdiag("explain", "-", "-o", form, stdin=log)
    assert done.returncode == 10
    assert [secret for _, secret in SECRETS if secret in done.stdout + done.stderr] == []
    assert "***" in done.stdout


def test_words_about_a_password_stay() -> None:
    for line in (
        "Invalid username or password (x)",
        "the password is incorrect",
        "invalid token '<'",
    ):
        assert without_secrets(line) == line


# The command line.


def test_explain_reads_files_standard_input_and_a_line(tmp_path: Path) -> None:
    log = tmp_path / "client.log"
    log.write_bytes(REFUSED + b"\n")
    for done in (
        kdiag("explain", str(log)),
        kdiag("explain", "-", stdin=REFUSED.decode()),
        kdiag("explain", REFUSED.decode()),
    ):
        assert (done.returncode, done.stderr) == (10, "")
        assert "root cause: KD103 refused · hop 1, bootstrap · tcp · sure" in done.stdout
        assert "kdiag check k:9092" in done.stdout
    done = kdiag("explain", str(log), "-o", "json")
    assert done.returncode == 10
    found = json.loads(done.stdout)
    assert (found["kind"], found["root_cause"], found["hop"]) == ("log", "KD103", "bootstrap")
    assert found["findings"][0]["lines"][0]["line"] == 1
    (tmp_path / "KD301").write_bytes(REFUSED)
    assert kdiag("explain", "KD301", cwd=tmp_path).returncode == 0  # the code; ./KD301 is the file
    assert kdiag("explain", "./KD301", cwd=tmp_path).returncode == 10


def test_explain_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    done = kdiag("explain", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Is a directory" in done.stderr
    done = kdiag("explain", str(tmp_path / "gone.log"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "and no file" in done.stderr


@pytest.mark.parametrize(
    ("line", "styles"),
    [
        ("%3|1|FAIL|p| [thrd:k:9092/bootstrap]: k:9092/bootstrap: Connect to ipv4#198.51.100.7:9 "
         "failed: Connection refused (after 0ms in state CONNECT)", {"fail", "dim"}),
        ("kafka.errors.NoBrokersAvailable: NoBrokersAvailable", {"warn", "dim"}),
    ],
)  # fmt: skip
def test_the_colours_are_those_of_the_report(
    line: str, styles: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They can be read on a light background too."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    render("terminal", [explanation_of(line)], stream)
    used = set(re.findall(r"\x1b\[([\d;]+)m", stream.getvalue()))
    colours = {code.removeprefix("1;") for code in used} - {"0", "1"}
    assert colours == {f"38;5;{COLOURS[style]}" for style in styles}


def test_the_text_output_fits_ascii_and_80_columns() -> None:
    done = kdiag("explain", "-", stdin=REFUSED.decode(), COLUMNS="80", PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.timeout(240)
def test_a_log_of_100_megabytes_needs_less_than_100_megabytes_of_memory(tmp_path: Path) -> None:
    """tests/benchmarks.py measures the time."""
    log = tmp_path / "application.log"
    block = "".join(
        f"2026-11-24 12:32:39,753 [exec-{n % 200}] INFO OrderService - order {n * 7919} "
        f"of {n * 104729:x}-{n * 15485863:x} processed in {n % 900} ms, status OK\n"
        for n in range(50_000)
    ).encode()
    with log.open("wb") as file:
        for _ in range(100_000_000 // len(block) + 1):
            file.write(block)
        file.write(REFUSED + b"\n")
    script = (
        "import re, sys; from kdiag.logs.explain import explain\n"
        "result = explain(open(sys.argv[1], 'rb'), 'x')\n"
        "most = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())\n"
        "print(result.root_cause, int(most[1]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(log)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=4 * ENOUGH,
        check=True,
    )
    code, megabytes = done.stdout.split()
    assert code == "KD103"
    assert int(megabytes) < 100


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_no_damaged_line_raises_an_exception(data: st.DataObject) -> None:
    """Lines of clients, damaged: cut, repeated, with many digits and unusual characters."""
    lines = []
    for _ in range(data.draw(st.integers(1, 4))):
        line = data.draw(st.sampled_from([example for example, _ in EXAMPLES]))
        at = data.draw(st.integers(0, len(line)))
        more = data.draw(st.sampled_from(["9" * 5000, "٣" * 20, "\x1b[2J", "\x00", "[" * 50, ""]))
        some = data.draw(st.text(max_size=8))
        end = data.draw(st.integers(at, len(line)))
        lines.append(line[:at] + some + more + line[end if data.draw(st.booleans()) else at :])
    result = explanation_of("\n".join(lines).encode("utf-8", "surrogatepass"))
    stream = io.StringIO()
    for form in ("terminal", "json"):
        render(form, [result], stream)
    assert all(c.isprintable() or c == "\n" for c in stream.getvalue())


@pytest.fixture
def fewest_digits() -> Iterator[int]:
    """More digits than Python makes a number of, which takes 4,300 unless it is told less."""
    usual, least = sys.get_int_max_str_digits(), sys.int_info.str_digits_check_threshold
    sys.set_int_max_str_digits(least)
    yield least + 1
    sys.set_int_max_str_digits(usual)


@EVERY_EXAMPLE
def test_a_number_of_too_many_digits_raises_no_exception(
    example: str, pattern: Pattern, fewest_digits: int
) -> None:
    explanation_of(re.sub(r"\d+", "7" * fewest_digits, example))
