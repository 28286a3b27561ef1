"""The commands to type on the client are those of the system of the machine that walked."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kdiag.config.settings import Endpoint
from kdiag.rules import remedies
from kdiag.rules.catalog import every_rule
from kdiag.rules.client import ClientSystem
from kdiag.rules.rule import Remedy
from tests.facts import (
    DOOR,
    at,
    bootstrap,
    contact,
    found_by,
    listener,
    listeners,
    working_bootstrap,
)

STORE = "ssl.truststore.location"
WINDOWS = ClientSystem("windows")
HOSTS = {
    "linux": "/etc/hosts",
    "macos": "/etc/hosts",
    "windows": r"%SystemRoot%\System32\drivers\etc\hosts",
}


def last(code: str, system: str, *facts: Any) -> Remedy:
    """The last fix of a rule's first finding, on a client with this system."""
    return found_by(code, *facts, ClientSystem(system))[0].remedies[-1]


@pytest.mark.parametrize(
    ("system", "kind", "resolve", "route4", "route6"),
    [
        ("linux", "shell", "getent ahosts", "ip route get", "ip route get"),
        ("freebsd14", "shell", "getent ahosts", "ip route get", "ip route get"),
        ("macos", "shell", "dscacheutil -q host -a name", "route -n get", "route -n get -inet6"),
        ("windows", "powershell", "Resolve-DnsName", *["Find-NetRoute -RemoteIPAddress"] * 2),
    ],
)
def test_a_name_and_a_route(system: str, kind: str, resolve: str, route4: str, route6: str) -> None:
    name = contact("kafka.example.com:9094", "dns:not_found")
    fix = last("KD101", system, bootstrap(name))
    assert (fix.kind, fix.snippet) == (kind, f"{resolve} kafka.example.com")
    for address, route in (("203.0.113.7", route4), ("2001:db8::7", route6)):
        endpoint = str(Endpoint(address, 9094))
        fix = last("KD105", system, bootstrap(contact(endpoint, "unreachable")))
        assert (fix.kind, fix.snippet) == (kind, f"{route} {address}")


@pytest.mark.parametrize(
    ("system", "place"),
    [
        ("linux", "/etc/resolv.conf"),
        ("macos", "what scutil --dns lists"),
        ("windows", "what Get-DnsClientServerAddress lists"),
    ],
)
def test_the_settings_of_the_resolver(system: str, place: str) -> None:
    failed = bootstrap(contact("kafka.example.com:9094", "dns:resolver_failed"))
    fix = last("KD102", system, failed)
    assert f"Check {place}, the VPN" in fix.summary


@pytest.mark.parametrize("system", HOSTS)
def test_the_hosts_file(system: str) -> None:
    proven = (contact(f"{DOOR}:9094", node=1),)
    name = listener(1, "broker-1.kafka.svc:9094", "dns:not_found", candidates=proven)
    facts = (working_bootstrap(f"{DOOR}:9094"), listeners(name), ClientSystem(system))
    fixes = found_by("KD304", *facts)[0].remedies
    (fix,) = [fix for fix in fixes if fix.kind == "hosts"]
    assert f"Until then, {HOSTS[system]} on this client" in fix.summary


def test_what_a_broker_sends() -> None:
    untrusted = bootstrap(contact("[2001:db8::7]:9094", "tls:untrusted"))
    assert last("KD112", "macos", untrusted) == last("KD112", "linux", untrusted)
    fix = last("KD112", "windows", untrusted)
    assert fix.kind == "powershell"
    assert fix.snippet.startswith("'' | openssl s_client -connect '[2001:db8::7]:9094' -showcerts")


def test_a_trust_store_of_windows() -> None:
    store = remedies.trust(at(f"{DOOR}:9094"), rf"{STORE}=C:\it's.jks", False, False, WINDOWS)[0]
    assert store.snippet.endswith(r"-keystore 'C:\it''s.jks'")


def test_a_page_has_the_commands_of_the_system() -> None:
    rules = every_rule()
    pages = {system: {c: ClientSystem(system).translated(r.doc) for c, r in rules.items()}
             for system in HOSTS}  # fmt: skip
    assert pages["linux"] == {code: rule.doc for code, rule in rules.items()}
    for code, linux, windows in (
        ("KD101", "`getent ahosts NAME` here", "`Resolve-DnsName NAME` here"),
        ("KD105", "`ip route get ADDRESS`", "`Find-NetRoute -RemoteIPAddress ADDRESS`"),
        ("KD402", "`ping -M do -s 1472 HOST`", "`ping -f -l 1472 HOST`"),
    ):
        assert linux in pages["linux"][code]
        assert windows in pages["windows"][code]
    for system in ("macos", "windows"):
        text = "\n".join(pages[system].values())
        assert not re.search("getent ahosts|ip route|ping -M|nc -zv", text), system
        assert "time getent hosts ADDRESS" in text  # it is for the broker's own host
