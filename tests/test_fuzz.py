"""A moment of `python -m tests.fuzz`, with the same inputs each time."""

from __future__ import annotations

import pytest

from tests import fuzz

# They wait, or print a lot.
FEW = {"wire": 2, "tls": 8, "sasl": 12, "logs": 60, "saved": 40, "far-side": 40}


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_target(name: str) -> None:
    for seed in range(FEW.get(name, 150)):
        fuzz.fed(name, seed)


def test_what_goes_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that fails, and one that takes its time."""
    monkeypatch.setattr(fuzz, "parse_properties", lambda text: {}[text])
    with pytest.raises(KeyError):
        fuzz.fed("properties", 1)
    monkeypatch.setattr(fuzz, "LONGEST", 0.0)
    with pytest.raises(AssertionError, match=r"\d s$"):
        fuzz.fed("logs", 1)
