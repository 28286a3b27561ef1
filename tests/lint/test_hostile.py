"""Files that mean harm, or are just odd: no bytes crash kdiag lint, and none take long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdiag.config.endpoint import Endpoint
from kdiag.config.usage import UsageError
from kdiag.lint.documents import read
from kdiag.lint.edit import apply
from kdiag.lint.linter import lint
from kdiag.lint.observed import ObservedBroker, ObservedCluster, at
from kdiag.lint.reader import Unreadable, document
from tests.lint.corpus import cases
from tests.running import kdiag

TEXTS = [case.text for case in cases()]
NAMES = st.sampled_from(["a.yaml", "server.properties", "stdin"])
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

PUNCTUATION = " \t\n-:{}[]&*#\"'|>!%@`,?kafkspec0123=\\\r\x85\u2028\x00"
GENEROUS = 20.0  # seconds, on a machine that is busy


def linted(name: str, text: str) -> None:
    """Lints a text with everything that there is; what is refused is refused with a sentence."""
    try:
        report = lint({name: text}, fix=True)
    except UsageError as error:
        assert str(error).startswith(name)
        return
    for problem in report.problems:
        assert problem.spot.line >= 1
        assert problem.spot.column >= 1
        assert problem.finding.message.isprintable()
        assert all(remedy.summary for remedy in problem.finding.remedies)


@QUICK
@given(NAMES, st.text())
def test_no_text_crashes_it(name: str, text: str) -> None:
    linted(name, text)


@QUICK
@given(
    NAMES,
    st.text(alphabet=" \t\n-:{}[]&*#\"'|>!%@`,?kafkspec0123=\\\r\x85\u2028\x00", max_size=200),
)
def test_no_punctuation_crashes_it(name: str, text: str) -> None:
    linted(name, text)


@QUICK
@given(NAMES, st.sampled_from(TEXTS), st.data())
def test_no_mutation_of_a_real_file_crashes_it(name: str, text: str, data: st.DataObject) -> None:
    """A stretch taken out, doubled, or replaced: what editing by hand makes of a file."""
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 80)))
    put = data.draw(
        st.one_of(
            st.just(""), st.just(text[begin:end] * 2), st.text(max_size=20), st.sampled_from(TEXTS)
        )
    )
    linted(name, text[:begin] + put + text[end:])


@QUICK
@given(st.sampled_from(TEXTS), st.data())
def test_lines_at_random_indents_do_not_crash_it(text: str, data: st.DataObject) -> None:
    lines = text.splitlines()
    for number in data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=5)):
        lines[number] = " " * data.draw(st.integers(0, 12)) + lines[number].lstrip()
    linted("a.yaml", "\n".join(lines))


@QUICK
@given(st.binary(max_size=300))
def test_no_bytes_crash_it(data: bytes) -> None:
    for encoding in ("utf-8", "utf-16", "latin-1"):
        linted("stdin", data.decode(encoding, "replace"))


HOSTS = st.sampled_from(["3.10.139.221", "10.0.1.11", "localhost", "2001:db8::1", "", "a: b", "#"])
WHERES = st.builds(Endpoint, HOSTS, st.sampled_from([9092, 9094, 32001, 32100, 0, 70000]))
LIVE = st.builds(
    ObservedCluster,
    st.lists(WHERES, max_size=2).map(tuple),
    st.lists(
        st.builds(
            ObservedBroker,
            st.integers(0, 7),
            WHERES,
            st.booleans(),
            WHERES.map(lambda where: at(*where)),
        ),
        max_size=4,
        unique_by=lambda broker: broker.node,
    ).map(tuple),
)


@QUICK
@given(st.sampled_from(TEXTS), LIVE)
def test_whatever_a_walk_has_met_fixes_leave_a_file_that_can_be_read(
    text: str, live: ObservedCluster
) -> None:
    report = lint({"a.yaml": text}, skip_unknown=True, fix=True, live=live)
    broken = [p for p in report.problems if p.finding.code == "KD601" and not p.fixed]
    for fixed in report.fixed:
        assert fixed.before == text
        left = [p.finding.code for p in fixed.remaining]
        assert left.count("KD601") == len(broken)
        assert not [p for p in fixed.remaining if p.fixed]
        again = lint({"a.yaml": fixed.after}, skip_unknown=True, fix=True, live=live)
        assert again.fixed == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than 100 levels deep"),
        ("{a: " * 100_000, "nested more than 100 levels deep"),
        ("".join(f"{'  ' * n}a:\n" for n in range(5000)), "nested more than 100 levels deep"),
        ("a: &a [*a]", "*a stands inside of &a"),
        ("a: *b", "*b has no &b before it"),
        ("? [a]\n: b", "a key that is no single word"),
        ("a: \x07", "U+0007"),
        (
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
            "more than 100,000 values",
        ),
    ],
    ids=["brackets", "braces", "indents", "self", "nobody", "key", "bell", "bomb"],
)
def test_what_has_no_end_is_refused_at_its_place(text: str, words: str) -> None:
    started = time.monotonic()
    with pytest.raises(Unreadable) as refused:
        document(text)
    assert words in str(refused.value)
    assert refused.value.spot.line <= text.count("\n") + 1
    assert time.monotonic() - started < GENEROUS


def test_ten_thousand_lines_are_read_once() -> None:
    """A big list from kubectl. The bar is a second, on a machine that is quiet."""
    services = "".join(
        f"- apiVersion: v1\n  kind: Service\n  metadata:\n    name: s{n}\n"
        f"  spec:\n    type: NodePort\n    ports:\n    - port: 80\n      nodePort: {30000 + n}\n"
        for n in range(1200)
    )
    text = f"apiVersion: v1\nkind: List\nitems:\n{services}"
    assert text.count("\n") > 10_000
    started = time.monotonic()
    assert len(read("a.yaml", text).documents) == 1200
    assert time.monotonic() - started < GENEROUS


def test_a_file_of_a_hundred_megabytes_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(100 << 20)
    done = kdiag("lint", str(large))
    assert done.returncode == 2
    assert "1 MiB at most" in done.stderr


@given(st.sampled_from(TEXTS))
@settings(deadline=None, max_examples=40)
def test_no_edit_is_no_change(text: str) -> None:
    assert apply(text, []) == text
    assert read("a.yaml", text).name == "a.yaml"
