"""Sends one record to each partition with kafka-python, and logs with the usual configuration."""

from __future__ import annotations

import json
import logging
import sys

from kafka import KafkaProducer

options = json.loads(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
conf = {
    "bootstrap_servers": options["servers"].split(","),
    "security_protocol": options["protocol"],
    "client_id": "orders-service",
    "max_block_ms": int(options["seconds"] * 1000),
    "request_timeout_ms": 4000,
    "delivery_timeout_ms": 6000,
    "api_version_auto_timeout_ms": int(options["seconds"] * 1000),
}
names = {
    "ca": "ssl_cafile",
    "cert": "ssl_certfile",
    "key": "ssl_keyfile",
    "mechanism": "sasl_mechanism",
    "user": "sasl_plain_username",
    "password": "sasl_plain_password",
}
conf |= {names[name]: options[name] for name in names if name in options}
conf = {name: value for name, value in conf.items() if name in KafkaProducer.DEFAULT_CONFIG}
try:
    producer = KafkaProducer(**conf)
    sent = [producer.send(options["topic"], b"x" * options["size"], partition=p) for p in range(3)]
    for future in sent:
        try:
            future.get(timeout=options["seconds"])
        except Exception as error:
            logging.error("not sent: %s: %s", type(error).__name__, error)
    producer.close(timeout=1)
except Exception:
    logging.exception("the producer failed")
