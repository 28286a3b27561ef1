"""Wordings of every client: what a line in these words is about, and what it does not prove."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kdiag.logs.explain import explain
from kdiag.logs.explanation import Explanation
from kdiag.logs.render import render
from tests.together import together

# Text → codes of which one is right (ANY: a likely one, or lines without a code; NONE: neither),
# and the hop that the text tells; "unknown" if it must not be told.
WORDINGS = json.loads((Path(__file__).parent / "wordings.json").read_text("utf-8"))


def explanation_of(text: str) -> Explanation:
    return explain(io.BytesIO(text.encode()), "client.log")


def text_of(result: Explanation) -> str:
    stream = io.StringIO()
    render("terminal", [result], stream)
    return " ".join(stream.getvalue().split())


@together("case", WORDINGS)
def test_a_wording_is_known(case: dict[str, str]) -> None:
    result, codes = explanation_of(case["text"]), case["codes"].split(",")
    if result.root_cause is None:
        assert "NONE" in codes or ("ANY" in codes and result.outcomes)
        return
    assert result.root_cause in codes or ("ANY" in codes and result.confidence == "likely")
    if case["hop"] == "unknown":
        assert not result.hop_told
    elif case["hop"] != "any":
        assert (result.hop, result.hop_told) == (case["hop"], True)


REFUSED = (
    "k:9092/2: Connect to ipv4#198.51.100.7:9092 failed: Connection refused (after 0ms in state "
)


def test_the_name_of_a_thread_is_not_the_broker() -> None:
    result = explanation_of(f"%3|1|FAIL|p| [thrd:k:9092/bootstrap]: {REFUSED}state CONNECT)")
    assert (result.root_cause, result.hop) == ("KD305", "listeners")
    assert result.cause is not None
    assert result.cause.finding.subjects == ["broker 2"]


def test_a_hop_that_the_log_does_not_tell_is_hop_1_or_3() -> None:
    for line in ("dial tcp 127.0.0.1:9092: connect: connection refused", "lookup k: no such host"):
        result = explanation_of(line)
        assert (result.hop_told, result.confidence, result.exit_code) == (False, "likely", 0)
        assert "hop 1 or 3" in text_of(result)
        assert "bootstrap" not in text_of(result)
    text = text_of(explanation_of("unable to find valid certification path to requested target"))
    assert "SURE · hop 1 or 3: KD112" in text
    assert "bootstrap" not in text


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("lookup c3d0d2984699: no such host", "KD304"),
        ("dial tcp 0.0.0.0:9092: connect: connection refused", "KD303"),
        ("KafkaJSConnectionError: getaddrinfo ENOTFOUND kafka-2.kafka-headless.kafka.svc", "KD304"),
    ],
)
def test_an_address_that_only_a_broker_advertises_leans_to_hop_3(line: str, code: str) -> None:
    result = explanation_of(line)
    assert (result.root_cause, result.hop, result.hop_told) == (code, "listeners", False)
    assert result.confidence == "likely"
    assert "hop 1 or 3, rather 3" in text_of(result)


def test_a_refusal_at_a_private_address_was_reached() -> None:
    text = text_of(
        explanation_of(
            f"%3|1|FAIL|p| [thrd:x]: {REFUSED}CONNECT)".replace("198.51.100.7", "10.0.1.7")
        )
    )
    assert "KD305" in text
    assert "not reachable" not in text


def test_a_connection_between_brokers_is_no_hop_of_a_client() -> None:
    result = explanation_of(
        "WARN [RaftManager id=1] Connection to node 2 (k2/10.0.0.2:9093) could not be established. "
        "Node may not be available. (org.apache.kafka.clients.NetworkClient)"
    )
    assert (result.hop, result.hop_told, result.exit_code) == (None, False, 0)
    assert result.cause is not None
    assert result.cause.brokers
    assert "between brokers" in text_of(result)
    assert "advertise" not in text_of(result)


def test_a_login_in_a_line_is_no_refused_login() -> None:
    head = "%3|1|FAIL|p| [thrd:sasl_ssl://k:9094/bootstrap]: sasl_ssl://k:9094/bootstrap: "
    for text, code in (
        ("SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure "  # noqa: E501
         "(after 0ms in state DOWN)", "KD121"),
        ("SASL PLAIN mechanism handshake failed: Local: Broker transport failure: check client alice "  # noqa: E501
         "credentials and broker logs (after 3ms in state AUTH_REQ)", "KD121"),
        ("SASL SCRAM-SHA-512 mechanism handshake failed: Local: Timed out (after 9000ms in state "
         "AUTH_HANDSHAKE)", "KD107"),
        ("Connection setup timed out in state AUTH_REQ (after 30003ms in state AUTH_REQ)", "KD107"),
    ):  # fmt: skip
        assert explanation_of(head + text).root_cause == code


def test_the_clients_own_settings_are_no_finding() -> None:
    for line in (
        "java.lang.IllegalArgumentException: Could not find a 'KafkaClient' entry in the JAAS configuration.",  # noqa: E501
        "ConfigException: Invalid url in bootstrap.servers: kafka org.apache.kafka",
        "kafka: invalid configuration (Net.SASL.User must not be empty when SASL is enabled)",
    ):
        result = explanation_of(line)
        assert result.root_cause is None
        assert [outcome.kind for outcome in result.outcomes] == ["own"]
        assert "CLIENT'S SETTINGS" in text_of(result)


def test_unknown_words_of_a_client_are_shown_as_that() -> None:
    line = "ERROR [Producer clientId=p] The flux capacitor failed (org.apache.kafka.clients.Flux)"
    result = explanation_of(line)
    assert [(o.kind, o.text) for o in result.outcomes] == [("unknown", line)]
    assert "UNKNOWN MESSAGE" in text_of(result)
    assert "no line in it tells of a failure" not in text_of(explanation_of("INFO all is well"))


PLAINTEXT_HINT = (
    "%3|1|FAIL|rdkafka#producer-1| [thrd:ssl://k:9092/bootstrap]: ssl://k:9092/bootstrap: SSL "
    "handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 7ms in state SSL_HANDSHAKE)"  # noqa: E501
)


def test_a_line_with_several_causes_names_the_others() -> None:
    result = explanation_of(PLAINTEXT_HINT)
    assert (result.root_cause, result.confidence) == ("KD111", "likely")
    assert "the same line comes from a proxy, load balancer or firewall" in text_of(result)
    # OpenSSL says that the bytes are no TLS: no other cause
    proven = explanation_of(f"{PLAINTEXT_HINT}\nssl.SSLError: [SSL: WRONG_VERSION_NUMBER] rdkafka")
    assert (proven.root_cause, proven.confidence) == ("KD111", "sure")
    assert "the same line comes from" not in text_of(proven)


def test_a_name_of_an_inner_network_is_never_sure_to_be_unknown_outside() -> None:
    line = (
        "%3|1|FAIL|rdkafka#consumer-1| [thrd:{0}/2]: {0}/2: Failed to resolve '{0}': Name or "
        "service not known (after 1ms in state CONNECT)"
    )
    for address in ("kafka:9092", "kafka-0.kafka-headless.svc:9092"):  # its container may be down
        result = explanation_of(line.format(address))
        assert (result.root_cause, result.confidence) == ("KD304", "likely")
    public = explanation_of(line.format("b-1.example.com:9092"))
    assert (public.root_cause, public.confidence) == ("KD101", "sure")


SASL = "%3|1|FAIL|rdkafka#producer-1| [thrd:sasl_plaintext://k:9092/bootstrap]: sasl_plaintext://k:9092/bootstrap: "  # noqa: E501


def test_a_login_that_the_client_could_not_begin_is_not_refused() -> None:
    outcome = "% ERROR: Local: Authentication failure: 1/1 brokers are down rdkafka"
    own = explanation_of(
        f"{SASL}Failed to initialize SASL authentication: generic failure (after 0ms in state AUTH_REQ)"  # noqa: E501
        f"\n{outcome}"
    )
    assert (own.root_cause, own.outcomes[0].kind) == (None, "own")
    assert explanation_of(outcome).root_cause == "KD120"


def test_a_broker_that_does_not_start_is_no_hop_of_a_client() -> None:
    result = explanation_of(
        "kafka.common.KafkaException: Socket server failed to bind to 0.0.0.0:9092: Address already in use.\n"  # noqa: E501
        "at kafka.server.KafkaServer.startup(KafkaServer.scala:191)"
    )
    assert (result.root_cause, [o.kind for o in result.outcomes]) == (None, ["stopped"])
    assert "BROKER STOPPED" in text_of(result)


def test_a_stack_of_a_connection_between_brokers_is_no_hop_of_a_client() -> None:
    cause = (
        "Caused by: java.security.cert.CertificateException: No subject alternative DNS name "
        "matching k-0.example.com found."
    )
    stack = "at org.apache.kafka.server.util.InterBrokerSendThread.doWork(InterBrokerSendThread.java:137)"  # noqa: E501
    result = explanation_of(f"{stack}\n{cause}")
    assert (result.root_cause, result.hop) == ("KD113", None)
    assert explanation_of(cause).confidence == "sure"


@pytest.mark.parametrize(
    "line",
    [
        "InvalidReceiveException: Invalid receive (size = 11957258 larger than 1048576) org.apache.kafka",  # noqa: E501
        "%3|1|FAIL|rdkafka#c-1| [thrd:k:9092/1]: k:9092/1: Receive failed: Invalid response size 100000039 (0..100000000): increase receive.message.max.bytes",  # noqa: E501
        "%3|1|FAIL|rdkafka#c-1| [thrd:k:9092/1]: k:9092/1: Receive failed: Invalid message size 100663755 (0..100000000): increase receive.message.max.bytes",  # noqa: E501
    ],
)
def test_a_size_that_no_protocol_has_is_that_of_a_message(line: str) -> None:
    result = explanation_of(line)
    assert (result.root_cause, [o.kind for o in result.outcomes]) == (None, ["large"])
    size = line.split("size ")[1].removeprefix("= ").split()[0]
    http = explanation_of(line.replace(size, "1213486160"))
    assert (http.root_cause, http.confidence) == ("KD108", "sure")
    tls = explanation_of(line.replace(size, "369295616"))
    assert (tls.root_cause in ("KD111", "KD312"), tls.confidence) == (True, "sure")
    other = explanation_of(line.replace(size, "-1717986919"))
    assert (other.root_cause, other.confidence) == ("KD108", "likely")


def test_the_server_s_own_reason_to_refuse_a_login_is_shown() -> None:
    result = explanation_of(
        f"{SASL}SASL authentication error: The request was rejected by firewall checks. (after 3ms in state AUTH_REQ)"  # noqa: E501
    )
    assert (result.root_cause, result.confidence) == ("KD120", "likely")
    assert "the server says: The request was rejected by firewall checks." in text_of(result)
    wrong = explanation_of(
        f"{SASL}SASL authentication error: Authentication failed: Invalid username or password (after 3ms in state AUTH_REQ)"  # noqa: E501
    )
    assert (wrong.root_cause, wrong.confidence) == ("KD120", "sure")


def test_the_broker_s_own_keystore_is_no_handshake_of_a_client() -> None:
    text = (
        "javax.net.ssl.SSLHandshakeException: No available authentication scheme for configuration "
        "A client SSLEngine created with the provided settings can't connect (org.apache.kafka)"
    )
    own = explanation_of(f"org.apache.kafka.common.config.ConfigException: Invalid value {text}")
    assert (own.root_cause, [o.kind for o in own.outcomes]) == (None, ["own"])
    assert explanation_of(f"Caused by: {text}").root_cause == "KD116"


def test_a_record_that_the_producer_itself_refuses_is_not_rejected_by_a_broker() -> None:
    error = "org.apache.kafka.common.errors.RecordTooLargeException: "
    own = explanation_of(
        f"{error}The message is 4794004 bytes when serialized which is larger than the maximum "
        "request size you have configured with the max.request.size configuration."
    )
    assert (own.root_cause, [o.kind for o in own.outcomes]) == (None, ["own"])
    server = explanation_of(
        f"{error}The request included a message larger than the max message size the server will accept."  # noqa: E501
    )
    assert (server.root_cause, server.confidence) == ("KD406", "sure")


def test_a_rebalance_alone_is_no_failure() -> None:
    line = "INFO [Consumer clientId=c] Attempt to heartbeat failed since group is rebalancing"
    result = explanation_of(line)
    assert (result.root_cause, [o.kind for o in result.outcomes]) == (None, ["rebalance"])
    assert "NO FAILURE" in text_of(result)
    other = f"{line}\nWARN [Consumer clientId=c] Timeout expired while fetching topic metadata"
    assert "UNEXPLAINED" in text_of(explanation_of(other))


@pytest.mark.parametrize(
    "line",
    [
        "WARN Error registering AppInfo mbean (org.apache.kafka.common.utils.AppInfoParser)",
        "%7|1|BUFQ|rdkafka#p-1| [thrd:k:9092/1]: k:9092/1: Updating 0 buffers on connection reset",
        "%7|1|BROKERFAIL|rdkafka#p-1| [thrd:k:9092/1]: k:9092/1: failed: err: Local: Broker handle destroyed: (errno: Success)",  # noqa: E501
    ],
)
def test_a_harmless_line_is_no_failure(line: str) -> None:
    result = explanation_of(line)
    assert (result.root_cause, result.outcomes) == (None, [])


def test_a_failure_that_passed_is_no_failing_hop() -> None:
    result = explanation_of(
        "WARN [Producer clientId=p] Connection to node -2 (b/203.0.113.5:11092) could not be "
        "established. Node may not be available. (org.apache.kafka.clients.NetworkClient)\n"
        "INFO [Producer clientId=p] Cluster ID: MkU3OEVBNTcwNTJENDM2Qk (org.apache.kafka.clients.Metadata)\n"  # noqa: E501
    )
    assert (result.root_cause, result.recovered, result.exit_code) == ("KD103", True, 0)


def test_lines_are_counted_apart_by_node_and_error() -> None:
    lines = [
        f"%3|{n}.1|FAIL|p| [thrd:k-{n % 3}:9092/{n % 3}]: k-{n % 3}:9092/{n % 3}: Connect to "
        f"ipv4#198.51.100.{n % 3}:9092 failed: Connection refused (after {n}ms in state CONNECT)"
        for n in range(600)
    ]
    result = explanation_of("\n".join(sorted(lines, key=lambda line: line.split("[thrd:")[1])))
    assert result.cause is not None
    assert sorted(line.count for line in result.cause.lines) == [200, 200, 200]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (
            "kafka.errors.KafkaTimeoutError: Batch for TopicPartition(topic='orders', partition=0) "
            "bootstrap.servers = [k:9092]\nerror UNKNOWN_TOPIC_OR_PARTITION",
            "kdiag check k:9092 --topic orders",
        ),
        ("Broker: Unknown topic or partition", "kdiag check HOST:PORT --topic TOPIC"),
        ("dial tcp 10.0.1.11:9092: i/o timeout", "kdiag check 10.0.1.11:9092"),
        (
            "%3|1|FAIL|p| [thrd:ssl://k:9093/bootstrap]: ssl://k:9093/bootstrap: Connect to "
            "ipv4#198.51.100.7:9093 failed: Connection refused (after 0ms in state CONNECT)",
            "kdiag check k:9093 -X security.protocol=SSL",
        ),
    ],
)
def test_the_command_has_what_the_log_has(line: str, command: str) -> None:
    assert explanation_of(line).command == command


PKIX = (
    "Caused by: javax.net.ssl.SSLHandshakeException: PKIX path building failed: "
    "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid "
    "certification path to requested target\n"
    "\tat java.base/sun.security.ssl.Alert.createSSLException(Alert.java:131)\n"
)
JAVA_LOGIN = (
    "ERROR [Producer clientId=p] Connection to node -1 (k.example.com/203.0.113.5:9093) failed "
    "authentication due to: SSL handshake failed (org.apache.kafka.clients.NetworkClient)\n"
    "org.apache.kafka.common.errors.SslAuthenticationException: SSL handshake failed\n"
)


@together(
    "text",
    [
        "requests.exceptions.SSLError: HTTPSConnectionPool(host='api', port=443): Max retries "
        "exceeded with url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: "
        "CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer "
        "certificate (_ssl.c:1129)')))",
        "org.springframework.web.client.ResourceAccessException: I/O error on GET request for "
        f'"https://api.example.com/v1"\n{PKIX}',
        "ERROR Failed to send HTTP request to endpoint: https://sr.example.com:8081/subjects "
        f"(io.confluent.kafka.schemaregistry.client.rest.RestService)\n{PKIX}",
        "npm ERR! code SELF_SIGNED_CERT_IN_CHAIN",
        "postfix/smtpd[1]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: "
        "authentication failure",
        "http: TLS handshake error from 10.0.0.1:51234: EOF",
        "dial tcp: lookup kubernetes.default.svc on 10.96.0.10:53: no such host",
        "java.net.UnknownHostException: eureka-server\n"
        "\tat java.net.InetAddress.getAllByName(InetAddress.java:1281)\n"
        "\tat com.netflix.discovery.shared.transport.X.y(Z.java:1)",
    ],
)
def test_a_failure_of_other_software_has_no_code(text: str) -> None:
    assert explanation_of(text).root_cause is None


def test_a_client_of_kafka_near_other_software_keeps_its_failure() -> None:
    other = "org.postgresql.util.PSQLException: The connection attempt failed.\n"
    result = explanation_of(JAVA_LOGIN + PKIX + "INFO started\n" * 3 + other)
    assert (result.root_cause, result.confidence) == ("KD112", "sure")
    assert explanation_of(other + PKIX + "INFO started\n" * 3 + JAVA_LOGIN).root_cause != "KD112"


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        (
            "%4|1|SESSTMOUT|rdkafka#consumer-1| [thrd:main]: Consumer group session timed out (in "
            "join-state steady) after 45000 ms without a successful response from the group "
            "coordinator (broker 1, last error was Success)",
            [""],
        ),
        (
            'KafkaError{code=NOT_COORDINATOR,val=16,str="Commit failed: Broker: Not coordinator"}',
            [""],
        ),
        (
            "org.apache.kafka.connect.errors.ConnectException: Creation of database history topic "
            "failed, please create the topic manually",
            [""],
        ),
        (
            "WARN WorkerSinkTask{id=s-0} Commit of offsets timed out "
            "(org.apache.kafka.connect.runtime.WorkerSinkTask)",
            [""],
        ),
        ("kafka: tls: failed to parse private key", ["own"]),
        (
            "KafkaException: Unexpected error in InitProducerIdResponse; The transaction timeout "
            "is larger than the maximum value allowed by the broker (as configured by "
            "transaction.max.timeout.ms).",
            ["own"],
        ),
        (
            "[error] [output:kafka:kafka.0] cannot configure 'security.protocol' property",
            ["own"],
        ),
        ("[ERROR] [^Worker]: Error: ConnectionError('Connection at 10.1.1.5:9092 broken')", [""]),
        (
            "INFO [Worker clientId=c, groupId=g] JoinGroup failed: This is not the correct "
            "coordinator. Marking coordinator unknown.",
            [""],
        ),
        (
            "INFO [Consumer clientId=c, groupId=g] SyncGroup failed: The group began another "
            "rebalance. Need to re-join the group.",
            ["rebalance"],
        ),
        (
            "INFO [GroupCoordinator 1]: Member sr-1-a6e1 in group schema-registry has failed, "
            "removing it from the group (kafka.coordinator.group.GroupCoordinator)",
            ["rebalance"],
        ),
        (
            "INFO [QuorumController id=0] registerBroker: event failed with "
            "NotControllerException in 117 microseconds. "
            "(org.apache.kafka.controller.QuorumController)",
            [],
        ),
        (
            "WARN [main-SendThread(kafka:31283)] --- ClientCnxn: Session 0x0 for server null, "
            "unexpected error, closing socket connection and attempting reconnect\n"
            "java.net.ConnectException: Connection refused: no further information",
            [],
        ),
    ],
)
def test_a_line_without_a_code_is_known(line: str, kinds: list[str]) -> None:
    result = explanation_of(line)
    assert (result.root_cause, [o.kind for o in result.outcomes]) == (None, kinds)


def test_a_denied_topic_alone_names_what_else_is_denied() -> None:
    result = explanation_of("ERROR not sent: TOPIC_AUTHORIZATION_FAILED")
    assert (result.root_cause, result.confidence) == ("KD403", "likely")
    assert "KD205" in text_of(result)
