"""In which order workers take the tests, and how many at once."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

AT_ONCE = 8

# What takes longest begins first: groups, and files whose tests take many seconds each.
LONGEST = (
    *("lab", "kafka", "released", "control", "deploy", "windows", "test_newest", "test_fixes"),
    *("test_kerberos", "test_lookups", "browser", "strimzi", "site"),
    *("tests/lint/test_pre_commit.py", "tests/remote/test_probe.py", "tests/test_additions.py"),
    *("tests/test_features.py", "tests/hostile/test_hostile.py", "tests/test_pipeline.py"),
    "tests/config/properties/test_stores.py",
)  # fmt: skip


def longest_first(items: list[pytest.Item]) -> None:
    """Orders the tests as they are to begin."""

    def place(item: pytest.Item) -> int:
        marks = [str(mark.args[0]) for mark in item.iter_markers("xdist_group") if mark.args]
        name = marks[0] if marks else item.nodeid.partition("::")[0]
        return LONGEST.index(name) if name in LONGEST else len(LONGEST) + (not marks)

    items.sort(key=place)


class Scheduling(LoadGroupScheduling):  # type: ignore[misc]
    """Gives a worker the next tests of a file at once, where they are in no group. For each single
    one it would go through all that the worker has had, and what many tests share would be made by
    every worker."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._scopes: dict[str, str] = {}
        self._taken: Counter[str] = Counter()

    def _split_scope(self, nodeid: str) -> str:
        if nodeid not in self._scopes:
            scope: str = super()._split_scope(nodeid)
            if scope == nodeid:
                file = nodeid.partition("::")[0]
                scope = f"{file} {self._taken[file] // AT_ONCE}"
                self._taken[file] += 1
            self._scopes[nodeid] = scope
        return self._scopes[nodeid]
