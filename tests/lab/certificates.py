"""Certificates for the brokers and the clients of the lab, as PEM files that Kafka takes."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.certificates import KEY, made, name

# What is wrong with a broker's certificate; with a "nameless" one, broker 2's lacks its address.
# Those of "chained" and "chainless" are by an authority below the CA, which only the first sends.
KINDS = ("good", "nameless", "expired", "early", "soon", "chained", "chainless")
DOMAIN = "kafka.example.com"


def write(folder: Path, homes: tuple[str, ...], publics: tuple[str, ...]) -> None:
    """KIND-NODE.pem and selfsigned-NODE.pem for every broker, client.pem and stranger.pem (of a CA
    that nobody knows), and the two CAs, ca.pem and other-ca.pem. A .pem of an identity holds key
    and chain."""
    folder.mkdir(exist_ok=True)
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    other.cert_pem.write_to_path(str(folder / "other-ca.pem"))
    between = ca.create_child_ca()
    now = datetime.now(UTC)
    day = timedelta(days=1)
    lifetimes = {
        "expired": (now - 60 * day, now - 30 * day),
        "early": (now + 30 * day, now + 60 * day),
        "soon": (now - 60 * day, now + 9 * day),
    }
    for node, (home, public) in enumerate(zip(homes, publics, strict=True), start=1):
        names = [f"b{node}.{DOMAIN}", DOMAIN, home, public]
        for kind in KINDS:
            own = [f"b{node}.{DOMAIN}"] if (kind, node) == ("nameless", 2) else names
            begins, ends = lifetimes.get(kind, (now - day, now + 365 * day))
            issuer = between if kind.startswith("chain") else ca
            leaf = issuer.issue_cert(
                *dict.fromkeys(own), common_name=own[0], not_before=begins, not_after=ends
            )
            chain = leaf.cert_chain_pems[:1] if kind == "chainless" else leaf.cert_chain_pems
            _identity(folder / f"{kind}-{node}.pem", leaf, chain)
        alone = made(name(cn=names[0]), names=list(dict.fromkeys(names)))
        key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        itself = folder / f"selfsigned-{node}.pem"
        itself.write_bytes(key + ssl.DER_cert_to_PEM_cert(alone).encode())
    for who, issuer in (("client", ca), ("stranger", other)):
        leaf = issuer.issue_cert(f"{who}@example.com", common_name=who)
        _identity(folder / f"{who}.pem", leaf, leaf.cert_chain_pems)


def _identity(path: Path, leaf: trustme.LeafCert, chain: list[trustme.Blob]) -> None:
    # Kafka reads private keys in PKCS#8 only.
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pkcs8 + b"".join(blob.bytes() for blob in chain))
