"""Reads Java's own key store format (JKS) with the standard library.

Source: sun.security.provider.JavaKeyStore and KeyProtector in OpenJDK.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAGIC = b"\xfe\xed\xfe\xed"
_KEY, _CERTIFICATE = 1, 2
_WHITENER = b"Mighty Aphrodite"
_DIGEST = 20
# The object identifier of KeyProtector's algorithm, 1.3.6.1.4.1.42.2.17.1.1, in DER.
_PROTECTOR = b"\x06\x0a\x2b\x06\x01\x04\x01\x2a\x02\x11\x01\x01"


class Damaged(Exception):
    """The bytes are not a complete JKS key store."""


class WrongPassword(Exception):
    """The password does not open the store or its key."""


@dataclass(frozen=True)
class KeyStoreEntry:
    """`key` is a protected private key or None; `certificates` are DER, the key's own first."""

    alias: str
    key: bytes | None = field(repr=False)
    certificates: tuple[bytes, ...]


def entries(data: bytes, password: str | None) -> tuple[KeyStoreEntry, ...]:
    """The entries of a store. A password of None skips the check of its integrity, as Java does.

    Raises WrongPassword, or Damaged.
    """
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if not data.startswith(MAGIC) or len(data) < 12 + _DIGEST:
        raise Damaged
    if password is not None:
        found = hashlib.sha1(_bytes(password) + _WHITENER + body, usedforsecurity=False).digest()
        if found != digest:
            raise WrongPassword
    try:
        return tuple(_entries(_Cursor(body)))
    except (struct.error, UnicodeDecodeError):
        raise Damaged from None


def unprotect(protected: bytes, password: str) -> bytes:
    """The private key, PKCS#8 in DER.

    Raises WrongPassword, or Damaged when it is not protected as JKS does it.
    """
    start = protected.find(_PROTECTOR)
    if not 0 <= start < 32:
        raise Damaged
    secret = _octets(protected, start + len(_PROTECTOR))
    salt, sealed, digest = secret[:_DIGEST], secret[_DIGEST:-_DIGEST], secret[-_DIGEST:]
    stream, block = b"", salt
    key = _bytes(password)
    while len(stream) < len(sealed):
        block = hashlib.sha1(key + block, usedforsecurity=False).digest()
        stream += block
    plain = bytes(a ^ b for a, b in zip(sealed, stream))
    if hashlib.sha1(key + plain, usedforsecurity=False).digest() != digest:
        raise WrongPassword
    return plain


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 4

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def take(self, length: int) -> bytes:
        part = self._data[self._at : self._at + length]
        if len(part) < length:
            raise Damaged
        self._at += length
        return part

    def text(self) -> str:
        return self.take(self.number(">H")).decode("utf-8")


def _entries(cursor: _Cursor) -> Iterator[KeyStoreEntry]:
    version = cursor.number(">I")
    if version not in (1, 2):
        raise Damaged
    for _ in range(cursor.number(">I")):
        tag, alias = cursor.number(">I"), cursor.text()
        cursor.number(">Q")
        if tag == _KEY:
            key = cursor.take(cursor.number(">I"))
            chain = [_certificate(cursor, version) for _ in range(cursor.number(">I"))]
            yield KeyStoreEntry(alias, key, tuple(chain))
        elif tag == _CERTIFICATE:
            yield KeyStoreEntry(alias, None, (_certificate(cursor, version),))
        else:
            raise Damaged


def _certificate(cursor: _Cursor, version: int) -> bytes:
    if version == 2:
        cursor.text()
    return cursor.take(cursor.number(">I"))


def _octets(data: bytes, at: int) -> bytes:
    """The OCTET STRING that follows an algorithm's parameters (NULL, or none)."""
    if data[at : at + 2] == b"\x05\x00":
        at += 2
    if data[at : at + 1] != b"\x04" or len(data) < at + 2:
        raise Damaged
    length, at = data[at + 1], at + 2
    if length > 0x7F:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    octets = data[at : at + length]
    if len(octets) < length or length < 2 * _DIGEST:
        raise Damaged
    return octets


def _bytes(password: str) -> bytes:
    return password.encode("utf-16-be", "surrogatepass")
