"""Sends one record to each partition with aiokafka, and logs with the usual configuration."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys

from aiokafka import AIOKafkaProducer

options = json.loads(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s:%(message)s")


async def main() -> None:
    conf = {
        "bootstrap_servers": options["servers"],
        "security_protocol": options["protocol"],
        "client_id": "orders-service",
        "request_timeout_ms": 4000,
    }
    if "SSL" in options["protocol"]:
        conf["ssl_context"] = context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options["key"])
    if "mechanism" in options:
        conf["sasl_mechanism"] = options["mechanism"]
        conf["sasl_plain_username"] = options["user"]
        conf["sasl_plain_password"] = options["password"]
    producer = AIOKafkaProducer(**conf)
    try:
        await asyncio.wait_for(producer.start(), options["seconds"])
        for partition in range(3):
            try:
                sending = producer.send_and_wait(
                    options["topic"], b"x" * options["size"], partition=partition
                )
                await asyncio.wait_for(sending, options["seconds"])
            except Exception as error:
                logging.error("not sent: %s: %s", type(error).__name__, error)
    except Exception:
        logging.exception("the producer failed")
    finally:
        try:
            await asyncio.wait_for(producer.stop(), 2)
        except Exception as error:
            logging.error("not stopped: %s", type(error).__name__)


asyncio.run(main())
