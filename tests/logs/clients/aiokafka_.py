"""One record for each partition by aiokafka, logged as its users log."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys

from aiokafka import AIOKafkaProducer

asked = json.loads(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s:%(message)s")


async def main() -> None:
    conf = {
        "bootstrap_servers": asked["servers"],
        "security_protocol": asked["protocol"],
        "client_id": "orders-service",
        "request_timeout_ms": 4000,
    }
    if "SSL" in asked["protocol"]:
        conf["ssl_context"] = context = ssl.create_default_context(cafile=asked.get("ca"))
        if "cert" in asked:
            context.load_cert_chain(asked["cert"], asked["key"])
    if "mechanism" in asked:
        conf["sasl_mechanism"] = asked["mechanism"]
        conf["sasl_plain_username"] = asked["user"]
        conf["sasl_plain_password"] = asked["password"]
    producer = AIOKafkaProducer(**conf)
    try:
        await asyncio.wait_for(producer.start(), asked["seconds"])
        for partition in range(3):
            try:
                sending = producer.send_and_wait(
                    asked["topic"], b"x" * asked["size"], partition=partition
                )
                await asyncio.wait_for(sending, asked["seconds"])
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
