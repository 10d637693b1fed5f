"""`python -m tests.runs.mornings` writes the texts of all mornings."""

import trio
from trio.testing import MockClock

from tests.runs.mornings import TEXTS_KEPT, file_of, play, text_of


async def _write(name: str, language: str) -> None:
    async with trio.open_nursery() as nursery:
        async with play(name, language, nursery) as night:
            file_of(name, language).write_text(text_of(night), encoding="utf-8")
        nursery.cancel_scope.cancel()


for story, spoken in TEXTS_KEPT:
    trio.run(_write, story, spoken, clock=MockClock(autojump_threshold=0))
