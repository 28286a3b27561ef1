"""The first bytes to a bootstrap server whose protocol is not known, as hop 1 encodes them."""

from __future__ import annotations

FIRST_FLIGHT = (
    b"\0\0\0\x0f\0\x12\0\0\0\0\0\x01\0\x05kdiag"  # ApiVersions 0, the first request
    b"\0\0\0\x14\0\x03\0\x04\0\0\0\x02\0\x05kdiag\0\0\0\0\0"  # Metadata 4, without topics
)
