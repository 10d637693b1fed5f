"""A person goes on without a ticker that fails: all other cards are made, nothing is hidden, and the next day it is
asked for again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from job.config.environment import read_settings
from job.notification.message import run_lines
from job.records.past import find_known, find_night_before, read_past, read_run
from job.records.verification import verify
from job.report.advice import advice
from job.reporting.terminal import as_text
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.runs import QUICK, asked_cards, assert_clean
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from job.report.comparison import Comparison
    from tests.simulators.job import Outcome

TICKERS = ["AAPL", "MSFT", "NVDA"]
CARDS = ["news_card", "price_card"]
CONFIG: dict[str, object] = {
    "ticker_list.json": TICKERS,
    "card_types.json": CARDS,
    "card_targets.json": [{"id": "MSFT", "card_types": ["news_card"]}, {"id": "Fed", "card_types": ["news_card"]}],
}
DAY = "2026-11-24"
WITHOUT = ("resume", "night", "--without", "MSFT")
RESUME = ("resume", "night")
OTHERS = {("AAPL", "news_card"), ("AAPL", "price_card"), ("NVDA", "news_card"), ("NVDA", "price_card")} | {
    ("Fed", "news_card")
}
"""The cards of all but MSFT."""


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


async def play(world: VirtualWorld, code: int, *arguments: str, **env: str | None) -> Outcome:
    run_id = None if arguments and arguments[0] != "run" else "night"
    fixed = {"RUN_ID": run_id, "RUNS_URI": world.runs_uri, "RUN_DATE": DAY}
    outcome = await world.run_job(arguments or ("run",), env={**fixed, **env})
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    assert_clean(world, outcome)
    return outcome


def report(world: VirtualWorld) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.recorded()["night/report.json"])
    return found


def inputs(world: VirtualWorld) -> list[str]:
    return [name for name in world.recorded() if name.startswith("night/inputs")]


def notices(outcome: Outcome) -> str:
    return "\n".join(line["message"] for line in outcome.events("config.noticed"))


async def outputs(world: VirtualWorld) -> list[str]:
    """What the run shows of itself: its page, that of the nights, its report on a terminal, its message."""
    recorded = await read_run(world.runs, "night")
    assert recorded is not None
    run, settings = recorded.report, read_settings({}, datetime.now(UTC))[0]
    steps = advice(run, recorded.place, datetime.fromisoformat(run.started))
    message = [str(line.text) for line in run_lines(run, recorded.ledger, steps, settings)]
    pages = [world.recorded()[name].decode() for name in ("night/report.html", "index.html")]
    return [*pages, as_text(run, recorded.ledger, steps), "\n".join(message)]


async def compared(world: VirtualWorld, run_id: str) -> Comparison:
    recorded = await read_run(world.runs, run_id)
    assert recorded is not None
    assert recorded.report.since_last_night is not None
    return recorded.report.since_last_night


async def verified(world: VirtualWorld) -> tuple[bool, str]:
    found = await verify(world.runs, DAY, world.config_uri)
    return found.done, found.known


async def fails_for_msft(world: VirtualWorld) -> Outcome:
    world.news.script.append(Fault(when.ticker("MSFT"), do.status(422)))
    return await play(world, 1)


async def test_one_command_brings_all_other_cards_and_everything_says_what_is_left_out(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    failed = await fails_for_msft(world)
    assert asked_cards(world).total() == 0
    assert (await verified(world))[0] is False
    assert failed.finished["cards"]["left_out"] == 0
    assert all("resume night --without MSFT" in shown for shown in await outputs(world))
    before = len(world.seen)
    done = await play(world, 0, *WITHOUT)
    assert asked_cards(world) == dict.fromkeys(OTHERS, 1)
    assert all("MSFT" not in request.tickers for request in world.seen[before:])
    assert done.finished["message"].endswith("5 of 5 cards are there. Left out by hand: MSFT.")
    assert done.finished["outcome"] == "succeeded"
    written = report(world)
    assert written["left_out"] == ["MSFT"]
    assert written["cards"]["left_out"] == 1
    assert [written["engines"][engine]["left_out"] for engine in ("trading", "news", "qa")] == [1, 1, 1]
    assert all("Left out by hand: MSFT." in shown for shown in await outputs(world))
    assert "MSFT,equity,news_card,left_out,," in world.recorded()["night/cards.csv"].decode()
    assert await verified(world) == (
        True,
        f"run night of {DAY} did all its work without MSFT (left out by hand)",
    )
    recorded = await read_run(world.runs, "night")
    assert recorded is not None
    assert (recorded.report.left_out, recorded.report.cards.left_out) == (("MSFT",), 1)
    assert recorded.report.model_dump(mode="json") == written


async def test_also_a_run_that_fails_says_what_is_left_out(autojump_clock: MockClock, world: VirtualWorld) -> None:
    await fails_for_msft(world)
    world.trading.script.append(Fault(when.ticker("NVDA"), do.failing("NVDA")))
    await play(world, 1, *WITHOUT)
    for shown in await outputs(world):
        assert "Left out by hand: MSFT." in shown
        assert "resume night --without NVDA" in shown


async def test_the_barrier_holds_for_the_rest(autojump_clock: MockClock, world: VirtualWorld) -> None:
    await fails_for_msft(world)
    world.trading.script.append(Fault(when.ticker("NVDA"), do.failing("NVDA")))
    again = await play(world, 1, *WITHOUT)
    assert asked_cards(world).total() == 0
    assert again.finished["outcome"] == "data_engine_failed"
    recorded = await read_run(world.runs, "night")
    assert recorded is not None
    assert recorded.report.at_fault == ("NVDA",)
    await play(world, 0, "resume", "night", "--without", "NVDA")
    assert report(world)["left_out"] == ["MSFT", "NVDA"]
    assert {ticker for ticker, _ in asked_cards(world)} == {"AAPL", "Fed"}


async def test_a_plain_resume_and_a_later_start_keep_it_out_and_the_present_config_brings_it_back(
    autojump_clock: MockClock,
    world: VirtualWorld,
) -> None:
    await fails_for_msft(world)
    world.qa.script.append(Fault(when.card("price_card"), do.status(422)))
    await play(world, 3, *WITHOUT)
    assert report(world)["sentence"].endswith("2 failed. Left out by hand: MSFT.")
    resumed = await play(world, 3, *RESUME)
    assert "has changed since" not in notices(resumed)
    assert "left out by hand: MSFT. To bring back what was left out:" in notices(resumed)
    assert "resume night --new-config" in notices(resumed)
    world.qa.script.clear()
    started = await play(world, 0)
    assert "the same as the recorded one" in notices(started)
    assert set(asked_cards(world)) == OTHERS
    assert inputs(world) == ["night/inputs.json", "night/inputs-000001.json"]
    idle = await play(world, 0)
    assert idle.finished["message"].startswith("Everything is there already")
    assert idle.finished["message"].endswith("Left out by hand: MSFT.")
    await world.configure("ticker_list.json", [*TICKERS, "TSLA"])
    await play(world, 0)
    assert set(asked_cards(world)) == OTHERS | {("TSLA", "news_card"), ("TSLA", "price_card")}
    assert report(world)["left_out"] == ["MSFT"]
    world.news.script.clear()
    await play(world, 0, *RESUME, "--new-config")
    assert report(world)["left_out"] == []
    assert asked_cards(world)["MSFT", "news_card"] == 1
    await play(world, 0)
    assert report(world)["left_out"] == []


async def test_a_retry_of_the_execution_repeats_it_without_harm(autojump_clock: MockClock, world: VirtualWorld) -> None:
    await fails_for_msft(world)
    world.qa.script.append(Fault(when.always, do.status(422)))
    cloud = {"CLOUD_RUN_EXECUTION": "again"}
    await play(world, 3, *WITHOUT, **cloud, CLOUD_RUN_TASK_ATTEMPT="0")
    world.qa.script.clear()
    await play(world, 0, *WITHOUT, **cloud, CLOUD_RUN_TASK_ATTEMPT="1")
    assert inputs(world) == ["night/inputs.json", "night/inputs-000001.json"]
    assert report(world)["left_out"] == ["MSFT"]
    await play(world, 0, *WITHOUT)
    assert report(world)["left_out"] == ["MSFT"]


@pytest.mark.parametrize("writes", range(1, 5))
async def test_a_kill_between_its_entry_and_its_inputs_leaves_nothing_out_in_silence(
    autojump_clock: MockClock, world: VirtualWorld, writes: int
) -> None:
    """Whatever was written last: what is not asked for is named, and its own retry does what it would have done."""
    await fails_for_msft(world)
    written = 0

    def refuse(verb: str, name: str) -> bool:
        nonlocal written
        written += verb == "create" and name.startswith("night/")
        if written == writes:
            next(reversed(world.processes.values())).kill()
        return False

    world.runs.refuse = refuse
    cloud = {"CLOUD_RUN_EXECUTION": "again"}
    job = await world.start_job(*WITHOUT, env={"RUNS_URI": world.runs_uri, "RUN_DATE": DAY, **cloud})
    await job.outcome()
    world.runs.refuse = lambda _verb, _name: False
    recorded = await read_run(world.runs, "night")
    assert recorded is not None
    planned = {target.id for target in recorded.ledger.plan.targets}
    assert planned | set(recorded.report.left_out) == {*TICKERS, "Fed"}
    await play(world, 0, *WITHOUT, **cloud, CLOUD_RUN_TASK_ATTEMPT="1")
    assert set(asked_cards(world)) == OTHERS
    assert report(world)["left_out"] == ["MSFT"]


@pytest.mark.parametrize("writes", range(1, 5))
async def test_a_kill_while_it_is_brought_back_leaves_nothing_out_in_silence(
    autojump_clock: MockClock, world: VirtualWorld, writes: int
) -> None:
    await fails_for_msft(world)
    await play(world, 0, *WITHOUT)
    written = 0

    def refuse(verb: str, name: str) -> bool:
        nonlocal written
        written += verb == "create" and name.startswith("night/")
        if written == writes:
            next(reversed(world.processes.values())).kill()
        return False

    world.runs.refuse = refuse
    job = await world.start_job(*RESUME, "--new-config", env={"RUNS_URI": world.runs_uri, "RUN_DATE": DAY})
    await job.outcome()
    world.runs.refuse = lambda _verb, _name: False
    world.news.script.clear()
    await play(world, 0, *RESUME)
    is_back = len(inputs(world)) == 3
    assert report(world)["left_out"] == ([] if is_back else ["MSFT"])
    assert asked_cards(world)["MSFT", "news_card"] == is_back


async def test_a_topic_is_left_out_as_a_ticker_is(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.news.script.append(Fault(when.ticker("fed"), do.status(422)))
    await play(world, 1)
    await play(world, 0, "resume", "night", "--without", "Fed")
    assert report(world)["left_out"] == ["Fed"]
    assert report(world)["cards"]["planned"] == 5


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["MSTF"], '--without: "MSTF" is no target of the run; the nearest: MSFT'),
        (["msft", "Fed"], '--without: "msft" is no target of the run; the nearest: MSFT'),
        (TICKERS, "--without: leaves nothing: ticker_list.json needs a ticker, and the plan a card; leave out fewer"),
        ([f"T{number}" for number in range(21)], "--without: 21 targets are too many: 20 may be left out"),
    ],
)
async def test_what_cannot_be_left_out_is_refused_before_anything_is_called_or_written(
    autojump_clock: MockClock, world: VirtualWorld, names: list[str], says: str
) -> None:
    await fails_for_msft(world)
    there, before = world.recorded(), len(world.seen)
    refused = await play(world, 2, "resume", "night", "--without", *names)
    faults = [line["message"] for line in refused.events("config.faulty")]
    assert any(fault.startswith(says) for fault in faults), faults
    assert world.seen[before:] == []
    assert world.recorded() == there
    assert not refused.finished.keys() & {"resume_command", "start_command"}, "the same command would fail again"


async def test_a_later_config_that_has_nothing_else_is_refused(autojump_clock: MockClock, world: VirtualWorld) -> None:
    await fails_for_msft(world)
    await play(world, 0, *WITHOUT)
    await world.configure("ticker_list.json", ["MSFT"])
    await world.configure("card_targets.json", [{"id": "MSFT"}])
    refused = await play(world, 2)
    (fault,) = refused.events("config.faulty")
    assert "has nothing but what a person has left out of run night: MSFT" in fault["message"]
    assert "resume night --new-config` brings that back" in fault["message"]


async def test_while_the_run_is_at_work_it_waits_as_every_resume_does(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.news.script.append(Fault(when.ticker("MSFT"), do.status(422)))
    world.financial.latency = steady(1.0)
    env = {"RUNS_URI": world.runs_uri, "RUN_DATE": DAY}
    gate = trio.Event()
    world.trading.script.append(Fault(when.always, do.held(gate)))
    world.news.script.insert(0, Fault(when.always, do.held(gate)))
    first = await world.start_job(env={**env, "RUN_ID": "night"})
    await world.news.until(lambda seen: len(seen) >= 1)
    second = await world.start_job(*WITHOUT, env=env)
    await trio.sleep(20)
    assert asked_cards(world).total() == 0
    gate.set()
    assert (await first.outcome()).exit_code in {0, 1}
    assert (await second.outcome()).exit_code == 0
    assert report(world)["left_out"] == ["MSFT"]


async def test_the_next_night_asks_for_it_again_and_is_compared_with_the_plan_before(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    await fails_for_msft(world)
    await play(world, 0, *WITHOUT)
    assert report(world)["since_last_night"] is None
    past = await read_past(world.runs)
    before = await find_night_before(world.runs, past, world.config_uri, "2026-11-25")
    for night in (before, None):
        known = await find_known(world.runs, past, world.config_uri, "2026-11-25", night)
        assert known is not None
        assert known.tickers == {"AAPL", "NVDA"}, "it may have been a typo"
    await trio.sleep(86_400)
    next_day = {"RUN_ID": "next", "RUN_DATE": "2026-11-25"}
    await play(world, 1, **next_day)
    since = await compared(world, "next")
    assert since.plan is None, "nothing was added"
    assert since.new.count == since.added.count == 0
    (still,) = since.still.items
    assert (still.engine, still.target, still.since, still.nights) == ("news", "MSFT", DAY, 2)
    await play(world, 0, "resume", "next", "--without", "MSFT", RUN_DATE="2026-11-25")
    since = await compared(world, "next")
    assert (since.plan, since.still.count) == (None, 0), "nothing was removed"


async def test_its_cards_are_not_made_again_and_those_of_others_are(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    await fails_for_msft(world)
    await play(world, 0, *WITHOUT)
    refused = await play(world, 2, "remake", "night", "MSFT/news_card", "--yes")
    assert '"MSFT/news_card": is left out of the run' in refused.events("config.faulty")[0]["message"]
    await play(world, 0, "remake", "night", "AAPL/news_card", "--yes")
    assert asked_cards(world)["AAPL", "news_card"] == 2
    assert report(world)["left_out"] == ["MSFT"]
    assert report(world)["sentence"].endswith("1 card was made again this time. Left out by hand: MSFT.")
    await play(world, 0)
    assert report(world)["left_out"] == ["MSFT"]


async def test_it_counts_in_the_plan_of_the_day(autojump_clock: MockClock, world: VirtualWorld) -> None:
    """A run of the whole config that failed planned no more than one of which a person has left something out."""
    await fails_for_msft(world)
    await play(world, 1, "run", "--again", RUN_ID=None)
    await play(world, 0, *WITHOUT)
    await world.configure("card_types.json", [*CARDS, "risk_card"])
    assert (await verified(world))[0] is True


async def test_it_counts_though_another_run_planned_more_if_the_config_asks_for_no_more_now(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    await fails_for_msft(world)
    await world.configure("ticker_list.json", [*TICKERS, "TSLA"])
    await play(world, 1, "run", "--again", RUN_ID=None)
    await play(world, 0, *WITHOUT)
    assert (await verified(world))[0] is False
    await world.configure("ticker_list.json", TICKERS)
    known = f"without MSFT (left out by hand), which is what {world.config_uri} asks for now"
    assert (await verified(world))[1].endswith(known)
