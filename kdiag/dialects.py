"""The security of a client, read from its properties in Java's and librdkafka's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdiag.properties import PROTOCOLS
from kdiag.security import Sasl, Security, Tls
from kdiag.usage import UsageError, word


def secured(layers: Sequence[Mapping[str, str]]) -> Security:
    """The security that layers of client properties ask for, the strongest layer last.

    Raises UsageError with a sentence that names the property, and never its value's secrets.
    """
    given = {name: value for layer in layers for name, value in layer.items()}
    return Security(_protocol(given.get("security.protocol")), _tls(given), _sasl(given))


def _protocol(value: str | None) -> str | None:
    if value is not None and value.upper() not in PROTOCOLS:
        raise UsageError(f"security.protocol={word(value)}: write one of {', '.join(PROTOCOLS)}")
    return value.upper() if value is not None else None


def _tls(given: Mapping[str, str]) -> Tls:
    return Tls(
        ca=given.get("ssl.ca.pem"),
        ca_from="ssl.ca.pem" if "ssl.ca.pem" in given else "",
        certificate=given.get("ssl.certificate.pem"),
        key=given.get("ssl.key.pem"),
        key_password=given.get("ssl.key.password"),
        verify=given.get("enable.ssl.certificate.verification", "true") != "false",
        verify_name=given.get("ssl.endpoint.identification.algorithm", "https") == "https",
    )


def _sasl(given: Mapping[str, str]) -> Sasl | None:
    mechanism = given.get("sasl.mechanism", given.get("sasl.mechanisms"))
    if mechanism is None:
        return None
    return Sasl(mechanism, given.get("sasl.username", ""), given.get("sasl.password", ""))
