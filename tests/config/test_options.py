"""The table of options: what is derived from it, and what is held to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args, get_type_hints

import pytest

from kdiag.config.options import EVERY, OPTIONS, CheckOptions, Options, checked, seconds
from kdiag.config.settings import settings
from kdiag.config.usage import UsageError
from kdiag.remote.probe import probe_request
from kdiag.remote.serialization import deserialize, serialize
from tests.running import kdiag

WRITTEN: dict[str, object] = {
    "text": str | None,
    "texts": Sequence[str],
    "seconds": float | None,
    "flag": bool,
    "files": Mapping[str, str] | None,
}


def test_check_takes_the_options_of_the_table_with_their_types() -> None:
    takes = get_type_hints(CheckOptions)
    assert takes.pop("properties")
    assert list(takes) == [name for name, option in OPTIONS.items() if option.python]
    for name, kind in takes.items():
        option = OPTIONS[name]
        if option.kind == "choice":
            assert get_args(kind) == option.choices
        else:
            assert kind == WRITTEN[option.kind], name


def test_the_help_page_has_every_option_in_the_order_of_the_table() -> None:
    page = " ".join(kdiag("check", "--help").stdout.split()).replace("- ", "-")
    helps = [
        option.help.replace("- ", "-")
        for name, option in EVERY.items()
        if name not in ("bootstrap", "outputs")
    ]
    places = [page.index(text) for text in helps]
    assert places == sorted(places)


def test_a_remote_walk_is_given_what_the_table_does_not_keep_here() -> None:
    given = settings(
        "a:1", topic="t", timeout="2", mapped=["b=c:2"], verbose=True, fail_on="warning", aws=True
    )
    sent = probe_request(given, "mark")
    there = deserialize(type(sent), serialize(sent)).settings
    for name, option in OPTIONS.items():
        default = Options._field_defaults[name]
        wanted = default if option.here else getattr(given.options, name)
        assert getattr(there.options, name) == wanted, name
    assert b"fail_on" not in serialize(sent)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3.0), ("3s", 3.0), ("500ms", 0.5), ("2m", 120.0), ("1 H", 3600.0), ("0.5S", 0.5)],
)
def test_a_time_has_a_unit(text: str, value: float) -> None:
    assert seconds("timeout", text) == value


@pytest.mark.parametrize("text", ["", "soon", "3 days", "1d", "-1", "1e3", "2h", "49ms", "s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--timeout.*: write seconds between 0\.05 and 3600, or"):
        seconds("timeout", text)


def test_a_word_in_any_case() -> None:
    assert checked("fail_on", "Warning") == "warning"
    done = kdiag("check", "127.0.0.1:1", "-o", "JSON", "--fail-on", "ERROR", "--timeout", "1S")
    assert done.returncode == 10, done.stderr
    assert done.stdout.startswith("{")
