"""The real cluster, once for a worker: on loopback, and in the made-up AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import goldens, needs
from tests.lab.lab import Lab, in_aws, on_loopback


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """`--snapshot-update` rewrites the goldens of the lab too."""
    with goldens.held(item.nodeid, bool(item.config.getoption("update_snapshots"))):
        yield


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks at its own turn
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With xdist's --dist loadgroup one worker runs all that needs the same cluster, so that it is
    started once; what has a server of its own stays with its file."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            needed = getattr(item, "fixturenames", ())
            shared = next((name for name in ("lab", "kafka") if name in needed), item.path.stem)
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(shared))
            item.add_marker(pytest.mark.timeout(240))


# The last test of this folder ends them: brokers that nobody asks take a twentieth of a processor.
@pytest.fixture(scope="package")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster on loopback, and a client beside it."""
    needs.require(*needs.KAFKA)
    needs.require_loopback()
    with on_loopback(tmp_path_factory.mktemp("kafka")) as lab:
        yield lab


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster in the made-up AWS, and a client on the laptop."""
    needs.require(*needs.LAB, root=True)
    with in_aws(tmp_path_factory.mktemp("lab")) as lab:
        yield lab
