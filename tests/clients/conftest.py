"""An AWS account of one's own, for the tests that ask one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import Account, environment, served


@pytest.fixture(scope="session")
def moto() -> Iterator[Account]:
    with served() as account:
        yield account


@pytest.fixture
def account(moto: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    """An empty account, which is the only one that boto3 can meet."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(moto, tmp_path).items():
        monkeypatch.setenv(name, value)
    moto.reset()
    return moto
