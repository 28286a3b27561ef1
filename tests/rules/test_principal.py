"""Who the client is to access rules, and what that makes of a command."""

from __future__ import annotations

import shlex
import ssl

import pytest

from kdiag.config.security import Sasl, Security, Tls
from kdiag.rules.principal import principal, secured
from tests.certificates import made, name

CERTIFICATE = ssl.DER_cert_to_PEM_cert(made(name(o="Acme", cn="orders app")))


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (Security(), "User:ANONYMOUS"),
        (Security("SASL_SSL", sasl=Sasl("SCRAM-SHA-512", "alice")), "User:alice"),
        (Security("SASL_SSL", sasl=Sasl("PLAIN", "a b; reboot")), "User:a b; reboot"),
        (Security("SASL_SSL", sasl=Sasl("OAUTHBEARER", token="x")), "User:<this client>"),
        (Security("SSL", Tls(certificate=CERTIFICATE)), "User:CN=orders app,O=Acme"),
        (Security("SSL", Tls(certificate="no PEM")), "User:<subject of the certificate>"),
    ],
)
def test_who_it_is(security: Security, expected: str) -> None:
    told = principal(security)
    assert told == expected or shlex.split(told) == [expected]


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (Security(), False),
        (Security("PLAINTEXT"), False),
        (Security("SSL"), True),
        (Security(None, sasl=Sasl("PLAIN", "alice")), True),
    ],
)
def test_whether_kafkas_tools_need_properties(security: Security, expected: bool) -> None:
    assert secured(security) is expected
