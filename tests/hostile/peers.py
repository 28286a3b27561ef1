"""What a peer that means harm may answer: random, but the same for the same seed."""

from __future__ import annotations

import random
import struct
from typing import Any

from kdiag.clients.wire import API_VERSIONS, DESCRIBE_CONFIGS, METADATA, PRODUCE, Request
from kdiag.demo.broker import HANG_UP, SILENCE, Control

NASTY = (
    "\x1b[31mred\x1b]0;title\x07[bold red]x[/]",
    "\u202eevil\u2066",
    "a\nb\r\tc\x00d",
    "$(rm -rf x)`id`\"';&|",
    "x" * 30_000,
    "{0}{who}%s",
    "",
    "漢字é\udcff".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
)
NUMBERS = (-1, 0, 1, 2, 3, 29, 42, 72, 32767, -32768)
PORTS = (-1, 0, 1, 9094, 65536, 2**31 - 1)


def control(seed: int) -> Control:
    """Answers of every kind, well-formed with odd values, or no answers at all."""
    random_ = random.Random(seed)

    def answer(request: Request) -> Any:
        kind = random_.choice(("usual", "odd", "odd", "odd", "bytes", "cut", "silence", "gone"))
        if kind == "usual":
            return None
        if kind == "silence":
            return SILENCE
        if kind == "gone":
            return HANG_UP
        if kind == "bytes":
            return random_.randbytes(random_.randrange(1, 64))
        if kind == "cut":
            head = struct.pack(">i", request.correlation)
            body = head + random_.randbytes(random_.randrange(0, 64))
            return struct.pack(">i", len(body)) + body
        return _odd(request, random_)

    return answer


def _odd(request: Request, random_: random.Random) -> Any:
    def text() -> str:
        return random_.choice(NASTY)

    def number() -> int:
        return random_.choice(NUMBERS)

    if request.api is API_VERSIONS:
        keys = [
            {"api_key": random_.choice((0, 3, 17, 18, 32, 52, 99)), "min_version": number(),
             "max_version": number()}
            for _ in range(random_.randrange(0, 6))
        ]  # fmt: skip
        return {"error_code": number(), "api_keys": keys, "throttle_time_ms": 0}
    if request.api is METADATA:
        nodes = range(random_.choice((0, 1, 3, 3, 40)))
        return {
            "throttle_time_ms": number(),
            "brokers": [
                {"node_id": random_.choice((node, node, -7, 2**31 - 1)), "host": text(),
                 "port": random_.choice(PORTS), "rack": text()}
                for node in nodes
            ],
            "cluster_id": random_.choice((None, text())),
            "controller_id": number(),
            "topics": [
                {"error_code": number(), "name": text(), "is_internal": False, "partitions": [
                    {"error_code": number(), "partition_index": number(), "leader_id": number(),
                     "leader_epoch": 0, "replica_nodes": [number()], "isr_nodes": [],
                     "offline_replicas": []}
                ]}
            ],
        }  # fmt: skip
    if request.api is DESCRIBE_CONFIGS:
        entry = {"name": text(), "value": text(), "read_only": True, "config_source": 1,
                 "is_sensitive": False, "synonyms": []}  # fmt: skip
        return {
            "throttle_time_ms": 0,
            "results": [
                {"error_code": number(), "error_message": text(), "resource_type": 4,
                 "resource_name": text(), "configs": [entry]}
            ],
        }  # fmt: skip
    if request.api is PRODUCE:
        partition = {"index": number(), "error_code": number(), "base_offset": 0,
                     "log_append_time_ms": 0, "log_start_offset": 0}  # fmt: skip
        return {"topics": [{"name": text(), "partitions": [partition]}],
                "throttle_time_ms": number()}  # fmt: skip
    return None
