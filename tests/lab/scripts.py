"""Kafka's own scripts, typed by an administrator as a report proposes them."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.lab.kafka import JAVA, jars
from tests.running import ENOUGH

# The class that each script runs.
_CLASSES = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
}


def typed(snippet: str, server: str, properties: Path | None = None) -> list[str]:
    """What the commands of a snippet print, at the listener for administrators; `properties` is
    what they have for it."""
    told = []
    for command in snippet.splitlines():
        script, *words = shlex.split(command)
        words[words.index("--bootstrap-server") + 1] = server
        given = {"<administrator.properties>": str(properties)} if properties else {}
        words = [given.get(word, word) for word in words]
        tool = [*JAVA, "-cp", f"{jars()}/*", _CLASSES[script], *words]
        done = subprocess.run(tool, capture_output=True, text=True, timeout=ENOUGH, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        told.append(done.stdout)
    return told
