"""PEM text: the blocks in it, and how to write one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE")


@dataclass(frozen=True)
class PemBlock:
    """One block: its label ("CERTIFICATE", "PRIVATE KEY") and what stands between its lines."""

    label: str
    body: str = field(repr=False)

    @property
    def is_certificate(self) -> bool:
        return self.label in _CERTIFICATES

    @property
    def is_key(self) -> bool:
        return self.label.endswith("PRIVATE KEY")

    @property
    def text(self) -> str:
        """The block with lines of regular length; a property may have it in one line.

        Raises ValueError when it is not base64.
        """
        if ":" in self.body:  # headers of OpenSSL's old encryption; they need their own lines
            return f"-----BEGIN {self.label}-----{self.body}-----END {self.label}-----\n"
        try:
            label = "CERTIFICATE" if self.is_certificate else self.label
            return wrapped(label, base64.b64decode("".join(self.body.split()), validate=True))
        except binascii.Error as error:
            raise ValueError(str(error)) from None


def blocks(text: str) -> Iterator[PemBlock]:
    """The blocks of a text, in order; in it, a line break may be written as `\\n` in it."""
    for match in _BLOCK.finditer(text.replace("\\n", "\n")):
        yield PemBlock(match.group(1), match.group(2))


def wrapped(label: str, der: bytes) -> str:
    """A PEM block with this DER."""
    encoded = base64.b64encode(der).decode("ascii")
    lines = "\n".join(encoded[at : at + 64] for at in range(0, len(encoded), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
