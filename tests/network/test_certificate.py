"""Certificates: read from any bytes, matched with host names, their makers recognised."""

from __future__ import annotations

import hashlib
import ssl

import pytest
import trustme
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from kdiag.network.certificate import (
    MAX_BYTES,
    MAX_NAMES,
    Certificate,
    CertificateKind,
    covers,
    read,
    recognise,
)
from tests.certificates import BEGIN, END, OTHER_KEY, made, name, showing

STRIMZI_NAMES = (
    "my-cluster-kafka-bootstrap",
    "my-cluster-kafka-bootstrap.kafka",
    "my-cluster-kafka-bootstrap.kafka.svc",
    "my-cluster-kafka-bootstrap.kafka.svc.cluster.local",
    "my-cluster-kafka-brokers.kafka.svc",
    "my-cluster-pool-a-12.my-cluster-kafka-brokers.kafka.svc",
    "my-cluster-pool-a-12.my-cluster-kafka-brokers.kafka.svc.cluster.local",
)


def with_names(*names: str, common_name: str = "") -> Certificate:
    """A certificate of which only its names matter."""
    return Certificate("", names=names, common_name=common_name)


def test_a_certificate_is_read() -> None:
    der = made(
        name(o="Example", cn="kafka.example.com"),
        name(o="Example", cn="Example CA"),
        ["kafka.example.com", "*.kafka.example.com", "10.0.1.11", "2001:db8::1"],
        ["spiffe://cluster.local/ns/a/sa/b"],
    )

    found = read(der)

    assert found == Certificate(
        hashlib.sha256(der).hexdigest(),
        subject="CN=kafka.example.com,O=Example",
        issuer="CN=Example CA,O=Example",
        common_name="kafka.example.com",
        names=("kafka.example.com", "*.kafka.example.com", "10.0.1.11", "2001:db8::1"),
        uris=("spiffe://cluster.local/ns/a/sa/b",),
        not_before=int(BEGIN.timestamp()),
        not_after=int(END.timestamp()),
        self_signed=False,
        is_ca=False,
        flaw="",
    )


def test_a_real_chain_is_read() -> None:
    authority = trustme.CA(organization_name="Acme Kafka")
    issued = authority.issue_cert("broker.example.com", "127.0.0.1", common_name="broker")

    leaf = read(ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode()))
    root = read(ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode()))

    assert (leaf.self_signed, leaf.is_ca, leaf.names) == (
        False,
        False,
        ("broker.example.com", "127.0.0.1"),
    )
    assert (root.self_signed, root.is_ca, root.names) == (True, True, ())
    assert leaf.issuer == root.subject
    assert recognise([leaf, root]) is None


def test_equal_names_without_the_signature_are_not_self_signed() -> None:
    assert read(made(name(cn="a"))).self_signed
    assert not read(made(name(cn="a"), signed_by=OTHER_KEY)).self_signed


@pytest.mark.parametrize("der", [b"", b"\x30", b"not a certificate", b"0" * (MAX_BYTES + 1)])
def test_garbage_is_a_certificate_with_a_flaw(der: bytes) -> None:
    found = read(der)

    assert found.flaw
    assert found == Certificate(hashlib.sha256(der).hexdigest(), flaw=found.flaw)
    assert not covers(found, "kafka.example.com")
    assert recognise([found]) is None


def test_nobody_presents_no_chain() -> None:
    assert recognise([]) is None


DER = made(name(o="Example", cn="kafka.example.com"), names=["kafka.example.com", "10.0.1.11"])


@given(st.integers(0, len(DER)))
def test_a_part_of_a_certificate_never_raises(length: int) -> None:
    assert bool(read(DER[:length]).flaw) == (length < len(DER))


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), max_size=4))
def test_a_spoilt_certificate_never_raises(spoilt: list[tuple[int, int]]) -> None:
    der = bytearray(DER)
    for index, value in spoilt:
        der[index] = value

    found = read(bytes(der))

    texts = (found.subject, found.issuer, found.common_name, found.flaw, *found.names)
    assert all(text.isprintable() and len(text) <= 5200 for text in texts)
    recognise([found])
    covers(found, "kafka.example.com")


