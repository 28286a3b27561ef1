"""Sends one record to each partition with confluent-kafka; librdkafka logs to stderr."""

from __future__ import annotations

import json
import sys

import confluent_kafka

options = json.loads(sys.argv[1])
conf = {
    "bootstrap.servers": options["servers"],
    "security.protocol": options["protocol"],
    "client.id": "orders-service",
    "message.timeout.ms": int(options["seconds"] * 1000),
    "socket.connection.setup.timeout.ms": 3000,
    "allow.auto.create.topics": False,
    "topic.metadata.propagation.max.ms": 1000,
}
names = {
    "ca": "ssl.ca.location",
    "cert": "ssl.certificate.location",
    "key": "ssl.key.location",
    "mechanism": "sasl.mechanism",
    "user": "sasl.username",
    "password": "sasl.password",
}
conf |= {names[name]: options[name] for name in names if name in options}


def failed(error: confluent_kafka.KafkaError) -> None:
    sys.stderr.write(f"ERROR error_cb: {error!r}\n")


def delivered(error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message) -> None:
    if error:
        sys.stderr.write(f"ERROR Message delivery failed: {error}\n")
    else:
        sys.stderr.write(f"INFO delivered to partition {message.partition()}\n")


try:
    producer = confluent_kafka.Producer({**conf, "error_cb": failed})
    for partition in range(3):
        value = b"x" * options["size"]
        producer.produce(options["topic"], value, partition=partition, callback=delivered)
    producer.flush(options["seconds"] + 2)
except confluent_kafka.KafkaException as error:
    sys.stderr.write(f"ERROR {error}\n")
