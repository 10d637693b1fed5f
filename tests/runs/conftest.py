"""What several whole days share."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from tests.support.scene import CONFIG, Scene, open_scene


@pytest.fixture
async def scene(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Scene]:
    """Five cards, and nothing is made yet."""
    async with open_scene(nursery, CONFIG) as opened:
        yield opened