def test_a_certificate_cannot_write_to_the_terminal() -> None:
    found = read(made(name(o="\x1b[31mred", cn="a\nb"), names=["x\x1b]0;owned\x07.example.com"]))

    assert "\\x1b[31mred" in found.subject
    assert found.common_name == "a\\nb"
    assert found.names == ("x\\x1b]0;owned\\x07.example.com",)


def test_names_are_bounded() -> None:
    found = read(made(name(cn="a"), names=[f"h{n}.example.com" for n in range(MAX_NAMES + 100)]))

    assert len(found.names) == MAX_NAMES
    assert found.names[-1] == f"h{MAX_NAMES - 1}.example.com"


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (("kafka.example.com",), "kafka.example.com"),
        (("kafka.example.com",), "KAFKA.Example.com."),
        (("Kafka.Example.com",), "kafka.example.com"),
        (("*.example.com",), "kafka.example.com"),
        (("a", "*.kafka.svc.cluster.local"), "b-1.kafka.svc.cluster.local"),
        (("localhost",), "localhost"),
        (("10.0.1.11",), "10.0.1.11"),
        (("2001:db8::1",), "2001:DB8:0::1"),
        (("xn--bcher-kva.example",), "bücher.example"),
    ],
)
def test_names_that_a_client_accepts(names: tuple[str, ...], host: str) -> None:
    assert covers(with_names(*names), host)


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ((), "kafka.example.com"),
        (("kafka.example.com",), "example.com"),
        (("*.example.com",), "example.com"),
        (("*.example.com",), "a.b.example.com"),
        (("*.example.com",), ".example.com"),
        (("*.com",), "example.com"),
        (("*",), "localhost"),
        (("k*.example.com",), "kafka.example.com"),
        (("a.*.example.com",), "a.b.example.com"),
        (("kafka.example.com",), "10.0.1.11"),
        (("10.0.1.11",), "10.0.1.12"),
        (("*.0.1.11",), "10.0.1.11"),
        (("kafka.example.com",), ""),
        (("kafka.example.com",), "kafka.example.com.evil.net"),
    ],
)
def test_names_that_a_client_refuses(names: tuple[str, ...], host: str) -> None:
    assert not covers(with_names(*names), host)


@pytest.mark.parametrize(
    ("names", "host", "accepted"),
    [
        ((), "kafka.example.com", True),
        (("10.0.1.11",), "kafka.example.com", True),
        (("other.example.com",), "kafka.example.com", False),
        (("other.example.com",), "10.0.1.11", False),
    ],
)
def test_the_common_name_counts_only_without_host_names(
    names: tuple[str, ...], host: str, accepted: bool
) -> None:
    assert covers(with_names(*names, common_name="kafka.example.com"), host) is accepted


def test_an_address_in_the_common_name_counts_for_nobody() -> None:
    assert not covers(with_names(common_name="10.0.1.11"), "10.0.1.11")


LABEL = st.sampled_from(["a", "b", "kafka", "*", "A", "1"])
HOST_NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@settings(max_examples=100, deadline=None)
@given(
    HOST_NAME | st.sampled_from(["10.0.1.11", "10.0.1.12"]),
    HOST_NAME.filter(lambda host: "*" not in host) | st.sampled_from(["10.0.1.11"]),
)
def test_openssl_agrees(entry: str, host: str) -> None:
    """A handshake in memory: Python's ssl decides by OpenSSL's own matching."""
    der = made(name(cn="x"), names=[entry], ca=True)

    assert covers(read(der), host) is _openssl_accepts(der, host)


