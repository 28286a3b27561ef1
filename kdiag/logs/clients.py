"""The client that wrote a log line, and how that client logs more."""

from __future__ import annotations

import re

LIBRDKAFKA, JAVA, BROKER, PYTHON = "librdkafka", "the Java client", "a broker", "kafka-python"
NODE, SARAMA, FRANZ, SEGMENTIO = "kafkajs", "sarama", "franz-go", "segmentio/kafka-go"
RUBY, ERLANG, KAFKA_NODE = "ruby-kafka", "brod", "kafka-node"
AIOKAFKA, GO = "aiokafka", "a Go client"

# Text that only one client writes. The patterns of that client are tried before all others.
_MARKERS = (
    (BROKER, r"\[SocketServer|\[KafkaRaftServer|kafka\.server\.|\[BrokerServer|\[RaftManager|"
     r"\[ReplicaFetcher|\[Broker(?:ToController|LifecycleManager)|NodeToControllerChannelManager|"
     r"\[Controller (?:id=|\d)|\[RequestSendThread|kafka\.controller\."),
    (LIBRDKAFKA, r"%\d\|\d+\.\d+\||\[thrd:|rdkafka|KafkaError ?[{(]|cimpl\.|RDKAFKA|"
     r"Confluent\.Kafka|#(?:producer|consumer)-\d|/bootstrap: |\bLocal_[A-Z]\w+|"
     r"(?:^|[\s:])(?:Local|Broker): [A-Z]\w+ \w|\(after \d+ms in state [A-Z]"),
    (KAFKA_NODE, r"kafka-node|kafkaClient\.js|BrokerNotAvailableError|\bbaseClient\.js"),
    (NODE, r'"logger":"kafkajs"|[Kk]afkajs|KafkaJS|\[BrokerPool\]'),
    (AIOKAFKA, r"aiokafka|Unable connect to"),
    (PYTHON, r"(?<![\w.])kafka[.:](?:conn|net|client|cluster|coord|prod|err|consumer)"
     r"(?!group|\w*:type|[\w.]*\.[A-Z])|<(?:Broker|Kafka)Conn|KafkaTimeoutError|NoBrokersAvailable"),
    (RUBY, r"kafka(?:\+ssl)?://|Kafka::[A-Z]\w+|ruby-kafka|racecar|any of the seed brokers|"
     r"\(node_id=\d+\)|leader for partition \S+/\d"),
    (ERLANG, r"\bkpro_|\bbrod_|\bbrod\b|kafka_protocol"),
    (JAVA, r"springframework\.kafka|org\.apache\.kafka|o(?:rg)?\.a(?:pache|pa)?\.k(?:afka|af)?\.|"
     r"o\.apache\.kafka|\bkafka\.(?:utils|producer|client)\.|"
     r"\[(?:Producer|Consumer|Admin\w*) (?:clientId|instanceId)="),
    (SEGMENTIO, r"kafka\.\(\*\w+\)|segmentio|kafka write errors|the kafka reader got|"
     r"failed to (?:dial: failed to )?open connection to|could not successfully authenticate to|"
     r"[Ff]ailed to (?:write messages|dial leader|sync group|join group)|[Kk]afka write errors"),
    (SARAMA, r"(?i)\bsarama\b|client/(?:metadata|brokers|coordinator)|producer/broker/\d|"
     r"consumer/broker/\d|client has run out of available brokers|kafka server: |"
     r"kafka: [Ff]ailed to"),
    (FRANZ, r"\bkgo\b|franz|topic metadata wait failed|"
     r"broker: (?:seed[_ ])?-?\d|\bbroker=(?:seed_)?-?\d|"
     r'"broker(?:_id)?": ?"?(?:seed_)?-?\d+(?![\d.])|unable to initialize sasl|'
     r'unable to (?:dial|open connection to broker|request api versions)'),
    (GO, r"dial tcp|lookup \S+ on \S+:53|x509: |tls: |(?:read|write) tcp "),
)  # fmt: skip
_COMPILED = tuple((name, re.compile(marker)) for name, marker in _MARKERS)

# Clients of one language: a pattern of one of them also fits the others' lines.
_FAMILIES = ({SARAMA, FRANZ, SEGMENTIO, GO}, {PYTHON, AIOKAFKA}, {NODE, KAFKA_NODE}, {BROKER, JAVA})
_FAMILY = {name: min(family) for family in _FAMILIES for name in family}

# One of these words is in every line that has a marker, but for "%3|" of librdkafka.
MARKER_WORDS = frozenset(
    b"kafka rdkafka thrd sarama aiokafka kafkajs brod kpro racecar karafka networkclient clientid "
    b"brokerconnection socketserver raftmanager brokerpool kafkajsconnectionerror librdkafka kgo "
    b"kafkajsprotocolerror kafkajserror kafkajsnonretriableerror "
    b"franz brokernotavailableerror nobrokersavailable kafkaerror brokers broker producer consumer "
    b"bootstrap dial tls tcp leader connect local".split()
)
FAILURE_WORDS = frozenset(
    b"error errors err failed fail failure failing exception timeout timedout timed refused denied "
    b"disconnected closed unable cannot lost eof reset unavailable fatal could couldn aborted "
    b"rejected unreachable expired invalid unexpected errno brokerfail exited panic "
    b"kafkajsprotocolerror kafkajserror kafkajsnonretriableerror".split()
)
_FAILURE = re.compile(
    r"(?i)\b(?:err(?:or)?s?|fail(?:ed|ure|ing)?|\w*exception|timed? ?out|refused|denied|lost|eof|"
    r"disconnected|unable|cannot|could(?:n't| not)|unavailable|fatal|reset|rejected|aborted|"
    r"expired|unreachable|\w+Error)\b"
)
_NO_FAILURE = re.compile(
    r"(?i)\b(?:0 (?:failed|errors?)|no errors?|"
    r"errors?[\"']?\s?[=:]\s?(?:0|nil|null|none|<nil>|\[\])|"
    r"request_error=<nil>|TRACE|DEBUG|retriable)\b|%7\|"
)

# How a client is made to log more.
MORE = {
    LIBRDKAFKA: "set debug=broker,security,protocol in the client's properties",
    JAVA: "set the logger org.apache.kafka.clients to DEBUG; its WARN lines have the reason",
    PYTHON: "logging.getLogger('kafka').setLevel('DEBUG')",
    AIOKAFKA: "logging.getLogger('aiokafka').setLevel('DEBUG')",
    NODE: "logLevel: logLevel.DEBUG in new Kafka({…})",
    KAFKA_NODE: "run with DEBUG=kafka-node:*",
    SARAMA: "sarama.Logger = log.New(os.Stderr, \"[sarama] \", log.LstdFlags)",
    FRANZ: "kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelDebug, nil))",
    SEGMENTIO: "set ErrorLogger and Logger of the Reader or Writer",
    RUBY: "Kafka.new(…, logger: Logger.new($stderr))",
}  # fmt: skip


def client_of(text: str) -> str:
    """The client that wrote a line, "" if the line does not tell."""
    return next((name for name, marker in _COMPILED if marker.search(text)), "")


def same_family(client: str, other: str) -> bool:
    """Whether two clients are of one language."""
    return client == other or (client in _FAMILY and _FAMILY[client] == _FAMILY.get(other))


def tells_failure(text: str) -> bool:
    """Whether a line looks like the report of a failure."""
    return bool(_FAILURE.search(text)) and not _NO_FAILURE.search(text)
