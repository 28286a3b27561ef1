"""Which servers the properties name, with which login and trust, as Confluent's client reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trustme

from kdiag.config.rest import RestServer
from kdiag.config.settings import settings
from kdiag.config.targets import Target
from kdiag.config.usage import UsageError

URL = "http://registry.example.com:8081"
SECRET = "Tr0ub4dor&3xyz"
SOURCE = "basic.auth.credentials.source"


def servers(given: Mapping[str, str], *urls: str) -> Sequence[RestServer]:
    return settings("kafka.example.com:9092", properties=given, http=urls).rest


def registry(url: str = URL, **more: str) -> RestServer:
    named = {name.replace("_", "."): value for name, value in more.items()}
    (server,) = servers({"schema.registry.url": url, **named})
    return server


def notes(**more: str) -> str:
    named = {name.replace("_", "."): value for name, value in more.items()}
    given = {"schema.registry.url": URL, **named}
    return " ".join(settings("kafka.example.com:9092", properties=given).notes)


def test_nothing_is_asked_unless_it_is_named() -> None:
    assert servers({}) == ()
    assert servers({"basic.auth.user.info": f"ada:{SECRET}"}) == ()


@pytest.mark.parametrize(
    ("url", "shown", "endpoint", "path"),
    [
        (URL, URL, ("registry.example.com", 8081), ""),
        ("https://host/", "https://host", ("host", 443), ""),
        ("http://host/apis/ccompat/v7/", "http://host/apis/ccompat/v7", ("host", 80), None),
        ("http://[::1]:8081", "http://[::1]:8081", ("::1", 8081), ""),
        (f"http://ada:{SECRET}@host:1", "http://host:1", ("host", 1), ""),
    ],
)
def test_a_url(url: str, shown: str, endpoint: tuple[str, int], path: str | None) -> None:
    (server,) = servers({}, url)
    assert (server.url, tuple(server.endpoint)) == (shown, endpoint)
    assert server.path == ("/apis/ccompat/v7" if path is None else path)
    assert (server.tls is None) is url.startswith("http:")


@pytest.mark.parametrize(
    "url",
    ["host:8081", "ftp://host", "http://", "http://host:x", "http://host:0", "http://h/?a=1",
     "http://host/\r\nX-Evil: 1", "http://host/ b", f"http://ada:{SECRET}@[::1:8081"],
)  # fmt: skip
def test_a_url_that_cannot_be_asked_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(UsageError, match=r"--http: write http://HOST:PORT") as refused:
        servers({}, url)
    assert SECRET not in str(refused.value)


def test_several_registries_and_one_that_names_no_server() -> None:
    found = servers({"schema.registry.url": f"{URL}, http://other:8081 ,mock://test"}, "http://c:1")
    assert [server.url for server in found] == [URL, "http://other:8081", "http://c:1"]
    assert [server.registry for server in found] == [True, True, False]
    assert "mock://" in " ".join(
        settings("k:1", properties={"schema.registry.url": "mock://test"}).notes
    )


def test_the_login_is_the_one_that_javas_client_sends() -> None:
    mine = f"ada:{SECRET}"
    user_info = {"basic_auth_user_info": mine}
    in_url = URL.replace("//", f"//{mine.replace('&', '%26')}@")
    assert registry(in_url).user_info == mine
    assert registry(**user_info).user_info == "", "its default source is the URL"
    assert "basic.auth.user.info is not used" in notes(**user_info)
    from_info = {SOURCE.replace(".", "_"): "USER_INFO", **user_info}
    assert registry(in_url.replace("ada", "eve"), **from_info).user_info == mine
    old = {"schema_registry_basic_auth_user_info": "eve:1234"}
    assert registry(**from_info, **old).user_info == "eve:1234", "the old name comes first"
    (server,) = servers({
        "schema.registry.url": URL, SOURCE: "SASL_INHERIT", "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN", "sasl.username": "bob", "sasl.password": SECRET,
    })  # fmt: skip
    assert server.user_info == f"bob:{SECRET}"
    token = {"bearer_auth_credentials_source": "STATIC_TOKEN", "bearer_auth_token": SECRET}
    assert (registry(**token).token, registry(**token).user_info) == (SECRET, "")


def test_what_has_no_login_says_so() -> None:
    source = SOURCE.replace(".", "_")
    for given, text in (
        ({source: "USER_INFO"}, "give basic.auth.user.info"),
        ({source: "SASL_INHERIT"}, "the login to Kafka has no user"),
        ({source: "USERINFO"}, "write one of URL, USER_INFO, SASL_INHERIT"),
        ({source: "URL", "bearer_auth_credentials_source": "STATIC_TOKEN"}, "keep one of them"),
    ):
        with pytest.raises(UsageError, match=text):
            registry(**given)
    assert "without a login" in notes(bearer_auth_credentials_source="OAUTHBEARER")


def test_trust_is_the_registrys_own(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    pem = {"ssl.truststore.location": str(file), "ssl.truststore.type": "PEM"}
    own = {f"schema.registry.{name}": value for name, value in pem.items()}
    https = {"schema.registry.url": "https://registry:8081", "security.protocol": "SSL"}
    (of_kafka,) = servers({**https, **pem})
    assert of_kafka.tls
    assert of_kafka.tls.ca is None, "ssl.* is for the brokers"
    assert of_kafka.tls.verify_name
    (server,) = servers({**https, **own})
    assert server.tls
    assert "BEGIN CERTIFICATE" in (server.tls.ca or "")
    assert not server.tls.verify_name, "Java compares no name with a store of its own"
    checked = {"schema.registry.ssl.endpoint.identification.algorithm": "https"}
    (server,) = servers({**https, **own, **checked})
    assert server.tls
    assert server.tls.verify_name
    with pytest.raises(UsageError, match=r"schema\.registry\.ssl\.truststore\.location"):
        servers({**https, "schema.registry.ssl.truststore.location": str(tmp_path / "none.pem")})


def test_a_repr_has_no_secret() -> None:
    made = settings("k:1", http=[f"http://ada:{SECRET}@host"])
    assert SECRET not in repr(made)
    assert made.rest[0].secrets == (SECRET,)


@pytest.mark.parametrize(
    ("theirs", "mine", "refused"),
    [
        ({"schema.registry.url": URL}, {"basic.auth.user.info": "a:b"}, True),
        ({"schema.registry.url": URL}, {}, False),
        ({}, {"schema.registry.url": URL, "basic.auth.user.info": "a:b"}, False),
        ({"schema.registry.ssl.truststore.location": "ca.pem"},
         {"schema.registry.url": URL, "bearer.auth.token": "x"}, True),
    ],
)  # fmt: skip
def test_a_foreign_project_never_decides_where_a_login_goes(
    theirs: Mapping[str, str], mine: Mapping[str, str], refused: bool
) -> None:
    from kdiag.config.project import TrustedServers, refuse_decisions

    target = Target(bootstrap="k:1", properties=theirs, file="kdiag.toml", project=True)
    named = TrustedServers.by(["k:1"], [mine], [])
    if not refused:
        refuse_decisions(target, "t", [theirs], [mine], (), named)
        return
    with pytest.raises(UsageError, match="which is yours"):
        refuse_decisions(target, "t", [theirs], [mine], (), named)