def _openssl_accepts(der: bytes, host: str) -> bool:
    pem = ssl.DER_cert_to_PEM_cert(der)
    client = ssl.create_default_context(cadata=pem)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    server = showing(der)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(down, up, server_hostname=host)
    answers = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                assert error.verify_code in (62, 64), error  # host name, IP address
                return False
    return True


def test_strimzi_tells_its_cluster_and_how_to_fetch_its_authority() -> None:
    leaf = read(
        made(
            name(o="io.strimzi", cn="my-cluster-kafka"),
            name(o="io.strimzi", cn="cluster-ca v0"),
            STRIMZI_NAMES,
        )
    )

    origin = recognise([leaf])

    assert origin is not None
    assert origin.kind is CertificateKind.STRIMZI
    assert (origin.cluster, origin.namespace) == ("my-cluster", "kafka")
    assert (origin.pod, origin.node) == ("my-cluster-pool-a-12", 12)
    assert origin.command == (
        "kubectl get secret my-cluster-cluster-ca-cert -n kafka "
        "-o jsonpath='{.data.ca\\.crt}' | base64 -d > ca.crt"
    )
    assert "Strimzi's own cluster CA" in origin.meaning


def test_strimzi_with_an_authority_that_it_was_given_is_known_by_its_names() -> None:
    leaf = read(
        made(name(o="x", cn="y"), name(o="Example", cn="Example Issuing CA"), STRIMZI_NAMES)
    )

    origin = recognise([leaf])

    assert origin is not None
    assert origin.kind is CertificateKind.STRIMZI
    assert (origin.cluster, origin.node) == ("my-cluster", 12)
    assert "an authority that Strimzi was given" in origin.meaning


def test_strimzi_without_names_leaves_the_namespace_to_the_reader() -> None:
    issuer = name(o="io.strimzi", cn="cluster-ca v0")
    origin = recognise([read(made(name(o="io.strimzi", cn="my-cluster-kafka"), issuer))])

    assert origin is not None
    assert (origin.cluster, origin.namespace, origin.pod, origin.node) == (
        "my-cluster",
        "",
        "",
        None,
    )
    assert "secret my-cluster-cluster-ca-cert -n <namespace> " in origin.command


@pytest.mark.parametrize(
    "evil",
    [
        "$(reboot)-kafka-bootstrap.kafka.svc",
        "a-kafka-bootstrap.`id`.svc",
        "a;b-kafka-bootstrap.x.svc",
    ],
)
def test_a_certificate_cannot_put_anything_into_a_command(evil: str) -> None:
    issuer = name(o="io.strimzi", cn="cluster-ca v0")
    origin = recognise([read(made(name(o="io.strimzi", cn="$(reboot)-kafka"), issuer, [evil]))])

    assert origin is not None
    assert origin.command.startswith("kubectl get secret <cluster>-cluster-ca-cert -n <namespace> ")


