"""What is told of a night at the hour at which it is read, and what a command does that is pasted from there."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CONFIG, TICKERS, Night, commands
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.scene import open_scene

TUESDAY, WEDNESDAY = "2026-11-24", "2026-11-25"
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=my-project"
TSLA = when.both(when.ticker("TSLA"), when.card("news_card"))


@pytest.fixture
async def night(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """A Tuesday at half past ten, with 26 cards."""
    async with open_scene(nursery, CONFIG) as scene:
        opened = Night(scene, "en")
        await opened.begins(TUESDAY)
        yield opened


@pytest.fixture
async def second(night: Night) -> Night:
    """The same on Wednesday, and all were made on Tuesday."""
    await night.start(0)
    await night.begins(WEDNESDAY)
    return night


def message_of(night: Night) -> list[str]:
    return night.scene.world.chat.texts[-1].splitlines()


# --- the command that goes on without what is at fault ---


async def test_if_one_target_alone_has_failed_the_second_command_goes_on_without_it(second: Night) -> None:
    """All that stays was made on the night before."""
    script = second.scene.world.trading.script
    script.append(Fault(when.ticker("TSLA"), do.failing("TSLA")))
    await second.tries(1, NEWS_ENGINE_CONCURRENCY="4")
    told = message_of(second)
    at = told.index(f"{EXECUTE} --args=run,--without=TSLA")
    assert told[at - 1] == "Or leave out TSLA (for a maintainer; until 11-26 22:20); at most 78 tries are charged:"
    assert told[at - 2] == EXECUTE
    plain, first = [*commands("\n".join(told))]
    await second.start(0, *first)
    assert message_of(second)[1] == "22 cards are made (left out: TSLA)."
    left_out = (
        "Once they can be made, this makes what was left out (4 cards; until 11-26 22:20); at "
        "most 12 tries are charged:"
    )
    assert message_of(second)[-4:-2] == [left_out, EXECUTE]
    script.clear()
    await second.start(0, *plain)
    assert message_of(second)[1] == "All 26 cards are made."


# --- a day that is over ---


async def test_an_earlier_night_whose_config_has_changed_wants_yes_and_says_what_is_new(night: Night) -> None:
    """What is left out now is not new; what was left out on that night is."""
    world = night.scene.world
    world.qa.script.append(Fault(TSLA, do.status(500)))
    await night.start(3)
    await world.configure("ticker_list.json", [*TICKERS, "AMZN", "AMD"])
    world.qa.script.clear()
    await night.begins(WEDNESDAY)
    await night.start(0)

    async def new(*arguments: str) -> str:
        refused = await night.start(2, f"--date={TUESDAY}", *arguments)
        (fault,) = refused.events("config.faulty")
        what, remedy = str(fault["message"]).rsplit("; ", 1)
        assert remedy == "add --yes if that is meant"
        return what.removeprefix(f"--date: the config has changed since {TUESDAY}: New since {TUESDAY}, ")

    assert await new() == "8 cards: AMZN (4), AMD (4)"
    assert await new("--without=AMZN") == "4 cards: AMD (4)"
    count = len(world.qa.requests)
    await night.start(0, f"--date={TUESDAY}", "--without=AMZN", "--without=AMD")
    assert len(world.qa.requests) == count + 1
    assert await new() == "8 cards: AMZN (4), AMD (4)"
    await night.start(0, f"--date={TUESDAY}", "--yes")
    assert len(world.qa.requests) == count + 9
