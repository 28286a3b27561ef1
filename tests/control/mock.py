"""librdkafka's mock cluster, in a process of its own: `python -m tests.control.mock BROKERS TOPIC`.

It prints where the brokers listen, and ends with its standard input.
"""

from __future__ import annotations

import os
import sys

from confluent_kafka import Producer


def main(brokers: int, topic: str) -> None:
    cluster = Producer(
        {"test.mock.num.brokers": brokers, "allow.auto.create.topics": True, "log_level": 0}
    )
    told = cluster.list_topics(topic, timeout=30).brokers.values()  # asking creates it
    servers = ",".join(f"{broker.host}:{broker.port}" for broker in told)
    print(servers, flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
