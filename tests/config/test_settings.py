"""What a user may write, and the sentence that answers what nobody can mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.endpoint import Endpoint, Mapped, parse_bootstrap, parse_endpoint, parse_mapped
from kdiag.config.options import Options
from kdiag.config.properties.syntax import lost_backslashes, parse_properties
from kdiag.config.settings import UsageError, parse_property, settings

MAX_SENTENCE = 320
quick = hypothesis_settings(max_examples=300, deadline=None, database=None, derandomize=True)

# Text made of what the parsers look for, beside any text whatsoever.
TOKENS = [*"[]:=,/@%\\#!.-_ \t\n\r\f\x1b\u202e\ud800\ufeff1a0u", "://", "fe80::1", "9092", "a" * 90]
SYNTAX = st.lists(st.sampled_from(TOKENS), max_size=12).map("".join)
ANY_TEXT = SYNTAX | st.text(st.characters())


def refused(call: Callable[[], object]) -> str:
    """The sentence of the UsageError that the call must raise."""
    with pytest.raises(UsageError) as caught:
        call()
    return sentence(caught.value)


def sentence(error: UsageError) -> str:
    """Its text, which must be one printable line of bounded length."""
    text = str(error)
    assert text.isprintable()
    assert 0 < len(text) <= MAX_SENTENCE
    return text


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("broker:9092", "broker", 9092),
        ("3.10.139.221:9094", "3.10.139.221", 9094),
        ("b-1.example.com.:1", "b-1.example.com.", 1),
        ("my_broker:65535", "my_broker", 65535),
        ("bücher.example:9092", "bücher.example", 9092),
        ("[2001:db8::1]:9094", "2001:db8::1", 9094),
        ("[::1]:9092", "::1", 9092),
        ("[::ffff:10.0.0.1]:9092", "::ffff:10.0.0.1", 9092),
        ("[fe80::1%eth0]:9092", "fe80::1%eth0", 9092),
        ("broker:09092", "broker", 9092),
    ],
)
def test_an_endpoint_with_a_port(text: str, host: str, port: int) -> None:
    notes: list[str] = []
    assert parse_endpoint(text, notes) == Endpoint(host, port)
    assert notes == []


@pytest.mark.parametrize(
    ("text", "host"),
    [("broker", "broker"), ("10.0.1.11", "10.0.1.11"), ("[2001:db8::1]", "2001:db8::1")],
)
def test_a_missing_port_is_assumed_and_said(text: str, host: str) -> None:
    notes: list[str] = []
    assert parse_endpoint(text, notes) == parse_endpoint(text) == Endpoint(host, 9092)
    assert notes == [f"{text}: no port given, 9092 assumed"]


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (Endpoint("broker", 9092), "broker:9092"),
        (Endpoint("2001:db8::1", 9092), "[2001:db8::1]:9092"),
    ],
)
def test_an_endpoint_is_written_as_it_is_read(endpoint: Endpoint, text: str) -> None:
    assert str(endpoint) == text
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # ports
        ("broker:", "'broker': port '' is not a number between 1 and 65535"),
        ("broker:0", "port '0' is not a number between 1 and 65535"),
        ("broker:65536", "port '65536'"),
        ("broker:70000", "port '70000'"),
        ("broker:-1", "port '-1'"),
        ("broker:+9092", "port '+9092'"),
        ("broker:9 092", "port '9 092'"),
        ("alice:hunter2", "'alice': port … is not a number"),
        ("broker:kafka", "port 'kafka'"),
        ("broker:٩٠٩٢", "port '٩٠٩٢'"),
        ("broker:00009999999", "port …"),
        ("broker:" + "9" * 5000, "is not a number between 1 and 65535"),
        ("[::1]:", "port ''"),
        ("[::1]:99999", "port '99999'"),
        # hosts
        ("", "'': '' is not a host name or an IP address"),
        (":9092", "':9092': '' is not a host name or an IP address"),
        ("3.10.139.999:9094", "'3.10.139.999' is no IP address"),
        ("9094", "'9094' is no IP address"),  # getaddrinfo would make 0.0.35.134 of it
        ("127.1:9092", "'127.1' is no IP address"),
        ("my broker:9092", "'my broker' is not a host name or an IP address"),
        ("broker\n:9092", "'broker\\n' is not a host name"),
        ("broker\n", "'broker\\n' is not a host name"),
        ("a" * 256 + ":9092", "is not a host name or an IP address"),
        ("broker/path:9092", "'broker/path' is not a host name"),
        ("user:pass@broker", "'user': port … is not"),
        # IPv6
        ("2001:db8::1", "needs brackets"),
        ("2001:db8::1", "told apart: write [2001:db8::1]:9092"),
        ("2001:db8::1:9092", "write [2001:db8::1:9092]:9092 or [2001:db8::1]:9092"),
        ("fe80::1%eth0", "write [fe80::1%eth0]:9092"),
        ("2001:db8:0:0:0:0:0:1:9092", "write [2001:db8:0:0:0:0:0:1]:9092"),
        ("fe80::1:\x1b[2J", "write HOST:PORT"),
        ("[2001:db8::1", "write an IPv6 address as [2001:db8::1]:9092"),
        ("[2001:db8::1]9092", "write an IPv6 address as [2001:db8::1]:9092"),
        ("[broker]:9092", "write an IPv6 address as [2001:db8::1]:9092"),
        ("[]:9092", "write an IPv6 address as [2001:db8::1]:9092"),
        ("[2001:xyz::1]:9092", "'2001:xyz::1' is not a host name or an IP address"),
        ("[fe80::1%]:9092", "is not a host name or an IP address"),
        ("[fe80::1%e\x1bth0]:9092", "is not a host name or an IP address"),
        ("[fe80::1%" + "e" * 900 + "]:9092", "is not a host name or an IP address"),
        # more than one server, or none
        ("a:9092;b:9092", "a comma between two servers"),
        ("a:9092:9093", "'a:9092:9093': write HOST:PORT"),
        # URLs
        ("kafka://broker:9094", "'kafka://broker:9094' is a URL"),
        ("kafka://broker:9094", "write broker:9094"),
        ("kafka://broker:9094/topic", "write broker:9094"),
        ("http://broker", "write broker:9092"),
        ("kafka://", "write HOST:PORT"),
        ("kafka://" + "a" * 200, "write HOST:PORT"),
        ("kafka://\x1b[31m:1", "write HOST:PORT"),
        ("PLAINTEXT://broker:9092/", "write broker:9092"),
        ("SSL://user@broker:9093", "write broker:9093 -X security.protocol=SSL"),
        ("sasl_ssl://[::1]:9096/a", "write [::1]:9096 -X security.protocol=SASL_SSL"),
        ("kafka://user:hunter2@broker:9092", "write broker:9092"),
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_answered_with_what_to_write(text: str, says: str) -> None:
    answer = refused(lambda: parse_endpoint(text))
    assert says in answer
    assert "hunter2" not in answer


@pytest.mark.parametrize("text", ["PLAINTEXT://broker:9092/", "kafka://broker:9092", "a://b"])
def test_a_url_that_says_nothing_of_security_suggests_no_property(text: str) -> None:
    assert "security.protocol" not in refused(lambda: parse_endpoint(text))


def test_a_security_protocol_in_front_is_left_out() -> None:
    notes: list[str] = []
    for text in ("PLAINTEXT://broker:9092", "sasl_ssl://broker:9092"):
        assert str(parse_endpoint(text, notes)) == "broker:9092"
    (note,) = notes
    assert note.endswith("write -X security.protocol=SASL_SSL")


def test_what_is_too_long_to_show_is_cut() -> None:
    answer = refused(lambda: parse_endpoint("x y" * 1000))
    assert answer.startswith("'x yx y")
    assert "…'" in answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1", [("a", 1)]),
        ("a:1,b:2", [("a", 1), ("b", 2)]),
        (" a:1 , b:2 ,", [("a", 1), ("b", 2)]),
        (",,a:1,,", [("a", 1)]),
        ("a:1\n,\tb:2", [("a", 1), ("b", 2)]),
        ("a:1,b:2,a:1", [("a", 1), ("b", 2)]),
        ("a:9092,a", [("a", 9092)]),
        ("a:1,a:2", [("a", 1), ("a", 2)]),
        ("[::1]:1,10.0.0.1:2", [("::1", 1), ("10.0.0.1", 2)]),
    ],
)
def test_a_list_of_servers(text: str, expected: list[tuple[str, int]]) -> None:
    assert parse_bootstrap(text) == tuple(Endpoint(*pair) for pair in expected)


@pytest.mark.parametrize("text", ["", " ", ",", " , ,\n"])
def test_an_empty_list_of_servers(text: str) -> None:
    assert "the list of bootstrap servers is empty" in refused(lambda: parse_bootstrap(text))


def test_one_bad_server_in_a_list_is_named() -> None:
    answer = refused(lambda: parse_bootstrap("good:9092,bad:0,worse:x"))
    assert answer.startswith("'bad': port '0'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.1.11=3.10.139.221", Mapped("10.0.1.11", None, "3.10.139.221", None)),
        ("a:9094=b:32001", Mapped("a", 9094, "b", 32001)),
        (" a = b:1 ", Mapped("a", None, "b", 1)),
        ("[::1]:9092=[2001:db8::1]", Mapped("::1", 9092, "2001:db8::1", None)),
    ],
)
def test_a_mapping(text: str, expected: Mapped) -> None:
    assert parse_mapped(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write ADVERTISED=CANDIDATE"),
        ("a", "--map 'a': write ADVERTISED=CANDIDATE"),
        ("=", "write ADVERTISED=CANDIDATE"),
        ("a=", "write ADVERTISED=CANDIDATE"),
        (" =b", "write ADVERTISED=CANDIDATE"),
        ("a=b=c", "'b=c' is not a host name or an IP address"),
        ("a b=c", "'a b' is not a host name or an IP address"),
        ("a:0=b", "port '0' is not a number between 1 and 65535"),
        ("a=b:x", "'b': port 'x' is not a number between 1 and 65535"),
        ("::1=b", "needs brackets"),
        ("a=[b", "right of the =: '[b' is not a host name or an IP address"),
        ("kafka://a:1=b", "left of the =: … is not a host name or an IP address"),
        ("a=hunter2!", "right of the =: … is not a host name or an IP address"),
        ("x" * 999 + "=\x1b", "is not a host name"),
    ],
)
def test_what_is_no_mapping_is_answered_with_what_to_write(text: str, says: str) -> None:
    assert says in refused(lambda: parse_mapped(text))


@pytest.mark.parametrize(
    ("mapping", "advertised", "expected"),
    [
        ("a=b", Endpoint("a", 9094), Endpoint("b", 9094)),
        ("A=b", Endpoint("a", 9094), Endpoint("b", 9094)),
        ("a=b:1", Endpoint("a", 9094), Endpoint("b", 1)),
        ("a:9094=b", Endpoint("A", 9094), Endpoint("b", 9094)),
        ("a:9094=b:1", Endpoint("a", 9094), Endpoint("b", 1)),
        ("a:9094=b:1", Endpoint("a", 9095), None),
        ("a=b", Endpoint("c", 9094), None),
    ],
)
def test_a_mapping_is_applied(
    mapping: str, advertised: Endpoint, expected: Endpoint | None
) -> None:
    assert parse_mapped(mapping).apply(advertised) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", ("a", "b")),
        ("a=", ("a", "")),
        (" client.id = me ", ("client.id", "me")),
        ("a=b=c", ("a", "b=c")),
        ("sasl.jaas.config=X required user=\"u\";", ("sasl.jaas.config", 'X required user="u";')),
    ],
)  # fmt: skip
def test_a_property(text: str, expected: tuple[str, str]) -> None:
    assert parse_property(text) == expected


@pytest.mark.parametrize("text", ["", "acks", "=b", " =b", "acks:all", "a\x1bb", "x" * 999])
def test_what_is_no_property_is_answered_with_what_to_write(text: str) -> None:
    assert refused(lambda: parse_property(text)).endswith(": write NAME=VALUE")


@pytest.mark.parametrize(
    "text",
    [
        "sasl.password:hunter2",
        "sasl.password hunter2",
        "=hunter2",
        'sasl.jaas.config:Login required password:"hunter2";',
    ],
)
def test_no_secret_is_shown_where_the_equals_sign_is_missing(text: str) -> None:
    assert "hunter2" not in refused(lambda: parse_property(text))


@pytest.mark.parametrize("name", ["sasl.password:hunter2", "sasl.password hunter2 "])
def test_no_secret_is_shown_in_a_name_that_is_none(name: str) -> None:
    answer = refused(lambda: settings("a:1", properties={name: ""}))
    assert answer.startswith("-X sasl.password…: no Kafka client has such a property")
    assert "hunter2" not in answer
    assert "hunter2" not in "".join(settings("a:1", from_file={name: ""}).notes)


# What java.util.Properties.load makes of these, but for the white space after a value, which
# Kafka's own reading of a value drops.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a:b", {"a": "b"}),
        ("a b", {"a": "b"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("a = b", {"a": "b"}),
        ("a\t:\fb", {"a": "b"}),
        ("a  b c", {"a": "b c"}),
        ("a = = b", {"a": "= b"}),
        ("a=b:c=d", {"a": "b:c=d"}),
        ("  a=b", {"a": "b"}),
        ("a=b  \t", {"a": "b"}),
        ("a=1\nb=2", {"a": "1", "b": "2"}),
        ("a=1\r\nb=2\r\n", {"a": "1", "b": "2"}),
        ("a=1\rb=2", {"a": "1", "b": "2"}),
        ("a=1\na=2", {"a": "2"}),
        ("\n\n \t\na=1\n\n", {"a": "1"}),
        ("# c\n! d\n  # e\na=1 # not a comment", {"a": "1 # not a comment"}),
        ("#comment \\\na=1", {"a": "1"}),
        ("\ufeffa=1", {"a": "1"}),
        ("\ufeff# c\na=1", {"a": "1"}),
        ("a=b\\\n  c", {"a": "bc"}),
        ("a=b\\\r\n\tc", {"a": "bc"}),
        ("a=b \\\n # c", {"a": "b # c"}),
        ("a=b\\\n\nc=d", {"a": "b", "c": "d"}),
        ("a=b\\\n\\\nc", {"a": "bc"}),
        ("a\\\nb=c", {"ab": "c"}),
        ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
        ("a=b\\\\\\\nc", {"a": "b\\c"}),
        ("a=b\\", {"a": "b"}),
        ("\\", {}),
        ("\\\n", {}),
        ("a\\ b=c", {"a b": "c"}),
        ("a\\=b\\:c=d", {"a=b:c": "d"}),
        ("\\#a=b", {"#a": "b"}),
        ("a=\\t1\\n2\\r3\\f4", {"a": "\t1\n2\r3\f4"}),
        ("a=\\q\\'\\\"", {"a": "q'\""}),
        ("a=\\u0041\\u00e4", {"a": "Aä"}),
        ("\\u0061=b", {"a": "b"}),
        ("a=\\ud83d\\ude00", {"a": "😀"}),
        ("a=\\ud83d.", {"a": "\ufffd."}),
        ("a=\\\\u0041", {"a": "\\u0041"}),
        ("a\u00a0b=c", {"a\u00a0b": "c"}),
        ("a\vb=c", {"a\vb": "c"}),
        ("a=C:\\\\kafka\\\\key.pem", {"a": "C:\\kafka\\key.pem"}),
        ("bootstrap.servers=a:1,\\\n                  b:2", {"bootstrap.servers": "a:1,b:2"}),
        (
            'sasl.jaas.config=org.x.Login required \\\n  username="u" \\\n  password="p=#!";',
            {"sasl.jaas.config": 'org.x.Login required username="u" password="p=#!";'},
        ),
    ],
)
def test_a_properties_file(text: str, expected: dict[str, str]) -> None:
    assert parse_properties(text) == expected


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        ("C:\\kafka\\new.jks", True),
        ("d:\\users\\me.p12", True),
        ("C:\\\\kafka\\\\new.jks", False),
        ("C:/kafka/new.jks", False),
        ("/etc/a\\ b.jks", False),
        ("Cc:\\x", False),
    ],
)
def test_a_path_of_windows_whose_backslashes_are_escapes(value: str, lost: bool) -> None:
    assert lost_backslashes(f"a=1\nb = {value}\n") == ({"b": value} if lost else {})


def test_a_malformed_escape_is_kept_as_text() -> None:
    # Java refuses the whole file here; a diagnosis can do without that.
    assert parse_properties("a=\\u12\nb=\\uXYZW") == {"a": "u12", "b": "uXYZW"}


@given(pairs=st.dictionaries(st.text("abc.=: #!\\\t\n\f", min_size=1), st.text("x =:\\#\té\u2603")))
@quick
def test_properties_written_as_java_writes_them_are_read(pairs: dict[str, str]) -> None:
    escapes = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}

    def escaped(text: str, plain: str) -> str:
        return "".join(
            escapes.get(c) or (c if c in plain else f"\\{c}" if c.isascii() else f"\\u{ord(c):04x}")
            for c in text
        )

    lines = [f"{escaped(name, 'abc.')}={escaped(value, 'x')}" for name, value in pairs.items()]
    expected = {name: value.rstrip() for name, value in pairs.items()}
    assert parse_properties("\n".join(lines)) == expected


def test_settings_are_what_was_asked() -> None:
    found = settings(
        "a:1,b",
        topic="orders",
        timeout=1,
        deadline=5.5,
        properties={"client.id": "me"},
        from_file={"broker.address.family": "v4", "client.id": "you", "acks": "all"},
        mapped=["a=b", "c:1=d:2"],
        fail_on="warning",
    )
    assert found.bootstrap == (Endpoint("a", 1), Endpoint("b", 9092))
    options = found.options
    assert (options.topic, options.timeout, options.deadline) == ("orders", 1, 5.5)
    assert options.mapped == (Mapped("a", None, "b", None), Mapped("c", 1, "d", 2))
    assert (found.family, options.fail_on) == ("v4", "warning")
    assert found.client == {"client.id": "me", "broker.address.family": "v4", "acks": "all"}
    assert found.notes == ("b: no port given, 9092 assumed",)


def test_settings_have_the_documented_defaults() -> None:
    found = settings("a:1")
    assert found.options == Options(None, 3.0, 10.0, 30.0)
    assert (found.options.fail_on, found.options.mapped) == ("error", ())
    assert (found.family, found.client, found.notes) == ("any", {}, ())


@pytest.mark.parametrize(
    ("argument", "in_property", "in_file", "host"),
    [
        ("a:1", "b:1", "c:1", "a"),
        (None, "b:1", "c:1", "b"),
        (None, None, "c:1", "c"),
    ],
)
def test_where_the_bootstrap_servers_are_taken_from(
    argument: str | None, in_property: str | None, in_file: str, host: str
) -> None:
    properties = {"bootstrap.servers": in_property} if in_property else {}
    found = settings(argument, properties=properties, from_file={"bootstrap.servers": in_file})
    assert found.bootstrap == (Endpoint(host, 1),)
    said = f"bootstrap.servers is not used: {argument} is given beside the properties"
    assert list(found.notes) == ([said] if argument else [])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"bootstrap": None}, "no bootstrap server: write kdiag check HOST:PORT"),
        ({"bootstrap": ""}, "the list of bootstrap servers is empty"),
        ({"bootstrap": "a:x"}, "port 'x' is not a number"),
        ({"mapped": ["nothing"]}, "write ADVERTISED=CANDIDATE"),
        (
            {"properties": {"bootstrap.server": "a"}},
            "-X bootstrap.server: no Kafka client has such a property "
            "(did you mean bootstrap.servers?)",
        ),
        ({"properties": {"Acks": "all"}}, "(did you mean acks?)"),
        ({"properties": {"zzzzzzzzzz": ""}}, "-X …: no Kafka client has such a property"),
        ({"properties": {"a\x1b[2J\n": ""}}, "-X …: no Kafka client has such a property"),
        ({"properties": {"x" * 999: ""}}, "no Kafka client has such a property"),
        ({"properties": {"security.protocol": "TLS"}}, "security.protocol=TLS: write one of PLAI"),
        ({"properties": {"security.protocol": "a\x1b\n"}}, "security.protocol=a…: write one of"),
        ({"properties": {"security.protocol": ""}}, "security.protocol=: write one of PLAINTEXT"),
        ({"from_file": {"security.protocol": "x" * 999}}, "write one of PLAINTEXT, SSL, SASL_"),
        ({"properties": {"broker.address.family": "v5"}}, "family=v5: write one of any, v4, v6"),
        ({"from_file": {"broker.address.family": "\x1b"}}, "write one of any, v4, v6"),
    ],
)
def test_what_cannot_be_asked_is_answered(asked: dict[str, Any], says: str) -> None:
    assert says in refused(lambda: settings(**{"bootstrap": "a:1", **asked}))


def test_a_property_that_resembles_none_gets_no_suggestion() -> None:
    answer = refused(lambda: settings("a:1", properties={"zzzzzzzzzz": ""}))
    assert "did you mean" not in answer


@pytest.mark.parametrize("name", ["orders", "a" * 249, "A.b_c-9", "...", "__consumer_offsets"])
def test_topic_names_that_kafka_takes(name: str) -> None:
    assert settings("a:1", topic=name).options.topic == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a" * 250, "a b", "a/b", "ordérs", "a\n", "\x1b[2J", "a,b", "x y" * 999]
)
def test_topic_names_that_kafka_refuses(name: str) -> None:
    answer = refused(lambda: settings("a:1", topic=name))
    assert answer.startswith("--topic ")
    assert "a topic name has 1 to 249 letters" in answer


@pytest.mark.parametrize("seconds", [0.05, 1, 3600])
@pytest.mark.parametrize("option", ["timeout", "deadline"])
def test_times_within_bounds(option: str, seconds: float) -> None:
    asked: dict[str, Any] = {option: seconds}
    assert getattr(settings("a:1", **asked).options, option) == seconds


@pytest.mark.parametrize(
    "seconds", [0, -1, 0.049, 3600.1, 1e308, math.nan, math.inf, -math.inf, -0.0]
)
@pytest.mark.parametrize("option", ["timeout", "deadline"])
def test_times_out_of_bounds(option: str, seconds: float) -> None:
    asked: dict[str, Any] = {option: seconds}
    answer = refused(lambda: settings("a:1", **asked))
    known = "write seconds between 0.05 and 3600, or a time such as 500ms, 3s or 2m"
    assert answer == f"--{option} {seconds:g}: {known}"


def test_what_a_file_holds_besides_is_noted_by_name_alone() -> None:
    found = settings(
        "a:1",
        properties={"acks": "all", "group.id": "g"},
        from_file={"ssl.truststore.passwd": "hunter2", "log.dirs": "/x", "bootstrap.server": "b:1"},
    )
    assert found.notes == (
        "used with --topic alone: acks",
        "not used by kdiag: bootstrap.server (did you mean bootstrap.servers?), "
        "ssl.truststore.passwd (did you mean ssl.truststore.password?), 1 that no Kafka client has",
        "no security.protocol is given, and ssl.truststore.passwd means TLS: kdiag speaks SSL; "
        "set security.protocol to use another one",
    )
    assert "hunter2" not in repr(found)
    assert (found.options.group, found.options.role) == ("g", "consumer")


@pytest.mark.parametrize(
    ("properties", "role", "noted"),
    [
        ({"buffer.memory": "1"}, "idempotent", "Java"),
        ({"enable.idempotence": "true"}, "idempotent", "enable.idempotence=true"),
        ({"enable.idempotence": "false", "buffer.memory": "1"}, "producer", ""),
        ({"queue.buffering.max.ms": "5"}, "producer", "librdkafka"),
    ],
)
def test_a_producer_is_idempotent_as_its_properties_say(
    properties: dict[str, str], role: str, noted: str
) -> None:
    found = settings("a:1", role="producer", properties=properties)
    assert found.options.role == role
    assert noted in " ".join(note for note in found.notes if note.startswith("--as producer"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"role": "consumer"}, "--as consumer: of which group? Add --group NAME, or group.id"),
        ({"role": "transactional"}, "--as transactional: of which transactional.id?"),
        ({"role": "reader"}, 'write "producer" or'),
        ({"group": ""}, "--group ''"),
    ],
)
def test_a_role_without_what_it_needs_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings("a:1", **options)
    assert says in str(refused.value)


@given(names=st.lists(ANY_TEXT, max_size=3))
@quick
def test_notes_are_printable_whatever_a_file_holds(names: list[str]) -> None:
    found = settings("a:1", from_file=dict.fromkeys(names, "x"))
    assert all(note.isprintable() for note in found.notes)
    assert bool(found.notes) == bool(names)


@pytest.mark.parametrize("parse", [parse_bootstrap, parse_mapped, parse_property, parse_endpoint])
@given(text=ANY_TEXT)
@example(text="[" * 999)
@example(text=":" * 999)
@example(text="a::b:" + "9" * 9999)
@example(text="\ud800:1=\udfff:2")
@example(text="\U000e0001" * 999 + "=" + "\U000e0001" * 999)
@quick
def test_no_text_raises_anything_but_usage_errors(
    parse: Callable[[str], object], text: str
) -> None:
    try:
        found = parse(text)
    except UsageError as error:
        sentence(error)
    else:
        assert found


@given(text=ANY_TEXT)
@example(text="\\" * 999)
@example(text="a=\\u")
@quick
def test_no_text_is_too_strange_for_a_properties_file(text: str) -> None:
    for name, value in parse_properties(text).items():
        assert name
        assert value == value.rstrip()


@given(host=ANY_TEXT)
@quick
def test_hosts_that_are_taken_are_printable_and_short(host: str) -> None:
    notes: list[str] = []
    try:
        found = parse_endpoint(f"[{host}]:1" if ":" in host else host, notes)
    except UsageError as error:
        sentence(error)
        return
    assert found.host.isprintable()
    assert len(found.host) <= 255
    assert 0 < found.port < 65536
    assert all(note.isprintable() for note in notes)


@given(topic=ANY_TEXT, protocol=ANY_TEXT, family=ANY_TEXT, name=ANY_TEXT)
@quick
def test_no_value_raises_anything_but_usage_errors(
    topic: str, protocol: str, family: str, name: str
) -> None:
    asked: list[dict[str, Any]] = [
        {"topic": topic},
        {"properties": {"security.protocol": protocol}},
        {"from_file": {"broker.address.family": family}},
        {"properties": {name: ""}},
    ]
    for one in asked:
        try:
            found = settings("a:1", **one)
        except UsageError as error:
            sentence(error)
        else:
            assert found.bootstrap == (Endpoint("a", 1),)
