"""Fixtures for tests that use a fake AWS account."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import Account, environment, models_read_once, running_account

LONGEST = 60.0  # seconds, for what should take two


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks at its own turn
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all tests that use the account: moto and the models are loaded once."""
    for item in items:
        if "moto_account" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("account"))


@pytest.fixture(scope="session")
def moto_account() -> Iterator[Account]:
    with running_account() as account, models_read_once():
        yield account


@pytest.fixture
def account(
    moto_account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Account]:
    """An empty account, the only account that boto3 can use.

    The threads of calls that a test does not wait for go on, in kdiag and in the server. The
    fixture waits for these threads, because the next test may measure the memory of this process.
    """
    before = set(threading.enumerate())
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(moto_account, tmp_path).items():
        monkeypatch.setenv(name, value)
    moto_account.reset()
    yield moto_account
    while going := set(threading.enumerate()) - before:  # a call may be made again meanwhile
        for thread in going:
            thread.join(LONGEST)
            assert not thread.is_alive(), f"{thread.name} goes on"
