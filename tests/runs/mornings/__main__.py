"""`python -m tests.runs.mornings` writes the texts of all mornings."""

import trio
from trio.testing import MockClock

from job.text.messages import LANGUAGES
from tests.runs.mornings import STORIES, file_of, play, text_of


async def _write(name: str, language: str) -> None:
    async with trio.open_nursery() as nursery:
        async with play(name, language, nursery) as night:
            file_of(name, language).write_text(text_of(night), encoding="utf-8")
        nursery.cancel_scope.cancel()


for story in STORIES:
    for language in LANGUAGES:
        trio.run(_write, story, language, clock=MockClock(autojump_threshold=0))
