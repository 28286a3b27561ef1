"""Peers that misbehave, each on real TCP: what a walk may meet at the other end of the wire."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter

from kdiag.demo.world import Serve
from kdiag.kafka.messages import API_VERSIONS, METADATA, PRODUCE, encode_response

TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x50"
HTTP = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n"
SSH = b"SSH-2.0-OpenSSH_9.6\r\n"


async def silent(reader: StreamReader, writer: StreamWriter) -> None:
    """Accepts, reads whatever comes, and says nothing."""
    while await reader.read(65536):
        pass
    writer.close()


async def hangs_up(_: StreamReader, writer: StreamWriter) -> None:
    """Accepts and closes at once."""
    writer.close()


async def hangs_up_when_asked(reader: StreamReader, writer: StreamWriter) -> None:
    """Closes on the first request."""
    await reader.read(65536)
    writer.close()


async def resets(reader: StreamReader, writer: StreamWriter) -> None:
    """Answers the first request with a TCP reset."""
    await reader.read(1)
    _reset(writer)


async def resets_in_the_middle(reader: StreamReader, writer: StreamWriter) -> None:
    """Begins an answer, and resets the connection before its end."""
    await reader.read(1)
    writer.write(versions()[:10])
    await writer.drain()
    await asyncio.sleep(0.05)  # let these bytes be read: a reset throws away what is on its way
    _reset(writer)


def says(words: bytes) -> Serve:
    """Answers anything with these bytes, and waits for the other end to hang up."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        writer.write(words)
        await silent(reader, writer)

    return serve


def says_and_hangs_up(words: bytes) -> Serve:
    """Answers anything with these bytes, then closes."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(65536)
        writer.write(words)
        writer.close()

    return serve


def greets(words: bytes) -> Serve:
    """Speaks first, as servers of other protocols do."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(words)
        await silent(reader, writer)

    return serve


def drips(words: bytes, pause: float) -> Serve:
    """Answers with these bytes one at a time, `pause` seconds apart."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        for byte in words:
            writer.write(bytes((byte,)))
            await asyncio.sleep(pause)
            if reader.at_eof() or writer.is_closing():
                break
        writer.close()

    return serve


def floods(start: bytes, block: bytes = b"k" * 65536) -> Serve:
    """Answers with `start` and then with these bytes for ever."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        writer.write(start)
        try:
            while not writer.is_closing():
                writer.write(block)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    return serve


def versions(correlation: int = 1, error_code: int = 0, keys: bool = True) -> bytes:
    """An answer to ApiVersions 0, as a broker with Metadata and Produce gives it."""
    listed = [
        {"api_key": api.key, "min_version": 0, "max_version": 13} for api in (PRODUCE, METADATA)
    ]
    body = {"error_code": error_code, "api_keys": listed if keys else []}
    return encode_response(API_VERSIONS, 0, correlation, body)


def _reset(writer: StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
