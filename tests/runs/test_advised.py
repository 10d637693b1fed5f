"""What is told of a night at the hour at which it is read, and what a command does that is pasted from there."""

import re
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from job.cli.past import _view
from job.config.environment import read_settings
from job.outputs.terminal import as_text
from job.records.nights import read_nights
from tests.runs.mornings import CARDS, CONFIG, TICKERS, Night, commands, text_of
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Do, Fault
from tests.support.scene import open_scene
from tests.support.world import _now

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


def message_of(night: Night) -> list[str]:
    return night.scene.world.chat.texts[-1].splitlines()


async def report_of(night: Night) -> list[str]:
    """`python -m job report`, now."""
    world = night.scene.world
    given = {**night.variables, "RUNS_URI": world.runs_uri}
    settings, _ = read_settings({name: value for name, value in given.items() if value})
    view, _ = await _view(world.runs, settings, await read_nights(world.runs), None, _now(None).astimezone())
    assert view is not None
    return as_text(view).splitlines()


def for_a_while(seconds: float, affected: when.When = when.always) -> when.When:
    begin = trio.current_time()
    return lambda seen: trio.current_time() < begin + seconds and affected(seen)


# --- the command that goes on without what is at fault ---


@pytest.mark.parametrize(
    ("engine", "what"), [("trading", do.status(500)), ("news", do.hang()), ("trading", do.failing("TSLA"))]
)
async def test_if_one_target_alone_has_failed_the_second_command_goes_on_without_it(
    night: Night, engine: str, what: Do
) -> None:
    """All that stays was made on the night before."""
    await night.start(0)
    await night.begins(WEDNESDAY)
    script = night.scene.world.engines[engine].script
    script.append(Fault(when.ticker("TSLA"), what))
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="4")
    told = message_of(night)
    at = told.index(f"{EXECUTE} --args=run,--without=TSLA")
    terms = "for a maintainer; until 11-26 22:20"
    assert told[at - 1] == f"Without TSLA, this makes 22 cards now ({terms}):"
    assert told[at - 2] == EXECUTE
    plain, first = [*commands("\n".join(told))]
    await night.start(0, *first)
    assert message_of(night)[1] == "22 cards are made; left out: TSLA."
    left_out = "Once they can be made, this makes what was left out (4 cards by the night's config; until 11-26 22:20):"
    assert message_of(night)[-4:-2] == [left_out, EXECUTE]
    script.clear()
    await night.start(0, *plain)
    assert message_of(night)[1] == "All 26 cards are made."


async def test_what_had_failed_too_when_another_ended_the_night_is_named_and_left_out_with_it(night: Night) -> None:
    """MSFT fails for good at once, while TSLA has failed and waits; and 600519.SS is new, and was not asked for."""
    world = night.scene.world
    await world.configure("ticker_list.json", TICKERS[:-1])
    await night.start(0)
    await night.begins(WEDNESDAY)
    await world.configure("ticker_list.json", TICKERS)
    begin = trio.current_time()
    world.news.script += [
        Fault(when.ticker("TSLA"), do.body({"status": "failed", "error": "delisted"})),
        Fault(lambda seen: "MSFT" in seen.tickers and trio.current_time() > begin + 20, do.status(422)),
        Fault(when.ticker("MSFT"), do.status(503)),
        Fault(when.ticker("600519.SS"), do.hang()),
    ]
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="8")
    told = message_of(night)
    assert told[2:6] == [
        "✗ News engine: 1 target failed; it worked on 11-24: MSFT.",
        told[3],
        "Where: ticker_list.json, card_targets.json.",
        "✗ News engine: 1 target failed; it worked on 11-24: TSLA.",
    ]
    assert "Last answer: failed: delisted" in told
    assert "Without MSFT, TSLA, 600519.SS, this makes 14 cards now (for a maintainer; until 11-26 22:20):" in told
    _, without = [*commands("\n".join(told))]
    await night.start(0, *without)
    assert message_of(night)[1] == "14 cards are made; left out: MSFT, TSLA, 600519.SS."


# --- a day that is over ---


