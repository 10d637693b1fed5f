"""Tests with a `scene` are in virtual time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.support.scene import CONFIG, Scene, open_scene
from tests.support.virtual_time import in_virtual_time


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The clock of a fixture does not do: pytest-trio takes only one that is an argument of the test itself."""
    for item in items:  # those of all directories
        if item.path.parent == Path(__file__).parent and "scene" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.trio(run=in_virtual_time), append=False)


@pytest.fixture
async def scene(nursery: trio.Nursery) -> AsyncIterator[Scene]:
    """Five cards, and nothing is made yet."""
    async with open_scene(nursery, CONFIG) as opened:
        yield opened
