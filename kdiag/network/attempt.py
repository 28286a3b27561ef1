"""The results of which all facts are made: of a layer, an address, an endpoint, a record."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Endpoint
from kdiag.network.dns_diagnosis import DnsDiagnosis
from kdiag.text import TEXT_LIMIT as TEXT_LIMIT
from kdiag.text import clean as clean
from kdiag.text import clean_bytes as clean_bytes

LAYERS = ("dns", "tcp", "tls", "kafka", "sasl", "identity")
PROXY = "proxy"  # the layer of a proxy, where one is used


class Failure(str, Enum):
    """Why a layer failed. Closed: every foreign error is mapped to one of these."""

    NOT_FOUND = "not_found"
    RESOLVER_FAILED = "resolver_failed"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CLOSED = "closed"
    SILENT = "silent"
    TLS_REQUIRED = "tls_required"
    TLS_NOT_OFFERED = "tls_not_offered"
    UNTRUSTED = "untrusted"
    NAME_MISMATCH = "name_mismatch"
    EXPIRED = "expired"
    CLIENT_CERTIFICATE = "client_certificate"
    HANDSHAKE = "handshake"
    NOT_KAFKA = "not_kafka"
    CONTROLLER = "controller"
    SASL_REQUIRED = "sasl_required"
    SASL_NOT_OFFERED = "sasl_not_offered"
    MECHANISM = "mechanism"
    CREDENTIALS = "credentials"
    WRONG_NODE = "wrong_node"
    WRONG_CLUSTER = "wrong_cluster"
    DENIED = "denied"
    NO_COMMON_VERSION = "no_common_version"
    THROTTLED = "throttled"
    PROXY_UNREACHABLE = "proxy_unreachable"
    NOT_PROXY = "not_proxy"
    PROXY_CREDENTIALS = "proxy_credentials"
    PROXY_DENIED = "proxy_denied"
    PROXY_FAILED = "proxy_failed"

    @property
    def words(self) -> str:
        """The failure as a sentence has it: SASL required; of a proxy, without its name."""
        text = self.value.removeprefix("proxy_").replace("_", " ").replace("kafka", "Kafka")
        return text.replace("tls", "TLS").replace("sasl", "SASL")


# What breaks no connection: the broker may not say, kdiag cannot ask, or did not wait for it.
NOT_ASKED = (Failure.DENIED, Failure.NO_COMMON_VERSION, Failure.THROTTLED)

GONE = (Failure.CLOSED, Failure.RESET)  # the peer ended the connection


class LayerResult(NamedTuple):
    """The result of one layer of a connection. `elapsed` is in seconds, `detail` is clean text."""

    layer: str
    elapsed: float
    failure: Failure | None = None
    detail: str = ""


class TlsHandshake(NamedTuple):
    """What a TLS handshake showed, whether the peer is trusted or not.

    `name` is the host name that the certificate must have, `chain` the peer's certificates (DER),
    its own first. `wants_certificate`: the server asks for a client certificate, `authorities` (DER
    names) of which issuers, empty for any. `at` is when, in seconds since 1970. `verify_code` is
    OpenSSL's (X509_V_ERR_*), 0 for trusted, None where the user did not want it verified.
    `only_java` tells that the chain is trusted by the rules of Java's client, and not by OpenSSL's.
    `empty_store` says where this machine's certificates were looked for, in case there are none.
    """

    name: str
    version: str
    cipher: str
    chain: tuple[bytes, ...]
    at: float
    wants_certificate: bool = False
    authorities: tuple[bytes, ...] = ()
    verify_code: int | None = None
    only_java: bool = False
    empty_store: str = ""


class AddressResult(NamedTuple):
    """The result at one address: its layers in order, the last one being where it ended.

    `address` is an IP literal, `source` the client's own address on that connection ("" for none).
    `answered_as` is the node id and `cluster_id` the cluster of the peer, by its own answer; None
    if unknown. `protocol` is the security.protocol that the listener speaks ("" if unknown),
    `mechanisms` the SASL mechanisms that it offers, as far as known. `received` has the first bytes
    of the answers of a peer that speaks no Kafka, the most telling last; `quotable` is False where
    the report may not quote them. `apis` is the table of ApiVersions, each request's key with its
    least and its most version, empty where it is not known. `serves` are the node ids whose
    partitions are served there, `refuses` those whose partitions it does not lead, as it says
    (ListOffsets); `recognised` tells whether it takes itself for the node and cluster that were
    meant (ApiVersions 5), None where it was not asked. `other_name` is a TLS handshake that the
    peer completes under that name ("" for none), while it ends each one under the host's own.
    `dropped`: the first connection ended without an answer, and this is the result of the second.
    """

    address: str
    attempts: tuple[LayerResult, ...]
    source: str = ""
    answered_as: int | None = None
    cluster_id: str | None = None
    handshake: TlsHandshake | None = None
    protocol: str = ""
    mechanisms: tuple[str, ...] = ()
    received: tuple[bytes, ...] = ()
    apis: tuple[tuple[int, int, int], ...] = ()
    serves: tuple[int, ...] = ()
    refuses: tuple[int, ...] = ()
    recognised: bool | None = None
    quotable: bool = True
    other_name: TlsHandshake | None = None
    dropped: bool = False

    @property
    def failed(self) -> LayerResult | None:
        """The layer that broke this connection; a question that could not be asked breaks none."""
        for attempt in self.attempts:
            if attempt.failure not in (None, *NOT_ASKED):
                return attempt
        return None


class EndpointResult(NamedTuple):
    """The result of one endpoint: its name resolved, and every address of it dialled.

    `dns` is None where there was nothing to resolve: an address that nobody can dial. `lookup` has
    the answers of DNS servers about a name that does not resolve or at none of whose addresses TCP
    connects, if they got queries. `proxy` is
    the URL of the proxy that every dial went through, without its login; "" for none. `given` is
    the server that the user wrote, where the client takes this one in its place.
    """

    endpoint: Endpoint
    dns: LayerResult | None
    dials: tuple[AddressResult, ...] = ()
    lookup: DnsDiagnosis | None = None
    proxy: str = ""
    given: Endpoint | None = None

    @property
    def best(self) -> AddressResult | None:
        """The dial that got furthest, a working one first."""
        return max(
            self.dials, key=lambda dial: (dial.failed is None, len(dial.attempts)), default=None
        )

    @property
    def failed(self) -> LayerResult | None:
        """The layer that makes the endpoint unusable, None when one of its addresses works."""
        if self.dns is None or self.dns.failure:
            return self.dns
        best = self.best
        return best.failed if best else None

    @property
    def usable(self) -> bool:
        """True when at least one address of the endpoint went through all layers."""
        return bool(self.dials) and self.failed is None

    @property
    def only_java(self) -> bool:
        """True when its certificate is trusted by the rules of Java's client, not by OpenSSL's."""
        best = self.best
        return bool(best and best.handshake and best.handshake.only_java)

    @property
    def attempts(self) -> tuple[LayerResult, ...]:
        """The layers of the best dial, from dns on."""
        dns = (self.dns,) if self.dns else ()
        return dns + (self.best.attempts if self.best else ())

    @property
    def layers(self) -> Mapping[str, str | None]:
        """Layer → "ok", the failure's name, or None where it was not tried; with a proxy it is a
        layer of its own."""
        outcome = {a.layer: a.failure.value if a.failure else "ok" for a in self.attempts}
        if not self.proxy:
            return {layer: outcome.get(layer) for layer in LAYERS}
        if PROXY in outcome:
            outcome = {PROXY: outcome[PROXY]}
        elif self.best:
            outcome[PROXY] = "ok"
        return {layer: outcome.get(layer) for layer in (PROXY, *LAYERS)}


class Sent(NamedTuple):
    """The state of the bytes sent on a connection, by the operating system: what was sent and not
    acknowledged, in segments (Linux) or bytes (macOS); how many segments were sent again; and how
    many bytes wait until the peer reads."""

    unacknowledged: int
    retransmitted: int
    unsent: int

    @property
    def lost(self) -> bool:
        """True when bytes were sent again and still are not acknowledged: the path drops them."""
        return self.unacknowledged > 0 and self.retransmitted > 0

    @property
    def arrived(self) -> bool:
        """True when the peer's system has acknowledged all bytes."""
        return self.unacknowledged == 0 and self.unsent == 0