async def test_the_refusal_of_another_day_first_has_the_command_for_what_that_night_lacked(night: Night) -> None:
    """What is left out now is not new, and what was left out on that day alone is no plan of it."""
    world = night.scene.world
    world.qa.script.append(Fault(TSLA, do.status(500)))
    await night.start(3)
    await world.configure("ticker_list.json", [*TICKERS, "AMZN", "AMD"])
    world.qa.script.clear()
    await night.begins(WEDNESDAY)
    await night.start(0)

    async def refusal(*arguments: str) -> str:
        refused = await night.start(2, f"--date={TUESDAY}", *arguments)
        (fault,) = refused.events("config.faulty")
        what, _, new = str(fault["message"]).partition(": New since ")
        assert what == f"--date: the config has changed since {TUESDAY}"
        return new

    dated = f"{EXECUTE} --args=run,--date={TUESDAY}"
    others = f"without what is new, this makes 1 card: {dated},"
    assert await refusal() == (
        f"{TUESDAY}, 8 cards: AMZN (4), AMD (4); {others}--without=AMZN,--without=AMD; "
        f"to use the config as it is now, this makes 9 cards: {dated},--yes"
    )
    assert await refusal("--without=AMZN") == (
        f"{TUESDAY}, 4 cards: AMD (4); {others}--without=AMZN,--without=AMD; "
        f"to use the config as it is now, this makes 5 cards: {dated},--without=AMZN,--yes"
    )
    count = len(world.qa.requests)
    await night.start(0, f"--date={TUESDAY}", "--without=AMZN", "--without=AMD")
    assert len(world.qa.requests) == count + 1
    assert await refusal() == (
        f"{TUESDAY}, 8 cards: AMZN (4), AMD (4); to use the config as it is now, this makes 8 cards: {dated},--yes"
    )


async def test_what_a_night_had_tried_before_it_was_left_out_is_made_by_its_date(night: Night) -> None:
    trading = night.scene.world.trading
    trading.script.append(Fault(when.ticker("TSLA"), do.failing("TSLA")))
    await night.start(1)
    await night.start(0, "--without=TSLA")
    trading.script.clear()
    await night.begins(WEDNESDAY)
    await night.start(0)
    await night.start(0, f"--date={TUESDAY}")
    assert message_of(night)[1] == "All 26 cards are made."


# --- how the day stands ---


async def test_of_a_new_type_that_is_missing_it_is_said_that_it_is_new(night: Night) -> None:
    await night.start(0)
    await night.begins(WEDNESDAY)
    await night.scene.world.configure("card_types.json", [*CARDS, "esg_card"])
    night.scene.world.qa.script.append(Fault(when.card("esg_card"), do.status(422)))
    await night.tries(3)
    assert message_of(night)[1:5] == [
        "6 of 32 cards are missing.",
        "✗ QA engine: 6 cards failed; all are new since 11-24: /esg_card: AAPL, MSFT, NVDA, TSLA, 0700.HK, 600519.SS.",
        message_of(night)[3],
        "Where: card_types.json, card_targets.json.",
    ]


async def test_a_page_says_as_of_when_it_is_and_a_report_first_what_is_at_work(night: Night) -> None:
    qa, affected = night.scene.world.qa, when.both(when.ticker("NVDA", "TSLA"), when.card("news_card"))
    qa.script.append(Fault(affected, do.status(422)))
    await night.start(3)
    qa.script.clear()
    await trio.sleep(20 * 60)
    night.scene.world.qa.latency = steady(60.0)
    count = len(qa.requests)
    job = await night.scene.begin(**night.variables)
    await qa.until(lambda seen: len(seen) > count)
    head, first, *_ = await report_of(night)
    assert head == f"{TUESDAY}, started 22:30 UTC"
    assert first == "At work since 22:50 UTC: 24 of 26 cards are made so far"
    assert text_of(night).count("As of 22:30 UTC") == 3
    await night.scene.end(job, 0)
    assert (await report_of(night))[0].startswith(f"{TUESDAY}: started 22:30 UTC, ended 22:5")


# --- why a night is late ---


async def test_a_night_that_is_late_says_why_in_one_line(night: Night) -> None:
    night.scene.world.qa.latency = steady(20.0)
    night.scene.world.qa.script.append(Fault(for_a_while(1800, when.chance(0.7)), do.status(429)))
    await night.start(0, QA_ENGINE_CONCURRENCY="4")
    _, cards, late, page, _ = message_of(night)
    assert cards == "All 26 cards are made."
    assert re.fullmatch(r"The QA engine's calls were repeated [0-9]+ times, over [0-9]+ min( [0-9]+ s)?", late)
    assert page.startswith("Page: ")
    assert text_of(night).count(late) == 3


async def test_a_night_with_a_short_failure_says_nothing_of_it(night: Night) -> None:
    night.scene.world.qa.latency = steady(20.0)
    night.scene.world.qa.script.append(Fault(when.both(TSLA, when.attempt(1)), do.status(503)))
    await night.start(0, QA_ENGINE_CONCURRENCY="4")
    assert len(message_of(night)) == 4
