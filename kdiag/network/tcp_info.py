"""Reads from the operating system how the bytes of a connection arrive."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress

from kdiag.network.attempt import Received, Sent

# Linux, struct tcp_info: where unacked, total_retrans, bytes_acked, notsent_bytes and rcv_ooopack
# (since 5.4) stand, and how long it is without and with the last one. https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h
_UNACKED, _TOTAL_RETRANS, _BYTES_ACKED, _NOTSENT_BYTES = 24, 100, 120, 144
_LINUX_SIZE = 148
_RCV_OOOPACK = 224

# macOS, struct tcp_connection_info, in xnu's netinet/tcp.h: where snd_wnd, snd_sbbytes,
# rxoutoforderbytes and txretransmitpackets stand.
_TCP_CONNECTION_INFO = 0x106
_SND_WND, _SND_SBBYTES, _RXOUTOFORDERBYTES, _TXRETRANSMITPACKETS = 28, 32, 96, 104
_MACOS_SIZE = 112
_MOST = (1 << 31) - 1


def sent(sock: socket.socket) -> Sent | None:
    """How much of the bytes sent was acknowledged; None where the system does not say."""
    info = _info(sock)
    return from_macos(info) if sys.platform == "darwin" else from_linux(info)


def received(sock: socket.socket) -> Received | None:
    """How much arrived before bytes that precede it; None where the system does not say."""
    info, macos = _info(sock), sys.platform == "darwin"
    if len(info) < (_MACOS_SIZE if macos else _RCV_OOOPACK + 4):
        return None
    found = _long(info, _RXOUTOFORDERBYTES) if macos else _int(info, _RCV_OOOPACK)
    return Received(min(found, _MOST))


def _info(sock: socket.socket) -> bytes:
    """The system's own struct about a TCP connection; empty where there is none."""
    with suppress(OSError):
        if sys.platform == "linux":
            return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if sys.platform == "darwin":
            return sock.getsockopt(socket.IPPROTO_TCP, _TCP_CONNECTION_INFO, 256)
    return b""


def from_linux(info: bytes) -> Sent | None:
    """Linux's struct tcp_info; None from a kernel that does not count acknowledged bytes: one
    before 4.6, or an emulation."""
    if len(info) < _LINUX_SIZE or _long(info, _BYTES_ACKED) == 0:
        return None
    return Sent(_int(info, _UNACKED), _int(info, _TOTAL_RETRANS), _int(info, _NOTSENT_BYTES))


def lossy(info: bytes, segments: int, again: int) -> bytes:
    """Linux's struct tcp_info as after the loss of `segments` segments, for the demo's network."""
    out = bytearray(info)
    struct.pack_into("=I", out, _UNACKED, segments)
    struct.pack_into("=I", out, _TOTAL_RETRANS, again)
    return bytes(out)


def from_macos(info: bytes) -> Sent | None:
    """macOS's struct tcp_connection_info: of the bytes in the send buffer, those beyond the peer's
    window are not sent yet."""
    if len(info) < _MACOS_SIZE:
        return None
    window, left = _int(info, _SND_WND), _int(info, _SND_SBBYTES)
    again = min(_long(info, _TXRETRANSMITPACKETS), _MOST)
    return Sent(min(left, window), again, max(0, left - window))


def _int(info: bytes, at: int) -> int:
    return int(struct.unpack_from("=I", info, at)[0])


def _long(info: bytes, at: int) -> int:
    return int(struct.unpack_from("=Q", info, at)[0])
