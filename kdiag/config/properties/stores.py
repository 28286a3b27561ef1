"""Key stores and trust stores as clients have them (PEM, PKCS#12, JKS), read into PEM text."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdiag.config.properties import jks, pem
from kdiag.config.properties.dialects import KeySource
from kdiag.config.reading import read
from kdiag.config.usage import UsageError, quoted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates

MAX_STORE = 4 << 20  # bytes; the largest trust stores of operating systems have a quarter of it
MAX_HASHED = 1000  # certificates of a directory

_JCEKS = b"\xce\xce\xce\xce"
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+\Z")
# The object identifier of a PKCS#12 bag that holds a protected key, 1.2.840.113549.1.12.10.1.2.
_KEY_BAG = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02"
_PKCS7 = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"

PEM, JKS, PKCS12, JCEKS, DER, EMPTY, OTHER = (
    "PEM",
    "a Java key store (JKS)",
    "a PKCS#12 key store",
    "a Java key store of type JCEKS",
    "DER, the binary form of one certificate or key",
    "empty",
    "neither PEM nor a key store",
)


def trusted(source: KeySource) -> str:
    """The certificates to trust, as PEM text.

    Raises UsageError with a sentence that names the property and the file, never a password.
    """
    if source.text is not None:
        return _certificates(source, source.text)
    if source.kind == "PEM" and _is_directory(source):
        return _hashed(source)
    data = _read(source)
    kind = _expected(source, data)
    if kind == PEM:
        return _certificates(source, _decoded(data))
    if kind == JKS:
        found = [entry.certificates[0] for entry in _jks(source, data) if entry.certificates]
    else:
        store = _pkcs12(source, data)
        held = ([store.cert] if store.cert else []) + list(store.additional_certs)
        found = [_der(certificate.certificate) for certificate in held]
    if not found:
        raise UsageError(f"{source} holds no certificate")
    return _checked(source, "".join(pem.wrapped("CERTIFICATE", der) for der in found))


def identity(source: KeySource) -> tuple[str, str]:
    """The client's certificate with its chain, and its private key (PKCS#8, not encrypted), from
    one store. Both are PEM text; raises UsageError as `trusted` does."""
    if source.text is None:
        data = _read(source)
        kind = _expected(source, data)
        if kind != PEM:
            return _jks_identity(source, data) if kind == JKS else _pkcs12_identity(source, data)
        text = _decoded(data)
    else:
        text = source.text
    return _matched(source, source, _certificates(source, text), _key(source, text))


def pair(certificate: KeySource, key: KeySource) -> tuple[str, str]:
    """As `identity`, from a certificate and a key in separate sources."""
    texts = [
        source.text if source.text is not None else _pem_text(source)
        for source in (certificate, key)
    ]
    return _matched(certificate, key, _certificates(certificate, texts[0]), _key(key, texts[1]))


def text(source: KeySource) -> str:
    """The token in a file."""
    found = _decoded(_read(source)).strip()
    if not found:
        raise UsageError(f"{source} is empty")
    return found


def _read(source: KeySource) -> bytes:
    path = source.path or ""
    if "-----BEGIN" in path:
        raise UsageError(f"{source.name} needs the name of a file, but has PEM text")
    try:
        data = read(path, MAX_STORE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(f"{source}: cannot read it: {reason}") from None
    if len(data) > MAX_STORE:
        raise UsageError(f"{source} is larger than a key store: {MAX_STORE >> 20} MiB at most")
    return data


def _is_directory(source: KeySource) -> bool:
    try:
        return Path(source.path or "").is_dir()
    except (OSError, ValueError):
        return False


def _hashed(source: KeySource) -> str:
    """The certificates of a directory as OpenSSL finds them: by the hash that is their name."""
    directory = Path(source.path or "")
    try:
        paths = sorted(one for one in directory.iterdir() if _HASHED.match(one.name))
    except OSError as error:
        raise UsageError(f"{source}: cannot read it: {error.strerror}") from None
    texts: dict[str, None] = {}
    for path in paths[:MAX_HASHED]:
        one = KeySource(source.name, path=str(path))
        texts[_certificates(one, _decoded(_read(one)))] = None
    if not texts:
        raise UsageError(
            f"{source} is a directory without hashed certificates, so OpenSSL finds none in it: "
            "run openssl rehash on it, or name a PEM file"
        )
    return "".join(texts)


def _kind(data: bytes) -> str:
    """The kind of a file, by its first bytes."""
    if not data.strip():
        return EMPTY
    if data.startswith(jks.MAGIC):
        return JKS
    if data.startswith(_JCEKS):
        return JCEKS
    if b"-----BEGIN " in data:
        return PEM
    if data[:1] == b"\x30":
        return PKCS12 if b"\x02\x01\x03\x30" in data[:12] and _PKCS7 in data[:32] else DER
    return OTHER


def _expected(source: KeySource, data: bytes) -> str:
    """The kind of a file, when it is one that the client reads there.

    A Java client takes JKS for PKCS#12 and the reverse, whichever `type` says.
    """
    kind, name = _kind(data), source.name
    if kind == PEM and source.kind == "PEM":
        return PEM
    if kind in (JKS, PKCS12) and source.kind == "STORE":
        return kind
    if kind == PEM:
        kind_name = name.replace(".location", ".type")
        raise UsageError(f"{source} is PEM, which a Java client reads only with {kind_name}=PEM")
    if kind in (JKS, PKCS12):
        raise UsageError(f"{source} is {kind}; {_instead_of_store(name)}")
    if kind == DER:
        raise UsageError(f"{source} is {kind}: convert it with openssl (-inform DER, -outform PEM)")
    if kind == JCEKS:
        raise UsageError(
            f"{source} is {kind}: convert it with keytool -importkeystore -deststoretype PKCS12"
        )
    raise UsageError(f"{source} is {kind}")


def _instead_of_store(name: str) -> str:
    if name.endswith(("store.location", "store.type")):
        return f"{name.replace('.location', '.type')}=PEM needs PEM: leave it out"
    java = "ssl.truststore.location" if name.startswith("ssl.ca") else "ssl.keystore.location"
    return f"this property needs PEM: write {java} instead"


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _pem_text(source: KeySource) -> str:
    data = _read(source)
    _expected(source, data)
    return _decoded(data)


def _certificates(source: KeySource, text: str) -> str:
    """The certificates of a PEM text, in regular lines."""
    found: list[str] = []
    held = list(pem.blocks(text))
    for block in held:
        if block.is_certificate:
            try:
                found.append(block.text)
            except ValueError:
                raise UsageError(
                    f"{source}: certificate {len(found) + 1} is damaged, not base64"
                ) from None
    if not found:
        labels = ", ".join(dict.fromkeys(block.label for block in held))
        raise UsageError(
            f"{source} holds no certificate{f', but {labels}' if labels else ' in PEM form'}"
        )
    return _checked(source, "".join(found))


def _checked(source: KeySource, certificates: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError):
        raise UsageError(f"{source}: a certificate in it is damaged") from None
    return certificates


def _key(source: KeySource, text: str) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm  # 5.5 ms
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    keys = [block for block in pem.blocks(text) if block.is_key]
    if len(keys) != 1:
        count = f"{len(keys)} private keys" if keys else "no private key"
        raise UsageError(f"{source} holds {count}; it must hold one")
    encrypted = "ENCRYPTED" in keys[0].label or "ENCRYPTED" in keys[0].body
    password = source.key_password if encrypted else None
    if encrypted and not password:
        raise UsageError(f"{source}: the private key is encrypted: set ssl.key.password")
    try:
        key = load_pem_private_key(keys[0].text.encode(), password.encode() if password else None)
        return _pkcs8(key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        reason = "ssl.key.password does not open" if encrypted else "cannot read"
        raise UsageError(f"{source}: {reason} the private key") from None


def _pkcs8(key: object) -> str:
    from cryptography.hazmat.primitives import serialization  # 18 ms

    return key.private_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def _matched(named: KeySource, key_named: KeySource, chain: str, key: str) -> tuple[str, str]:
    """Chain and key. Raises UsageError where the key is not that of the first certificate."""
    from cryptography.exceptions import UnsupportedAlgorithm  # 5.5 ms
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509 import load_pem_x509_certificate  # 38 ms

    def public(key: object) -> object:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return key.public_bytes(*form)  # type: ignore[attr-defined]

    try:
        leaf = public(load_pem_x509_certificate(chain.encode()).public_key())
        own = public(load_pem_private_key(key.encode(), None).public_key())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{named}: cannot read the client's certificate") from None
    if leaf != own:
        raise UsageError(
            f"{named}: the first certificate is not the one of the private key in {key_named.name}"
        )
    return chain, key


def _jks(source: KeySource, data: bytes) -> tuple[jks.KeyStoreEntry, ...]:
    try:
        return jks.entries(data, source.password)
    except jks.WrongPassword:
        raise UsageError(f"{source}: {_wrong(source)}") from None
    except jks.Damaged:
        raise UsageError(f"{source} is a damaged Java key store") from None


def _jks_identity(source: KeySource, data: bytes) -> tuple[str, str]:
    entries = [entry for entry in _jks(source, data) if entry.key]
    entry = entries[_only(source, [entry.alias for entry in entries])]
    password = source.key_password or source.password
    if not password:
        raise UsageError(f"{source} is a Java key store: set {source.password_name}")
    try:
        key = pem.wrapped("PRIVATE KEY", jks.unprotect(entry.key or b"", password))
    except jks.WrongPassword:
        raise UsageError(
            f"{source}: ssl.key.password, or else {source.password_name}, does not open the "
            "private key"
        ) from None
    except jks.Damaged:
        raise UsageError(f"{source}: the private key in it is damaged") from None
    chain = "".join(pem.wrapped("CERTIFICATE", der) for der in entry.certificates)
    return _matched(source, source, _certificates(source, chain), _key(source, key))


def _pkcs12(source: KeySource, data: bytes) -> PKCS12KeyAndCertificates:
    from cryptography.exceptions import UnsupportedAlgorithm  # 5.5 ms
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    password = source.password
    try:
        return load_pkcs12(data, password.encode() if password is not None else None)
    except UnsupportedAlgorithm:
        raise UsageError(
            f"{source} is {PKCS12} with a cipher that OpenSSL no longer supports: convert it with "
            "keytool -importkeystore -deststoretype PKCS12"
        ) from None
    except (ValueError, TypeError):
        reason = _wrong(source) if password else f"it needs a password: set {source.password_name}"
        raise UsageError(f"{source}: {reason}") from None


def _pkcs12_identity(source: KeySource, data: bytes) -> tuple[str, str]:
    store = _pkcs12(source, data)
    names = [_alias(one.friendly_name) for one in store.additional_certs if one.friendly_name]
    own = _alias(store.cert.friendly_name) if store.cert else "?"
    keys = max(data.count(_KEY_BAG), 1 if store.key else 0)
    _only(source, ([own, *names] + ["?"] * keys)[:keys])
    if store.key is None or store.cert is None:
        raise UsageError(f"{source} holds no private key with its certificate")
    ders = [_der(store.cert.certificate)]
    ders += [_der(one.certificate) for one in store.additional_certs]
    chain = "".join(pem.wrapped("CERTIFICATE", der) for der in ders)
    return _matched(source, source, _certificates(source, chain), _pkcs8(store.key))


def _only(source: KeySource, aliases: Sequence[str]) -> int:
    """0, the place of the one key in a store that must have one."""
    if not aliases:
        raise UsageError(f"{source} holds no private key: it is a trust store, or the wrong file")
    if len(aliases) > 1:
        listed = ", ".join(quoted(alias) for alias in sorted(aliases)[:3])
        raise UsageError(
            f"{source} holds {len(aliases)} private keys ({listed}{', …' if aliases[3:] else ''}), "
            "so it is not clear which one a client would send: export the one into a store of its "
            "own with keytool -importkeystore -srcalias"
        )
    return 0


def _wrong(source: KeySource) -> str:
    return f"{source.password_name} is wrong, or the file is damaged"


def _alias(name: bytes | None) -> str:
    return (name or b"?").decode("utf-8", "replace")


def _der(certificate: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # 19 ms

    return certificate.public_bytes(Encoding.DER)  # type: ignore[attr-defined,no-any-return]
