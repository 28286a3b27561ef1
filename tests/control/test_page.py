"""The page on compatibility: of what runs, and of nothing else."""

from __future__ import annotations

from tests.control.others import OTHERS
from tests.control.outcome import PROVEN
from tests.control.released import names
from tests.control.servers import SERVERS


def test_each_case_has_been_proven_and_nothing_else_is_kept() -> None:
    cases = [*names(), *OTHERS, *(server.name for server in SERVERS)]
    assert len(cases) == len(set(cases))
    assert {path.stem for path in PROVEN.glob("*.json")} == set(cases)
