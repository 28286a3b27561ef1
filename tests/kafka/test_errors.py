"""Names of error codes against kio's list, which is generated from Kafka's own."""

from __future__ import annotations

import pytest
from kio.schema.errors import ErrorCode

from kdiag.kafka.errors import error_name
from tests.together import together


@together("code", ErrorCode)
def test_every_code_has_the_name_that_kafka_gives_it(code: ErrorCode) -> None:
    assert error_name(code.value) == code.name.upper()


def test_the_list_ends_where_kafkas_does() -> None:
    newest = max(code.value for code in ErrorCode)
    assert error_name(newest + 1) == f"error {newest + 1}"


@pytest.mark.parametrize("code", [-2, -(2**15), 2**15 - 1, 10_000])
def test_an_unknown_code_is_told_by_its_number(code: int) -> None:
    assert error_name(code) == f"error {code}"
