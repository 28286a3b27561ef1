"""Reads certificates, matches them with host names, and recognises the systems that issue them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from kdiag.address import parse
from kdiag.config import snippet
from kdiag.config.record import NamedTuple
from kdiag.network.attempt import clean

if TYPE_CHECKING:
    from cryptography import x509

MAX_NAMES = 1000
MAX_BYTES = 1 << 18
_TEXT_LIMIT = 512
_UNREADABLE = "a name that cannot be read"
_SHORT = {  # attribute types of a name, by their object identifier
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
}


class Certificate(NamedTuple):
    """The fields of a certificate; every text is clean and of bounded length.

    `subject` and `issuer` read "CN=…,O=…". `names` are the host names and IP addresses that it is
    for (at most MAX_NAMES), `uris` its other identities. Times are UTC seconds since 1970; None
    where the certificate could not be read, and `flaw` says why. `fingerprint` is the SHA-256 of
    its bytes, in hex.
    """

    fingerprint: str
    subject: str = ""
    issuer: str = ""
    common_name: str = ""
    names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    not_before: int | None = None
    not_after: int | None = None
    self_signed: bool = False
    is_ca: bool = False
    flaw: str = ""


class CertificateKind(str, Enum):
    """The kind of system that issued a certificate, where it matters to a Kafka client."""

    STRIMZI = "strimzi"
    PLACEHOLDER = "placeholder"
    MESH = "mesh"
    INSPECTION = "inspection"


class CertificateOrigin(NamedTuple):
    """The known system that issued a certificate. `meaning` and `remedy` are sentences for the
    user, `command` does it in a shell.

    For Strimzi, as far as the certificate names them: `cluster`, `namespace`, the `pod`, and the
    pod's `node` id, which is likely and not proven.
    """

    kind: CertificateKind
    name: str
    meaning: str
    remedy: str
    command: str = ""
    cluster: str = ""
    namespace: str = ""
    pod: str = ""
    node: int | None = None


@lru_cache(maxsize=128)  # a chain is read by several rules, and for the report
def read(der: bytes) -> Certificate:
    """Reads a certificate (DER). Never raises: `flaw` says what cannot be read."""
    import hashlib  # 3.4 ms: as what follows, for certificates alone

    from cryptography import x509

    fingerprint = hashlib.sha256(der).hexdigest()
    if len(der) > MAX_BYTES:
        return Certificate(fingerprint, flaw=f"a certificate of {len(der)} bytes")
    try:
        found = x509.load_der_x509_certificate(der)
        subject, issuer = found.subject, found.issuer
        common = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names, uris, is_ca, flaw = _extensions(found)
        return Certificate(
            fingerprint,
            subject=clean(subject.rfc4514_string(), _TEXT_LIMIT),
            issuer=clean(issuer.rfc4514_string(), _TEXT_LIMIT),
            common_name=clean(str(common[-1].value), _TEXT_LIMIT) if common else "",
            names=names,
            uris=uris,
            not_before=int(found.not_valid_before_utc.timestamp()),
            not_after=int(found.not_valid_after_utc.timestamp()),
            self_signed=_self_signed(found),
            is_ca=is_ca,
            flaw=flaw,
        )
    except Exception as error:  # a peer's bytes, and a parser of many error types
        return Certificate(fingerprint, flaw=clean(f"not readable: {error}", _TEXT_LIMIT))


def authority(name: bytes) -> str:
    """A distinguished name (DER) as text, such as that of an authority that a server accepts."""
    try:
        # The last one first, as subjects and issuers read here.
        return clean(",".join(reversed(_attributes(name))), _TEXT_LIMIT) or _UNREADABLE
    except (IndexError, ValueError):
        return _UNREADABLE


def _attributes(name: bytes) -> list[str]:
    """RFC 5280 4.1.2.4: a sequence of sets of pairs, of an object identifier and a text."""
    found: list[str] = []
    for one in _parts(_parts(name)[0][1]):
        for pair in _parts(one[1]):
            (_, kind), (tag, text) = _parts(pair[1])[:2]
            encoding = "utf-16-be" if tag == 0x1E else "utf-8"
            found.append(f"{_SHORT.get(kind, kind.hex())}={text.decode(encoding, 'replace')}")
    return found


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """The DER elements in these bytes: tag and content."""
    parts: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            more = size & 0x7F
            size, at = int.from_bytes(data[at : at + more], "big"), at + more
        if size > len(data) - at:
            raise ValueError("cut short")
        parts.append((tag, data[at : at + size]))
        at += size
    return parts


def covers(certificate: Certificate, host: str) -> bool:
    """Whether a client that checks names accepts this certificate for `host`.

    By RFC 6125, as OpenSSL and Java agree: an address matches an IP entry only, a wildcard stands
    for one whole leftmost label, and the common name counts only when there is no host name beside
    it. OpenSSL as librdkafka uses it, and Java, also take a wildcard for a part of a label; nobody
    issues those, and they do not match here. A wildcard needs two labels after it: OpenSSL says so,
    Java asks its list of public suffixes.
    """
    address = parse(host)
    entries = [(entry, parse(entry)) for entry in certificate.names]
    if address is not None:
        return any(listed == address for _, listed in entries)
    hosts = [entry for entry, listed in entries if listed is None]
    wanted = _ascii(host)
    return any(_matches(_ascii(entry), wanted) for entry in hosts or [certificate.common_name])


def recognise(chain: Sequence[Certificate]) -> CertificateOrigin | None:
    """The known system that issued the first certificate of a chain; None for any other.

    The chain may be incomplete, but its own certificate comes first.
    """
    if not chain:
        return None
    leaf = chain[0]
    return _placeholder(leaf) or _strimzi(leaf) or _mesh(leaf) or _inspection(chain)


def _extensions(
    found: x509.Certificate,
) -> tuple[tuple[str, ...], tuple[str, ...], bool, str]:
    from cryptography import x509  # 64 ms

    names, uris, is_ca = [], [], False
    try:
        for extension in found.extensions:
            value = extension.value
            if isinstance(value, x509.BasicConstraints):
                is_ca = value.ca
            elif isinstance(value, x509.SubjectAlternativeName):
                for entry in list(value)[:MAX_NAMES]:
                    if isinstance(entry, x509.DNSName | x509.IPAddress):
                        names.append(clean(str(entry.value), _TEXT_LIMIT))
                    elif isinstance(entry, x509.UniformResourceIdentifier):
                        uris.append(clean(entry.value, _TEXT_LIMIT))
    except Exception as error:
        meaning = clean(f"its extensions are not readable: {error}", _TEXT_LIMIT)
        return tuple(names), tuple(uris), is_ca, meaning
    return tuple(names), tuple(uris), is_ca, ""


def _self_signed(found: x509.Certificate) -> bool:
    """Its own issuer, unless its signature proves the contrary."""
    from cryptography.exceptions import InvalidSignature  # 6.9 ms

    if found.subject != found.issuer:
        return False
    try:
        found.verify_directly_issued_by(found)
    except InvalidSignature:
        return False
    except Exception:  # an algorithm that is too old or too new to be checked
        return True
    return True


def _ascii(host: str) -> str:
    """A host name as certificates spell it; one that has no such spelling stays as it is."""
    name = host.rstrip(".").lower()
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def _matches(pattern: str, host: str) -> bool:
    if not pattern.startswith("*."):
        return bool(pattern) and pattern == host
    rest = pattern[1:]
    label = host.removesuffix(rest)
    return rest.count(".") > 1 and host.endswith(rest) and bool(label) and "." not in label


# A reverse proxy, an ingress or a router that ends TLS itself, by a certificate nobody set up.
_PASS_THROUGH = (
    "Have it pass TLS through to the brokers, by SNI: it must not end TLS, and it must know each "
    "of the bootstrap and broker host names."
)
_PLACEHOLDERS = (
    (
        "Kubernetes Ingress Controller Fake Certificate",
        "the default certificate of ingress-nginx",
        "Start the controller with --enable-ssl-passthrough and annotate the ingress with "
        'nginx.ingress.kubernetes.io/ssl-passthrough: "true"; clients must send the host name '
        "(SNI) that the ingress lists.",
    ),
    ("TRAEFIK DEFAULT CERT", "Traefik's default certificate", _PASS_THROUGH),
    (
        "NGINXIngressController",
        "the default certificate of F5's NGINX ingress controller",
        _PASS_THROUGH,
    ),
    (
        "ingress-operator@",
        "the default certificate of OpenShift's router",
        "Use a Route with passthrough termination, and its host name: the router ends TLS itself "
        "for names that it does not know.",
    ),
    ("Caddy Local Authority", "Caddy's own certificate", _PASS_THROUGH),
    (
        "cert-manager.local",
        "the temporary certificate of cert-manager",
        "cert-manager has not issued the real one yet: look at the Certificate's status.",
    ),
    (
        "mkcert development CA",
        "a developer's own certificate (mkcert)",
        "Trust the authority of the machine that made it: `mkcert -CAROOT` names its folder there.",
    ),
    (
        "Acme Co",
        "an example certificate, as Go's generate_cert makes them",
        "A server fell back on a certificate for tests: give it its real one.",
    ),
)


def _placeholder(leaf: Certificate) -> CertificateOrigin | None:
    for sign, name, remedy in _PLACEHOLDERS:
        if sign in leaf.subject or sign in leaf.issuer:
            meaning = f"This is {name}, not a broker's."
            return CertificateOrigin(CertificateKind.PLACEHOLDER, name, meaning, remedy)
    return None


_KUBERNETES_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_BOOTSTRAP = rf"({_KUBERNETES_NAME})-kafka-bootstrap\.({_KUBERNETES_NAME})\.svc\Z"
_POD = (
    rf"({_KUBERNETES_NAME}-(\d{{1,9}}))\.({_KUBERNETES_NAME})-kafka-brokers"
    rf"\.{_KUBERNETES_NAME}\.svc\Z"
)
_SUBJECT = rf"CN=({_KUBERNETES_NAME})-kafka(?:,|\Z)"


def _strimzi(leaf: Certificate) -> CertificateOrigin | None:
    """A broker's certificate by Strimzi, from its cluster CA or from one that the user brought.

    What it says is put into a command, so only what Kubernetes takes for a name is believed.
    """
    own_ca = "O=io.strimzi" in leaf.issuer
    bootstrap = next((m for n in leaf.names if (m := re.match(_BOOTSTRAP, n))), None)
    if not own_ca and not bootstrap:
        return None
    pod = next((m for n in leaf.names if (m := re.match(_POD, n))), None)
    subject = re.match(_SUBJECT, leaf.subject) if own_ca else None
    found = bootstrap or subject
    cluster = found[1] if found else ""
    namespace = bootstrap[2] if bootstrap else ""
    authority = "Strimzi's own cluster CA" if own_ca else "an authority that Strimzi was given"
    return CertificateOrigin(
        CertificateKind.STRIMZI,
        "a broker certificate of Strimzi",
        f"This is the certificate of a Strimzi broker, signed by {authority}.",
        "Trust the cluster CA. Fetch it, and give it to the client as ssl.ca.location, or in Java "
        "as ssl.truststore.location with ssl.truststore.type=PEM:",
        snippet.fill(
            "shell",
            "kubectl get secret {cluster}-cluster-ca-cert -n {namespace} "
            "-o jsonpath='{{.data.ca\\.crt}}' | base64 -d > ca.crt",
            cluster=snippet.resource(cluster, "cluster"),
            namespace=snippet.namespace(namespace),
        ),
        cluster,
        namespace,
        pod[1] if pod else "",
        int(pod[2]) if pod else None,
    )


def _mesh(leaf: Certificate) -> CertificateOrigin | None:
    spiffe = next((uri for uri in leaf.uris if uri.startswith("spiffe://")), "")
    linkerd = next((name for name in leaf.names if ".identity.linkerd." in name), "")
    if linkerd or "identity.linkerd." in leaf.issuer:
        name, identity = "Linkerd", linkerd
    elif "/sa/" in spiffe or "O=cluster.local" in leaf.issuer:
        name, identity = "Istio", spiffe
    elif spiffe:
        name, identity = "Consul" if ".consul" in spiffe else "SPIFFE", spiffe
    else:
        return None
    return CertificateOrigin(
        CertificateKind.MESH,
        f"a service mesh ({name})",
        "The sidecar of a service mesh answers, with the workload's own certificate"
        + (f" ({identity})" if identity else "")
        + ": it requires mutual TLS from inside the mesh.",
        "Connect from a workload of the mesh, or take Kafka's ports out of it: in Istio a "
        "PeerAuthentication with mode PERMISSIVE or DISABLE for them, in Linkerd "
        "config.linkerd.io/skip-inbound-ports or opaque-ports.",
    )


_INSPECTORS = (
    (r"Zscaler", "Zscaler"),
    (r"Netskope|goskope\.com", "Netskope"),
    (r"Fortinet|FortiGate", "Fortinet FortiGate"),
    (r"Palo ?Alto Networks|GlobalProtect|Prisma Access", "Palo Alto Networks"),
    (r"Blue ?Coat|Symantec Web Security|Cloud Services Root CA", "Symantec (Blue Coat)"),
    (r"Sophos", "Sophos"),
    (r"McAfee Web Gateway|Skyhigh|McAfee (?:OU|Inc)", "Skyhigh (McAfee)"),
    (r"Cisco Umbrella", "Cisco Umbrella"),
    (r"Forcepoint|Websense", "Forcepoint"),
    (r"Check ?Point", "Check Point"),
    (r"Barracuda", "Barracuda"),
    (r"Cato Networks", "Cato Networks"),
    (r"iboss", "iboss"),
    (r"Gateway CA - Cloudflare|Cloudflare.{0,20}Zero Trust", "Cloudflare Gateway"),
    (r"WatchGuard|Fireware HTTPS Proxy", "WatchGuard"),
    (r"SonicWALL", "SonicWall"),
    (r"Menlo Security", "Menlo Security"),
    (r"Kaspersky", "Kaspersky"),
    (r"Avast Web/Mail Shield|AVG Web/Mail Shield", "Avast or AVG"),
    (r"ESET SSL Filter", "ESET"),
    (r"Bitdefender", "Bitdefender"),
    (r"mitmproxy", "mitmproxy"),
    (r"DO_NOT_TRUST_Fiddler", "Fiddler"),
    (r"PortSwigger", "Burp"),
    (r"Charles Proxy", "Charles"),
)


def _inspection(chain: Sequence[Certificate]) -> CertificateOrigin | None:
    """A proxy that opens TLS signs as the issuer; a vendor's own site is the subject only."""
    issuers = "\n".join(certificate.issuer for certificate in chain)
    for sign, vendor in _INSPECTORS:
        if re.search(sign, issuers, re.IGNORECASE):
            return CertificateOrigin(
                CertificateKind.INSPECTION,
                f"a proxy that opens TLS ({vendor})",
                f"The certificate was signed by {vendor}: a proxy on the path opens TLS and puts "
                "its own certificate in the broker's place.",
                "Exempt this destination from TLS inspection. Trusting the proxy's "
                "authority is not enough where it lets only HTTP pass, and mutual TLS cannot work "
                "through it.",
            )
    return None
