"""The real client of Python and C, in a process of its own: `python librdkafka.py`.

Standard input is a JSON object: `properties`, `topic`, `partitions` and `seconds`. It writes a
record to each partition, and prints the first error, or null, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer


def produce(properties: dict[str, str], topic: str, partitions: int, seconds: float) -> str | None:
    """None when every record was acknowledged, else the first error's name and words."""
    errors: list[str] = []
    words: list[str] = []
    acknowledged: list[int | None] = []

    def settled(error: KafkaError | None, message: Message) -> None:
        if error:
            errors.append(f"{error.name()}: {error.str()}")
        else:
            acknowledged.append(message.partition())

    def fail(error: KafkaError) -> None:
        if error.name() != "_ALL_BROKERS_DOWN":  # it says no more than the others
            words.append(f"{error.name()}: {error.str()}")

    wait: dict[str, Any] = {
        "message.timeout.ms": int(seconds * 1000),
        "allow.auto.create.topics": False,
        "error_cb": fail,
        "log_level": 0,
    }
    producer = Producer({**properties, **wait})
    for partition in range(partitions):
        producer.produce(topic, b"control", partition=partition, on_delivery=settled)
    give_up = time.monotonic() + seconds + 5
    while len(acknowledged) + len(errors) < partitions and time.monotonic() < give_up:
        try:
            producer.poll(0.1)
        except KafkaException as error:  # a producer without an id ends for good
            fail(error.args[0])
            break
    if len(acknowledged) == partitions:
        return None
    return (words[:1] or errors[:1] or ["no answer"])[0]


if __name__ == "__main__":
    told = json.load(sys.stdin)
    print(json.dumps(produce(**told)), flush=True)  # noqa: T201
    os._exit(0)  # its threads may still wait for a broker