@pytest.mark.parametrize(
    ("subject", "issuer", "kind", "named"),
    [
        (
            name(o="Acme Co", cn="Kubernetes Ingress Controller Fake Certificate"),
            None,
            CertificateKind.PLACEHOLDER,
            "ingress-nginx",
        ),
        (name(cn="TRAEFIK DEFAULT CERT"), None, CertificateKind.PLACEHOLDER, "Traefik"),
        (name(cn="NGINXIngressController"), None, CertificateKind.PLACEHOLDER, "F5's NGINX"),
        (
            name(cn="*.apps.example.com"),
            name(cn="ingress-operator@1620633373"),
            CertificateKind.PLACEHOLDER,
            "OpenShift's router",
        ),
        (
            name(cn="x"),
            name(cn="Caddy Local Authority - ECC Root"),
            CertificateKind.PLACEHOLDER,
            "Caddy",
        ),
        (name(cn="cert-manager.local"), None, CertificateKind.PLACEHOLDER, "cert-manager"),
        (name(cn="x"), name(o="mkcert development CA"), CertificateKind.PLACEHOLDER, "mkcert"),
        (name(o="Acme Co"), None, CertificateKind.PLACEHOLDER, "generate_cert"),
        (x509.Name([]), name(o="cluster.local"), CertificateKind.MESH, "Istio"),
        (name(cn="x"), name(cn="identity.linkerd.cluster.local"), CertificateKind.MESH, "Linkerd"),
        (
            name(o="Zscaler Inc.", cn="broker.example.com"),
            name(o="Zscaler Inc.", cn="Zscaler Intermediate Root CA (zscalerthree.net)"),
            CertificateKind.INSPECTION,
            "Zscaler",
        ),
        (name(cn="b"), name(cn="ca.example.goskope.com"), CertificateKind.INSPECTION, "Netskope"),
        (
            name(cn="b"),
            name(o="Fortinet", cn="FGT60F0000000000"),
            CertificateKind.INSPECTION,
            "FortiGate",
        ),
        (
            name(cn="b"),
            name(o="Sophos", cn="Sophos SSL CA_C320AB"),
            CertificateKind.INSPECTION,
            "Sophos",
        ),
        (
            name(cn="b"),
            name(o="Cisco", cn="Cisco Umbrella SubCA"),
            CertificateKind.INSPECTION,
            "Umbrella",
        ),
        (
            name(cn="b"),
            name(o="mitmproxy", cn="mitmproxy"),
            CertificateKind.INSPECTION,
            "mitmproxy",
        ),
    ],
)
def test_a_foreign_certificate_is_recognised(
    subject: x509.Name, issuer: x509.Name | None, kind: CertificateKind, named: str
) -> None:
    origin = recognise([read(made(subject, issuer))])

    assert origin is not None
    assert origin.kind is kind
    assert named in origin.name
    assert origin.meaning.endswith(".")
    assert origin.remedy
    assert origin.node is None


def test_a_proxy_is_recognised_further_up_the_chain() -> None:
    leaf = read(made(name(cn="b.example.com"), name(cn="Example Intermediate")))
    upper = read(
        made(name(cn="Example Intermediate"), name(o="Zscaler Inc.", cn="Zscaler Root CA"))
    )

    origin = recognise([leaf, upper])

    assert recognise([leaf]) is None
    assert origin is not None
    assert origin.kind is CertificateKind.INSPECTION


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("spiffe://cluster.local/ns/kafka/sa/default", "Istio"),
        ("spiffe://td.example.com/ns/kafka/sa/default", "Istio"),
        ("spiffe://11111111-2222.consul/ns/default/dc/dc1/svc/kafka", "Consul"),
        ("spiffe://example.org/kafka", "SPIFFE"),
    ],
)
def test_a_mesh_is_recognised_by_its_identities(uri: str, named: str) -> None:
    origin = recognise([read(made(x509.Name([]), name(cn="Some CA"), uris=[uri]))])

    assert origin is not None
    assert origin.kind is CertificateKind.MESH
    assert named in origin.name
    assert uri in origin.meaning


@pytest.mark.parametrize(
    ("subject", "issuer"),
    [
        (name(o="Zscaler Inc.", cn="www.zscaler.com"), name(o="DigiCert Inc", cn="DigiCert G2")),
        (name(cn="kafka.example.com"), name(o="Let's Encrypt", cn="R11")),
        (name(cn="*.kafka.eu-west-2.amazonaws.com"), name(o="Amazon", cn="Amazon RSA 2048 M02")),
        (name(cn="x"), name(o="Cloudflare, Inc.", cn="Cloudflare Inc ECC CA-3")),
        (name(cn="kafka"), None),
    ],
)
def test_a_certificate_of_its_own_right_is_nobody_elses(
    subject: x509.Name, issuer: x509.Name | None
) -> None:
    assert recognise([read(made(subject, issuer))]) is None
