"""Remakes, as whole runs in virtual time: a person looks at the pictures, and wants some of them again."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import AsyncIterator
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from job.records.past import read_past, read_run
from job.records.verification import verify
from job.reporting.cloud_log import CloudLogReporter
from job.text.messages import Message
from tests.runs.fault_table.row import CARDS, CONFIG, PLANNED, TICKERS
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.runs import QUICK, asked_cards, assert_clean, data_requests
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    from tests.simulators.job import Outcome
    from tests.simulators.seen import Seen

CARD = ("T1", "news_card")
DAY = "2026-11-24"


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    """A world in which the run `night` has made all cards."""
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        assert (await opened.run_job(env=variables(opened, RUN_ID="night", RUN_DATE=DAY))).exit_code == 0
        yield opened


def variables(world: VirtualWorld, **more: str) -> dict[str, str]:
    return {"RUNS_URI": world.runs_uri, **more}


async def remake(world: VirtualWorld, *arguments: str, **env: str) -> Outcome:
    """Plays a whole remake of `night`."""
    outcome = await world.run_job(("remake", "night", *arguments), env=variables(world, **env), seconds=900)
    assert_clean(world, outcome)
    return outcome


def requests_of(world: VirtualWorld, card: tuple[str, str] = CARD) -> list[Seen]:
    return [one for one in world.qa.requests if (one.tickers[0], one.card) == card]


def keys(requests: list[Seen]) -> list[str]:
    return [one.headers["idempotency-key"] for one in requests]


def report(world: VirtualWorld) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(world.recorded()["night/report.json"])
    return loaded


def fail_first(world: VirtualWorld, service: str, count: int) -> None:
    """The engine refuses so many calls from now on."""
    left = [count]

    def is_struck(_request: Seen) -> bool:
        left[0] -= 1
        return left[0] >= 0

    world.engines[service].script.append(Fault(is_struck, do.status(422)))


async def test_named_cards_are_made_again_with_another_key_and_nothing_else_is_called(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    before, data = asked_cards(world), len(data_requests(world))
    outcome = await remake(world, "T1/news_card", "T2", "--yes")
    assert outcome.exit_code == 0
    assert outcome.finished["cards"] == {
        "planned": PLANNED, "generated": 4, "skipped": PLANNED - 4, "failed": 0, "not_attempted": 0, "left_out": 0
    }  # fmt: skip
    again = asked_cards(world) - before
    assert again == {CARD: 1, **{("T2", card): 1 for card in CARDS}}
    assert len(data_requests(world)) == data
    assert outcome.events("barrier.crossed")[0]["message"] == "all data is ready; generating cards"
    first, second = keys(requests_of(world))
    assert first != second
    assert "4 cards were made again this time." in outcome.finished["message"]
    assert "4 cards are made again, and paid for again: T1/news_card, T2/news_card" in outcome.stdout
    written = report(world)
    assert (written["outcome"], written["asked_again"], written["made_again"]) == ("succeeded", 4, 4)
    assert {(one["target"], one["card_type"]) for one in written["remade"]} == set(again)
    rows = list(csv.DictReader(world.recorded()["night/cards.csv"].decode("utf-8-sig").splitlines()))
    assert sum(bool(row["made_again (UTC)"]) for row in rows) == 4
    assert all(row["when (UTC)"] == row["made_again (UTC)"] for row in rows if row["made_again (UTC)"])


async def test_all_cards_of_a_type_can_be_made_again(autojump_clock: MockClock, world: VirtualWorld) -> None:
    before = asked_cards(world)
    assert (await remake(world, "/risk_card", "--yes")).exit_code == 0
    assert asked_cards(world) - before == {(ticker, "risk_card"): 1 for ticker in TICKERS}


async def test_each_request_to_make_a_card_again_has_a_key_of_its_own(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    for _ in range(2):
        assert (await remake(world, "T1/news_card", "--yes")).exit_code == 0
    assert len(set(keys(requests_of(world)))) == 3


async def test_a_card_that_was_not_made_again_stays_done_and_open(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    """A later request for it, and a resume, keep its key; once it is made, a further request has another one."""
    fail_first(world, "qa", 1)
    outcome = await remake(world, "T1", "--yes")
    assert (outcome.exit_code, outcome.finished["outcome"]) == (3, "cards_missing")
    assert outcome.finished["message"] == "All cards are there; not made again: 1 of 3."
    assert outcome.finished["cards"]["failed"] == 0
    written = report(world)
    assert (written["asked_again"], written["made_again"], written["cards"]["failed"]) == (3, 2, 0)
    assert [one["made"] is None for one in written["remade"]] == [True, False, False]
    card = (written["remade"][0]["target"], written["remade"][0]["card_type"])
    assert [tuple(one["targets"]) for one in written["failures"]] == [(card[0],)]
    assert written["failures_not_listed"] == 0
    fail_first(world, "qa", 1)
    assert (await remake(world, "/".join(card), "--yes")).exit_code == 3
    before = asked_cards(world)
    resumed = await world.run_job(("resume", "night"), env=variables(world))
    assert (resumed.exit_code, asked_cards(world) - before) == (0, {card: 1}), resumed.stdout
    first, *others = keys(requests_of(world, card))
    assert len(set(others)) == 1
    assert len(others) == 3
    assert first not in others
    assert report(world)["made_again"] == 3
    assert (await remake(world, "/".join(card), "--yes")).exit_code == 0
    assert keys(requests_of(world, card))[-1] not in {first, *others}


async def test_the_next_start_of_the_day_makes_what_is_open(autojump_clock: MockClock, world: VirtualWorld) -> None:
    fail_first(world, "qa", 1)
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 3
    before = asked_cards(world)
    start = await world.run_job(env=variables(world, RUN_DATE=DAY))
    assert (start.exit_code, start.finished["run"]) == (0, "night")
    assert asked_cards(world) - before == {CARD: 1}
    before = asked_cards(world)
    assert (await world.run_job(env=variables(world, RUN_DATE=DAY))).exit_code == 0
    assert asked_cards(world) == before


@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_retry_continues_the_remake_of_its_execution(
    autojump_clock: MockClock, world: VirtualWorld, *, is_killed: bool
) -> None:
    world.qa.latency = steady(5.0)
    env = variables(world, CLOUD_RUN_EXECUTION="again-1", CLOUD_RUN_JOB="cards", QA_ENGINE_CONCURRENCY="1")
    before = asked_cards(world)
    job = await world.start_job("remake", "night", "T1", env=env)
    await world.qa.until(lambda seen: len(seen) >= PLANNED + 2)
    await trio.sleep(3.2)
    if is_killed:
        await job.kill()
    else:
        job.send_signal(SIGTERM)
        assert (await job.outcome()).exit_code == 143
    run = await read_run(world.runs, "night")
    assert run is not None
    assert run.report.made_again < 3
    retry = await remake(world, "T1", **env, CLOUD_RUN_TASK_ATTEMPT="1")
    assert retry.exit_code == 0
    again = asked_cards(world) - before
    assert again.keys() == {("T1", card) for card in CARDS}
    for card in again:
        assert len(set(keys(requests_of(world, card))[1:])) == 1, "the retry has the same request"
    before = asked_cards(world)
    third = await remake(world, "T1", **env, CLOUD_RUN_TASK_ATTEMPT="2")
    assert (third.exit_code, asked_cards(world)) == (0, before)
    entries = [json.loads(data) for name, data in world.recorded().items() if "/attempts/" in name]
    assert [{one[3] for one in entry["remakes"]} for entry in entries] == [set(), {0}, {2}]


async def test_a_remake_that_was_killed_leaves_the_day_done(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.qa.latency = steady(5.0)
    job = await world.start_job("remake", "night", "T1", "--yes", env=variables(world, QA_ENGINE_CONCURRENCY="1"))
    await world.qa.until(lambda seen: len(seen) >= PLANNED + 2)
    during = await verify(world.runs, DAY, world.config_uri)
    await trio.sleep(3.2)
    await job.kill()
    verified = await verify(world.runs, DAY, world.config_uri)
    assert during.done
    assert verified.done
    assert verified.known == f"run night of {DAY} did all its work; 1 of 3 cards made again"
    [run] = (await read_past(world.runs)).runs
    assert (run.outcome, run.severity, run.is_done) == ("killed", "warn", True)
    refused = await remake(world, "T2", "--yes")
    assert refused.exit_code == 2
    assert "resume it first" in refused.stdout
    assert (await world.run_job(("resume", "night"), env=variables(world))).exit_code == 0
    assert report(world)["made_again"] == 3


async def test_a_night_whose_remake_failed_is_not_red(autojump_clock: MockClock, world: VirtualWorld) -> None:
    fail_first(world, "qa", 1)
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 3
    assert (await verify(world.runs, DAY, world.config_uri)).done
    [run] = (await read_past(world.runs)).runs
    assert (run.outcome, run.severity) == ("cards_missing", "warn")


async def test_a_remake_does_not_hide_what_else_is_missing(autojump_clock: MockClock, world: VirtualWorld) -> None:
    """The remake did all of its own work, but the run has not: the exit code is that of the run."""
    fail_first(world, "qa", 1)
    env = variables(world, RUN_ID="other", RUN_DATE="2026-11-23")
    missing = await world.run_job(env=env)
    assert missing.exit_code == 3
    [failed] = json.loads(world.recorded()["other/report.json"])["missing"]
    others = [f"{ticker}/risk_card" for ticker in ("T8", "T9") if (ticker, "risk_card") != tuple(failed.values())[:2]]
    outcome = await world.run_job(("remake", "other", others[0], "--yes"), env=variables(world))
    assert (outcome.exit_code, outcome.finished["outcome"]) == (3, "cards_missing")
    assert outcome.finished["message"].endswith("1 card was made again this time.")
    name = f"{failed['target']}/{failed['card_type']}"
    assert (await world.run_job(("remake", "other", name, "--yes"), env=variables(world))).exit_code == 0


async def test_with_data_no_card_is_requested_before_all_of_it_is_prepared_again(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    at = len(world.seen)
    outcome = await remake(world, "T1/news_card", "T2/news_card", "--data", "--yes", RUN_TIME_ZONE="UTC")
    assert outcome.exit_code == 0, outcome.stdout
    new = world.seen[at:]
    assert [one.service for one in new[-2:]] == ["qa", "qa"]
    assert {(one.service, tuple(one.tickers)) for one in new[:-2]} == {
        ("financial", ("T1", "T2")), ("trading", ("T1", "T2")), ("news", ("T1",)), ("news", ("T2",))
    }  # fmt: skip


async def test_if_its_data_fails_no_card_is_requested_and_the_old_ones_stay(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    cards = asked_cards(world)
    fail_first(world, "news", 1)
    outcome = await remake(world, "T1/news_card", "--data", "--yes", RUN_TIME_ZONE="UTC")
    assert (outcome.exit_code, outcome.finished["outcome"]) == (1, "data_engine_failed")
    assert asked_cards(world) == cards
    assert report(world)["cards"]["generated"] == PLANNED
    assert (await verify(world.runs, DAY, world.config_uri)).done
    assert "Not made again" not in outcome.finished["message"]
    assert not any("--without" in line["message"] for line in outcome.lines), "nothing is gained by leaving it out"
    # Other cards wait for that data too.
    refused = await remake(world, "T2/news_card", "--yes")
    assert (refused.exit_code, asked_cards(world)) == (2, cards)
    resumed = await world.run_job(("resume", "night"), env=variables(world))
    assert (resumed.exit_code, asked_cards(world) - cards) == (0, {CARD: 1})
    assert "1 card was to be made again and was not" in resumed.stdout


async def test_who_asks_again_without_data_no_longer_waits_for_it(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    """Else an engine that can never prepare it would hold back all cards of the run."""
    cards, data = asked_cards(world), len(data_requests(world))
    fail_first(world, "news", 1)
    assert (await remake(world, "T1/news_card", "--data", "--yes", RUN_TIME_ZONE="UTC")).exit_code == 1
    called = len(data_requests(world))
    assert called > data
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 0
    assert (asked_cards(world) - cards, len(data_requests(world))) == ({CARD: 1}, called)
    assert (await remake(world, "T2/news_card", "--yes")).exit_code == 0


async def test_data_is_prepared_again_only_on_the_day_of_the_run(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    seen = len(world.seen)
    outcome = await remake(world, "T1", "--data", "--yes", RUN_TIME_ZONE="Asia/Shanghai")
    assert (outcome.exit_code, len(world.seen)) == (2, seen)
    assert "--data: run night is of 2026-11-24" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("T1/news_cards", "--yes"), '"T1/news_cards": is no card of the run\'s plan; the nearest: T1/news_card'),
        (("t11", "--yes"), '"t11": is no card of the run\'s plan; the nearest: T1'),
        (("/news", "--yes"), "the nearest: /news_card"),
        (("T1",), "--yes: is needed, as nobody can be asked without a terminal; add it to the command"),
        (
            ("T1", "T2", "T3", "T4", "T5", "T6", "T7"),
            "--yes: is needed to pay for 21 cards again; add it to the command",
        ),
    ],
)
async def test_what_cannot_be_made_again_is_refused_before_anything_is_called(
    autojump_clock: MockClock, world: VirtualWorld, arguments: tuple[str, ...], says: str
) -> None:
    seen, recorded = len(world.seen), world.recorded()
    outcome = await remake(world, *arguments)
    assert (outcome.exit_code, outcome.finished["outcome"]) == (2, "bad_config")
    assert says in outcome.finished["message"] + "".join(line["message"] for line in outcome.lines)
    assert (len(world.seen), world.recorded()) == (seen, recorded)


@pytest.mark.parametrize(("cards", "code"), [(20, 0), (21, 2)])
async def test_on_cloud_run_more_than_20_cards_have_to_be_confirmed(
    autojump_clock: MockClock, world: VirtualWorld, cards: int, code: int
) -> None:
    names = [f"{target}/{card}" for target in TICKERS for card in CARDS]
    outcome = await remake(world, *names[:cards], CLOUD_RUN_JOB="cards")
    assert outcome.exit_code == code


async def test_a_remake_beside_a_living_run_is_busy(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.qa.latency = steady(100.0)
    job = await world.start_job("remake", "night", "T1", "--yes", env=variables(world))
    await world.qa.until(lambda seen: len(seen) > PLANNED)
    for name in ("T1", "T2"):
        busy = await remake(world, name, "--yes")
        assert (busy.exit_code, busy.finished["outcome"]) == (75, "busy")
    assert (await job.outcome()).exit_code == 0
    assert len(world.qa.requests) == PLANNED + 3


async def test_a_remake_does_not_follow_another_that_ends_while_it_waits(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    """Two people press the same button: the card is paid for once."""
    world.qa.latency = steady(8.0)
    job = await world.start_job("remake", "night", "T1/news_card", "--yes", env=variables(world))
    await world.qa.until(lambda seen: len(seen) > PLANNED)
    second = await remake(world, "T1/news_card", "--yes")
    assert (second.exit_code, second.finished["outcome"]) == (75, "busy")
    assert (await job.outcome()).exit_code == 0
    assert len(requests_of(world)) == 2
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 0


async def test_what_others_have_asked_for_does_not_make_a_remake_fail(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    fail_first(world, "qa", 1)
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 3
    outcome = await remake(world, "T2/news_card", "--yes")
    assert outcome.exit_code == 0
    assert outcome.finished["message"].endswith(" 1 card was made again this time.")
    assert (report(world)["asked_again"], report(world)["made_again"]) == (2, 1)


async def test_a_run_without_all_its_data_has_to_be_resumed_first(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    fail_first(world, "news", 1)
    env = variables(world, RUN_ID="other", RUN_DATE="2026-11-23")
    assert (await world.run_job(env=env)).exit_code == 1
    seen = len(world.seen)
    outcome = await world.run_job(("remake", "other", "T1", "--yes"), env=variables(world))
    assert (outcome.exit_code, len(world.seen)) == (2, seen)
    assert "has not prepared all data; resume it first" in outcome.stdout
    assert "paid for again" not in outcome.stdout
    assert outcome.finished["resume_command"].endswith("python -m job resume other")


async def test_a_run_without_a_date_cannot_be_remade_on_a_later_day(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    assert (await world.run_job(env=variables(world, RUN_ID="other"))).exit_code == 0
    await trio.sleep(86_400)
    outcome = await world.run_job(("remake", "other", "T1", "--yes"), env=variables(world))
    assert outcome.exit_code == 2
    assert "run other has no date of its own" in outcome.stdout


async def test_an_unknown_run_cannot_be_remade(autojump_clock: MockClock, world: VirtualWorld) -> None:
    outcome = await world.run_job(("remake", "nowhere", "T1", "--yes"), env=variables(world))
    assert outcome.exit_code == 2
    assert "has no record of run nowhere" in outcome.stdout


async def test_what_leaves_the_plan_is_not_made_again(autojump_clock: MockClock, world: VirtualWorld) -> None:
    fail_first(world, "qa", 1)
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 3
    await world.configure("ticker_list.json", [ticker for ticker in TICKERS if ticker != "T1"])
    before = asked_cards(world)
    resumed = await world.run_job(("resume", "night", "--new-config"), env=variables(world))
    assert (resumed.exit_code, asked_cards(world)) == (0, before)
    assert report(world)["asked_again"] == 0


async def test_a_deadline_leaves_what_was_not_made_again_open(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.qa.script.append(Fault(when.always, do.hang()))
    outcome = await remake(world, "T1", "--yes", RUN_DEADLINE_SECONDS="60")
    assert (outcome.exit_code, outcome.finished["outcome"]) == (4, "deadline")
    assert outcome.finished["message"].endswith("Not made again: 3 of 3.")


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 2)])
async def test_a_person_at_a_terminal_is_asked_before_anything_is_paid_for(
    autojump_clock: MockClock, world: VirtualWorld, monkeypatch: pytest.MonkeyPatch, *, answer: bool, code: int
) -> None:
    asked: list[str] = []

    async def confirm(_reporter: object, what: Message) -> bool:
        await trio.lowlevel.checkpoint()
        asked.append(str(what))
        return answer

    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.setattr(CloudLogReporter, "confirm", confirm)
    seen = len(world.seen)
    outcome = await remake(world, "T1/news_card")
    assert (outcome.exit_code, asked) == (code, ["1 card is made again, and paid for again: T1/news_card"])
    if not answer:
        assert len(world.seen) == seen
        assert outcome.finished["message"] == "No card is made again, since nobody has said yes. Nothing was called."
    assert (await remake(world, "T1/news_card", "--yes")).exit_code == 0
    assert len(asked) == 1
