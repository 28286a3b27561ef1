"""Many small cases as one test that names all that fail: a test of its own costs 4 ms in the worker
and beside it, and each worker collects it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


def together(names: str, cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Like pytest.mark.parametrize, for a test that needs no fixture anew for each case. Two of
    them on one test give every pair."""
    keys = [name.strip() for name in names.split(",")]
    given = [case if len(keys) > 1 else (case,) for case in cases]
    assert given, "a test without cases proves nothing"

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        fixtures = [each for each in signature.parameters.values() if each.name not in keys]

        @functools.wraps(test)
        def every(**others: Any) -> None:
            failed = []
            for case in given:
                try:
                    test(**dict(zip(keys, case, strict=True)), **others)
                except Exception as error:
                    error.add_note(f"the case: {case!r:.500}")
                    failed.append(error)
                except BaseException as error:  # a time-out among others: it ends the test
                    error.add_note(f"the case: {case!r:.500}")
                    raise
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(given)} cases", failed)

        every.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return every

    return decorate
