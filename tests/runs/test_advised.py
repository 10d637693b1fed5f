"""What is told of a night at the hour at which it is read, and what a command does that is pasted from there."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CONFIG, TICKERS, Night, commands
from tests.simulators import do, when
from tests.simulators.engines import steady
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
    terms = "for a maintainer; until 11-26 22:20"
    assert told[at - 1] == f"Without TSLA, this makes 22 cards now ({terms}):"
    assert told[at - 2] == EXECUTE
    plain, first = [*commands("\n".join(told))]
    await second.start(0, *first)
    assert message_of(second)[1] == "22 cards are made; left out: TSLA."
    left_out = "Once they can be made, this makes what was left out (4 cards by the night's config; until 11-26 22:20):"
    assert message_of(second)[-4:-2] == [left_out, EXECUTE]
    script.clear()
    await second.start(0, *plain)
    assert message_of(second)[1] == "All 26 cards are made."


async def test_what_had_failed_too_when_another_ended_the_night_is_named_and_left_out_with_it(night: Night) -> None:
    """MSFT fails for good, TSLA has failed in another engine and waits; 600519.SS is new, and was not asked for."""
    world = night.scene.world
    await world.configure("ticker_list.json", TICKERS[:-1])
    await night.start(0)
    await night.begins(WEDNESDAY)
    await world.configure("ticker_list.json", TICKERS)
    begin = trio.current_time()
    world.trading.script.append(Fault(when.ticker("TSLA"), do.failing("TSLA")))
    world.news.script += [
        Fault(lambda seen: "MSFT" in seen.tickers and trio.current_time() > begin + 20, do.status(422)),
        Fault(when.ticker("MSFT"), do.status(503)),
        Fault(when.ticker("600519.SS"), do.hang()),
    ]
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="8")
    told = message_of(night)
    assert told[1] == "The trading and news engines failed: no card was made."
    assert [line for line in told if line.startswith("✗ ")][1:] == [
        "✗ Trading engine: 1 target failed; it worked on 11-24: TSLA.",
        "✗ News engine: 1 target failed; it worked on 11-24: MSFT.",
    ]
    assert "Last answer: failed: no price history" in told
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


# --- what is told of what was otherwise on the night before ---


async def test_a_variable_that_somebody_changed_by_day_is_named_with_both_values(second: Night) -> None:
    qa = second.scene.world.qa
    other = qa.url.replace("127.0.0.1", "localhost")
    qa.script.append(Fault(when.always, do.status(404)))
    await second.tries(3, QA_ENGINE_URL=other, QA_ENGINE_AUDIENCE=f"{qa.url} {other}")
    lines = message_of(second)
    assert lines[4] == "Who: the QA engine's owner."
    assert lines[5] == f"QA_ENGINE_URL changed since 11-24: {qa.url} → {other}", "the audience is the same"
    qa.script[:] = [Fault(when.always, do.status(401))]
    await second.tries(3, QA_ENGINE_AUDIENCE=f"https://cards-x.a.run.app {qa.url}")
    lines = message_of(second)
    variable = "QA_ENGINE_AUDIENCE (Terraform: engines.qa.audience)"
    assert lines[4] == f"Where: {variable}. Who: an owner of the project."
    assert lines[5] == f"QA_ENGINE_AUDIENCE changed since 11-24: {qa.url} → https://cards-x.a.run.app"


async def test_a_night_before_that_knows_no_urls_is_compared_without_a_word_about_them(second: Night) -> None:
    """As 0.3.0 has recorded it."""
    world = second.scene.world
    for name in (f"{TUESDAY}/ends/000001.json", f"{TUESDAY}/attempts/000001.json"):
        known = json.loads(world.recorded()[name])
        for gone in ("engine_urls", "engine_audiences", "qa_attempts", "answers", "charged_again", "retry_by"):
            known.pop(gone, None)
        stored = world.runs.objects[name]
        world.runs.objects[name] = replace(stored, data=json.dumps(known).encode())
        assert stored.data != world.recorded()[name]
    world.qa.script.append(Fault(when.always, do.status(404)))
    await second.tries(3, QA_ENGINE_URL=world.qa.url.replace("127.0.0.1", "localhost"))
    assert not any("changed since" in line for line in message_of(second))
    assert message_of(second)[2] == "✗ QA engine: every call failed; all were made on 11-24."


async def test_the_account_that_lost_its_right_is_named_with_the_right(second: Night) -> None:
    world = second.scene.world
    world.news.script.append(Fault(when.always, do.status(403)))
    await second.tries(1)
    lines = message_of(second)
    assert lines[2] == "✗ News engine: every call failed; all worked on 11-24."
    account = "orchestrator@simulated-project.iam.gserviceaccount.com"
    assert lines[4] == f"Who: an owner of the project gives roles/run.invoker to {account}."
    assert lines[-3] == EXECUTE


async def test_a_right_to_write_that_is_lost_in_mid_run_leaves_cards_to_make_again(second: Night) -> None:
    world, scene = second.scene.world, second.scene
    world.qa.latency = steady(12.0)
    own = {"QA_ENGINE_CONCURRENCY": "2", "CLOUD_RUN_EXECUTION": "x", "TASK_MAX_RETRIES": "0"}
    job = await scene.begin(**(second.variables | own))
    count = len(world.qa.requests)
    await world.qa.until(lambda seen: len(seen) > count + 6)
    scene.fails()
    outcome = await scene.end(job, 75)
    text = world.chat.texts[-1].splitlines()
    made = len([one for one in world.qa.requests[count:] if one.answered is not None and one.status == 200])
    (lost,) = (line for line in text if line.endswith("and they may be charged twice."))
    unrecorded = int(lost.split()[0])
    assert 0 < unrecorded <= made == outcome.finished["cards"]["done"]
    assert lost.startswith(f"{unrecorded} cards were made, but not recorded: the next start makes them again, and ")
    (command,) = (line for line in text if line.startswith("Once that is over"))
    assert f"({26 - made + unrecorded} cards by the night's config" in command
    assert command.endswith("Before, it fails again, and nothing is called:")
    assert any(line.startswith("Last answer: could not write _lease.json: ") for line in text)
    assert any(line.endswith(f"{made} made a card.") for line in text) or made == len(world.qa.requests) - count
    scene.works()
    asked = len(world.qa.requests)
    await second.start(0, QA_ENGINE_CONCURRENCY="2")
    assert len(world.qa.requests) - asked == 26 - made + unrecorded


async def test_cards_that_take_much_longer_than_on_the_night_before_are_told(second: Night) -> None:
    second.scene.world.qa.latency = steady(200.0)
    await second.start(0, QA_ENGINE_CONCURRENCY="16")
    (line,) = (line for line in message_of(second) if "for a call" in line)
    assert line.startswith("The QA engine took 3 min 20 s for a call, on 11-24 ")


# --- what is missing ---


async def test_after_a_deadline_a_command_has_its_price_if_all_that_is_missing_had_failed(second: Night) -> None:
    """Two cards hang to the end. On the next night, the deadline comes before all cards were tried."""
    hangs = Fault(when.both(when.card("news_card"), when.ticker("NVDA", "TSLA")), do.hang())
    second.scene.world.qa.script.append(hangs)
    await second.tries(4, RUN_DEADLINE_SECONDS="500", QA_ENGINE_CONCURRENCY="8")
    command = next(line for line in message_of(second) if "what is missing" in line)
    assert "up to 12 tries are charged for nothing (Cloud Run starts it 2 times), in some " in command
    await second.begins("2026-11-26")
    second.scene.world.qa.latency = steady(8.0)
    await second.tries(4, RUN_DEADLINE_SECONDS="20", QA_ENGINE_CONCURRENCY="4")
    command = next(line for line in message_of(second) if "what is missing" in line)
    assert command.startswith("This makes what is missing (")


async def test_a_night_that_never_began_is_told_with_the_next_one(second: Night) -> None:
    await second.begins("2026-11-26")
    await second.start(0)
    assert "No record: Wed 11-25 (was the schedule paused?)" in message_of(second)
