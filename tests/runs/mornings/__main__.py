"""`python -m tests.runs.mornings` writes the texts of all mornings."""

from functools import partial

import trio

from tests.runs.mornings import TEXTS_KEPT, file_of, play, text_of
from tests.support.virtual_time import in_virtual_time


async def _write(name: str, language: str) -> None:
    async with trio.open_nursery() as nursery:
        async with play(name, language, nursery) as night:
            file_of(name, language).write_text(text_of(night), encoding="utf-8")
        nursery.cancel_scope.cancel()


for story, spoken in TEXTS_KEPT:
    in_virtual_time(partial(_write, story, spoken))
