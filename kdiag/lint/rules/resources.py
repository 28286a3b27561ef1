"""KD651, what Strimzi's operator does not take from a resource."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.lint import remedies
from kdiag.lint.deviation import meant
from kdiag.lint.documents import Document
from kdiag.lint.mistake import mistake
from kdiag.lint.resources import forbidden
from kdiag.rules.rule import Match, Severity, rule


@rule("KD651", "forbidden-setting", Severity.ERROR, "The operator ignores a setting")
def forbidden_setting(document: Document) -> Iterator[Match]:
    """`spec.kafka.config` has a setting that the operator makes itself, so that it ignores this one
    and says so in its log only. What brokers listen on and advertise comes from
    `spec.kafka.listeners`: `advertised.listeners` there is without any effect, and clients are sent
    elsewhere. Settings that have nothing to do with listeners are a warning.

    Write `advertisedHost` for each broker, in the configuration of the listener.

    Prove it: `kubectl logs deployment/strimzi-cluster-operator | grep forbidden`.

    How to fix: remove the setting, and say the same in `spec.kafka.listeners`.
    """
    if document.kind != "Kafka" or document.root is None:
        return
    for setting, listening in forbidden(meant(document.root, document.deviations)):
        name = setting.key.text
        message = f"the operator ignores `{name}` in spec.kafka.config"
        fix = remedies.say("Remove it: the operator sets it by the resource's other fields.")
        if listening:
            message += ": what brokers listen on and advertise is in spec.kafka.listeners"
            fix = remedies.say(
                "Write the address in the listener instead:",
                "configuration:\n  brokers:\n    - broker: <node id>\n"
                "      advertisedHost: <address that clients reach>",
                "yaml",
            )
        level = None if listening else Severity.WARNING
        spot = document.place(setting.key.start)
        yield mistake(message, f"`{name}`", spot, fix, level)