class Received(NamedTuple):
    """What the operating system says of bytes that arrive on a connection: how many segments
    (Linux) or bytes (macOS) arrived so far before others that precede them."""

    out_of_order: int


class Delivery(NamedTuple):
    """The real client's record to one leader: its offset, or the client's error name and text."""

    node: int
    partition: int
    elapsed: float
    offset: int | None = None
    error: str | None = None
    detail: str = ""


# How the real client fails a record that has no answer when its time is over.
_TIME_OVER = ("_MSG_TIMED_OUT", "_TIMED_OUT", "_PURGE_QUEUE", "_PURGE_INFLIGHT")


class ClientRun(NamedTuple):
    """The real client's record to each leader, and the lines that it logged (`words`).

    `refused` are properties of the user's that it does not take, each with what it says of it; it
    ran without them. `short_of` are the seconds that the deadline took from its time.
    """

    topic: str
    deliveries: tuple[Delivery, ...]
    words: tuple[str, ...] = ()
    throttle_ms: int = 0
    refused: tuple[str, ...] = ()
    short_of: float = 0.0

    @property
    def cut_off(self) -> tuple[Delivery, ...]:
        """The deliveries that no broker refused, and that the deadline left too little time for."""
        return tuple(d for d in self.deliveries if self.short_of and d.error in _TIME_OVER)
