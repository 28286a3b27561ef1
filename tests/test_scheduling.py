"""The order of the tests: what is listed is there, and a worker takes some of a file at once."""

from __future__ import annotations

from collections import Counter

from tests.running import ROOT
from tests.scheduling import AT_ONCE, LONGEST, Scheduling


def test_all_that_takes_longest_is_there() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*test_*.py"))
    for name in LONGEST:
        file = ROOT / (name if name.endswith(".py") else f"tests/lab/{name}.py")
        assert file.exists() or f'xdist_group("{name}")' in sources, name


def test_tests_in_no_group_go_to_a_worker_some_at_a_time() -> None:
    made = object.__new__(Scheduling)
    made._scopes, made._taken = {}, Counter()
    ids = [f"tests/a.py::test[{number}]" for number in range(AT_ONCE + 1)]
    scopes = [made._split_scope(each) for each in ids]
    assert [scopes.count(each) for each in dict.fromkeys(scopes)] == [AT_ONCE, 1]
    assert [made._split_scope(each) for each in ids] == scopes
    assert made._split_scope("tests/b.py::test[0]") not in scopes
    assert made._split_scope("tests/a.py::test[x@y]@lab") == "lab"
