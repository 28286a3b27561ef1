"""JAAS lines as Kafka's own client reads them: these agree with the JaasConfig of Kafka 4.3.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.properties import jaas
from kdiag.config.usage import UsageError

quick = hypothesis_settings(max_examples=200, deadline=None, database=None, derandomize=True)
MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {}),
        ('username="u" password="p"', {"username": "u", "password": "p"}),
        ("username='u' password='p'", {"username": "u", "password": "p"}),
        ("username=u password=p", {"username": "u", "password": "p"}),
        ('username = "u"\n\tpassword\n=\n"p"', {"username": "u", "password": "p"}),
        ('password="p;=#{}/* */ //x"', {"password": "p;=#{}/* */ //x"}),
        (r'password="a\"b\\c"', {"password": 'a"b\\c'}),
        (r'password="\101\x\n\t\60"', {"password": "Ax\n\t0"}),
        (r'password="\400"', {"password": " 0"}),
        ("password='it\"s'", {"password": 'it"s'}),
        ("password=a-b.c_d$e1", {"password": "a-b.c_d$e1"}),
        ("password=é語", {"password": "é語"}),
        ('"password"="p"', {"password": "p"}),
        ("a=x ", {"a": "x"}),
        ('username="u" // a comment\npassword="p"', {"username": "u", "password": "p"}),
        ('username="u" /* a\ncomment */ password="p"', {"username": "u", "password": "p"}),
        ('username="a" username="b"', {"username": "b"}),
        ('password=""', {"password": ""}),
        ('unsecuredLoginStringClaim_sub="alice"', {"unsecuredLoginStringClaim_sub": "alice"}),
        ('oauth.client.id="c"', {"oauth.client.id": "c"}),
    ],
)
def test_options_are_read_as_kafka_reads_them(options: str, expected: dict[str, str]) -> None:
    login = jaas.parse(f"{MODULE} required {options};")
    assert login.module == MODULE
    assert login.name == "PlainLoginModule"
    assert login.options == expected


@pytest.mark.parametrize("flag", ["required", "REQUIRED", "requisite", "sufficient", "optional"])
def test_every_control_flag_is_taken(flag: str) -> None:
    assert jaas.parse(f" \n{MODULE} {flag};\n").options == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write a login module's class first"),
        ("// nothing", "write a login module's class first"),
        ('"x" required;', "write a login module's class first"),
        (MODULE, "write required after the login module's class"),
        (f"{MODULE};", "write required after"),
        (f'{MODULE} username="u";', "write required after"),
        (f"{MODULE} required", "does not end with a semicolon"),
        (f'{MODULE} required username="u" password="hunter2"', "does not end with a semicolon"),
        (f'{MODULE} required password="hunter2;', "does not end with a semicolon"),
        (f"{MODULE} required password;", "password has no value that Java can read"),
        (f"{MODULE} required password=;", "password has no value"),
        (f"{MODULE} required password=", "password has no value"),
        (f"{MODULE} required password", "password has no value"),
        (f"{MODULE} required password=123;", "password has no value that Java can read: put it"),
        (f"{MODULE} required password=12hunter2;", "password has no value that Java can read"),
        (f"{MODULE} required password=-5;", "password has no value"),
        (f"{MODULE} required password=hunter2#x;", "the value of password goes on after its end"),
        (f"{MODULE} required hunter2=12;", "an option has no value that Java can read"),
        (f"{MODULE} required password=hunter2@x;", "the value of password goes on after its end"),
        (f"{MODULE} required password=a/hunter2;", "does not end with a semicolon"),
        (f"{MODULE} required, password=hunter2;", "after required come options"),
        (f"{MODULE} required; {MODULE} required;", "more than one login module"),
        (f'KafkaClient {{ {MODULE} required password="hunter2"; }};', "leave out KafkaClient { }"),
    ],
)
def test_what_kafka_refuses_is_answered_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        jaas.parse(text)
    answer = str(caught.value)
    assert answer.startswith("sasl.jaas.config: ")
    assert says in answer
    assert "hunter2" not in answer


def test_a_login_does_not_show_its_options() -> None:
    assert "hunter2" not in repr(jaas.parse(f'{MODULE} required password="hunter2";'))


@given(text=st.text("a.B \"'\\;=/*#-5\n\x1bé{}", max_size=40))
@quick
def test_no_text_raises_anything_but_usage_errors(text: str) -> None:
    for whole in (text, f"{MODULE} required {text}", f"{MODULE} required password={text};"):
        try:
            found = jaas.parse(whole)
        except UsageError as error:
            assert str(error).isprintable()
        else:
            assert found.module


@given(values=st.dictionaries(st.from_regex(r"[a-zA-Z_$][\w$.-]{0,9}", fullmatch=True), st.text()))
@quick
def test_what_is_quoted_as_java_wants_it_comes_back(values: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
        return '"' + "".join(escapes.get(char, char) for char in text) + '"'

    options = " ".join(f"{name}={quoted(value)}" for name, value in values.items())
    assert jaas.parse(f"a.B required {options};").options == values
