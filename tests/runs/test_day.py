"""A day is one run: starting it again, however it ended, requests what is missing and nothing else."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from tests.simulators import do, when
from tests.simulators.engines import steady, varied
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.altered import EAGER_LEASE, altered
from tests.support.places import objects, recorded_cards
from tests.support.runs import QUICK, asked_cards, assert_clean, data_requests, until
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulators.job import Outcome

EMULATOR = emulator_binary()
TICKERS = ["AAPL", "BRK.B", "美联储"]
CARDS = ["news_card", "price_card"]
CONFIG: dict[str, object] = {"ticker_list.json": TICKERS, "card_types.json": CARDS}
PLANNED = 6
DAY = "2026-11-24"


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


@pytest.fixture
async def virtual(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    """The same in virtual time, which begins at 22:30 of that day."""
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def env_of(world: World, **more: str | None) -> dict[str, str | None]:
    return {"RUNS_URI": world.runs_uri, "RUN_DATE": DAY, **more}


async def start(world: World, code: int, *arguments: str, **env: str | None) -> Outcome:
    outcome = await world.run_job(arguments or ("run",), env=env_of(world, **env))
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    assert_clean(world, outcome)
    return outcome


def runs(world: World) -> list[str]:
    """The ids of the recorded runs."""
    return sorted(path.parent.name for path in (world.directory / "runs").glob("*/inputs.json"))


async def test_a_second_start_finds_everything_done_and_calls_nothing(world: World) -> None:
    first = await start(world, 0)
    before, page = len(world.seen), next((world.directory / "runs").glob("*/report.html")).stat().st_mtime_ns
    second = await start(world, 0)
    assert len(world.seen) == before
    assert second.finished["outcome"] == "succeeded"
    assert (
        second.finished["message"] == f"Everything is there already (run {first.finished['run']}): nothing was called."
    )
    assert second.finished["run"] == first.finished["run"]
    assert next((world.directory / "runs").glob("*/report.html")).stat().st_mtime_ns == page
    assert len(runs(world)) == 1


async def test_a_start_after_cards_failed_requests_these_with_the_same_keys(world: World) -> None:
    world.qa.script.append(Fault(when.both(when.ticker("AAPL"), when.card("news_card")), do.status(422)))
    await start(world, 3)
    world.qa.script.clear()
    data, cards = len(data_requests(world)), asked_cards(world)
    outcome = await start(world, 0)
    assert len(data_requests(world)) == data, "the data was there"
    assert asked_cards(world) - cards == Counter({("AAPL", "news_card"): 1})
    assert outcome.finished["cards"] | {"planned": 0} == {
        "planned": 0, "generated": 1, "skipped": 5, "failed": 0, "not_attempted": 0, "left_out": 0
    }  # fmt: skip
    keys = {
        request.headers["idempotency-key"]
        for request in world.qa.requests
        if request.tickers[0] == "AAPL" and request.card == "news_card"
    }
    assert len(keys) == 1


async def test_again_makes_everything_anew_and_the_next_start_continues_that_run(world: World) -> None:
    first = await start(world, 0)
    second = await start(world, 0, "run", "--again")
    assert second.finished["run"] != first.finished["run"]
    assert set(asked_cards(world).values()) == {2}
    third = await start(world, 0)
    assert third.finished["run"] == second.finished["run"]
    assert set(asked_cards(world).values()) == {2}


async def test_another_day_is_another_run(world: World) -> None:
    await start(world, 0)
    await start(world, 0, RUN_DATE="2026-11-25")
    assert set(asked_cards(world).values()) == {2}
    assert len(runs(world)) == 2


async def test_the_present_config_counts_and_what_was_made_stays(world: World) -> None:
    await start(world, 0)
    await world.configure("ticker_list.json", ["AAPL", "BRK.B", "美联储", "MSFT"])
    outcome = await start(world, 0)
    assert outcome.finished["cards"]["skipped"] == PLANNED
    assert asked_cards(world) == Counter(
        {(ticker, card): 1 for ticker in ["AAPL", "BRK.B", "美联储", "MSFT"] for card in ["news_card", "price_card"]}
    )
    assert len(runs(world)) == 1


async def test_a_second_start_follows_a_living_one_and_ends_when_it_has_done_everything(world: World) -> None:
    world.qa.latency = steady(1.0)
    env = env_of(world)
    first = await world.start_job("run", env=env)
    await until(lambda: len(world.qa.requests) > 0)
    second = await world.run_job(("run",), env=env)
    one = await first.outcome()
    assert (one.exit_code, second.exit_code) == (0, 0)
    assert second.finished["run"] == one.finished["run"]
    assert set(asked_cards(world).values()) == {1}


# --- in virtual time ---


def ids(world: VirtualWorld) -> set[str]:
    """The ids of the recorded runs."""
    return {name.partition("/")[0] for name in world.recorded() if name.endswith("/inputs.json")}


def done(world: VirtualWorld) -> set[tuple[str, str, str | None]]:
    """Engine, target and card type of everything that is recorded as done."""
    found = [data.splitlines()[1:] for name, data in world.recorded().items() if "/results/" in name]
    results = [json.loads(line) for lines in found for line in lines]
    return {(one["engine"], target, one["card_type"]) for one in results if one["done"] for target in one["targets"]}


def asked(world: World, after: int) -> set[tuple[str, str, str | None]]:
    """Engine, target and card type of everything that was requested after so many requests."""
    requests = [one for one in world.seen[after:] if one.service in world.engines]
    return {(one.service, ticker, one.card) for one in requests for ticker in one.tickers}


def assert_same_keys(world: World) -> None:
    """A card that is requested again has the same key, so that an engine can recognise it."""
    keys: dict[str, set[str]] = {}
    for request in world.qa.requests:
        keys.setdefault(request.target, set()).add(request.headers["idempotency-key"])
    assert {len(found) for found in keys.values()} == {1}


@pytest.mark.parametrize(("engine", "requests"), [("news", 1), ("qa", 1), ("qa", 4)])
async def test_a_start_after_a_killed_one_goes_on_where_it_was(
    autojump_clock: MockClock, virtual: VirtualWorld, engine: str, requests: int
) -> None:
    virtual.engines[engine].latency = steady(2.0)
    job = await virtual.start_job(env=env_of(virtual, QA_ENGINE_CONCURRENCY="1"))
    await virtual.engines[engine].until(lambda seen: len(seen) >= requests)
    await job.kill()
    before, after = done(virtual), len(virtual.seen)
    await start(virtual, 0)
    assert asked(virtual, after) & before == set()
    assert len(asked_cards(virtual)) == PLANNED
    assert len(ids(virtual)) == 1
    assert_same_keys(virtual)


@pytest.mark.parametrize("engine", ["financial", "trading", "news"])
async def test_a_start_after_a_data_engine_failed_requests_what_is_left_of_the_data(
    autojump_clock: MockClock, virtual: VirtualWorld, engine: str
) -> None:
    late = do.status(422, after=5.0)  # the others are done by then
    virtual.engines[engine].script.append(Fault(when.ticker("AAPL"), late))
    await start(virtual, 1)
    assert virtual.qa.requests == []
    virtual.engines[engine].script.clear()
    before, after = done(virtual), len(virtual.seen)
    assert {name for name, _, _ in before} >= {"financial", "trading", "news"} - {engine}
    await start(virtual, 0)
    assert asked(virtual, after) & before == set()
    assert {name for name, _, card in asked(virtual, after) if card is None} == {engine}
    assert set(asked_cards(virtual).values()) == {1}


async def test_a_start_with_a_corrected_config_leaves_out_what_failed(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    virtual.news.script.append(Fault(when.ticker("BRK.B"), do.status(422)))
    await start(virtual, 1)
    await virtual.configure("ticker_list.json", ["AAPL", "美联储"])
    await start(virtual, 0)
    assert {ticker for ticker, _ in asked_cards(virtual)} == {"AAPL", "美联储"}
    assert len(ids(virtual)) == 1


async def test_a_start_with_a_faulty_config_leaves_the_run_as_it_was(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    virtual.qa.script.append(Fault(when.both(when.ticker("AAPL"), when.card("news_card")), do.status(422)))
    await start(virtual, 3)
    virtual.qa.script.clear()
    await virtual.configure("card_types.json", b"[")
    before, after = virtual.recorded(), len(virtual.seen)
    faulty = await start(virtual, 2)
    assert faulty.finished["run"] in ids(virtual)
    assert (virtual.recorded(), len(virtual.seen)) == (before, after)
    await virtual.configure("card_types.json", CARDS)
    await start(virtual, 0)
    assert asked(virtual, after) == {("qa", "AAPL", "news_card")}


async def test_a_day_with_only_a_faulty_config_gets_a_new_run(autojump_clock: MockClock, virtual: VirtualWorld) -> None:
    await virtual.configure("card_types.json", b"[")
    faulty = await start(virtual, 2)
    await virtual.configure("card_types.json", CARDS)
    outcome = await start(virtual, 0)
    assert outcome.finished["run"] != faulty.finished["run"]
    assert set(asked_cards(virtual).values()) == {1}


@pytest.mark.parametrize("changes", [{"RUN_DATE": "2026-11-25"}, {"QA_ENGINE_URL": "elsewhere"}])
async def test_a_start_beside_a_living_run_with_other_work_calls_nothing(
    autojump_clock: MockClock, virtual: VirtualWorld, changes: dict[str, str | None]
) -> None:
    virtual.news.latency = steady(100.0)
    job = await virtual.start_job(env=env_of(virtual, NEWS_ENGINE_TIMEOUT="300"))
    await virtual.news.until(bool)
    before = len(virtual.seen)
    changes = {name: virtual.elsewhere.url if value == "elsewhere" else value for name, value in changes.items()}
    outcome = await start(virtual, 75, **changes)
    assert outcome.finished["outcome"] == "busy"
    assert [one for one in virtual.seen[before:] if one.service in virtual.engines] == []
    assert (await job.outcome()).exit_code == 0


@pytest.mark.parametrize("ends", ["SIGTERM", "SIGKILL", "data", "cards"])
async def test_a_start_that_follows_one_that_fails_does_what_is_left(
    autojump_clock: MockClock, virtual: VirtualWorld, ends: str
) -> None:
    virtual.qa.latency = steady(20.0)
    faults = {
        "data": (virtual.news, Fault(when.nth(1), do.status(422, after=40.0))),
        "cards": (virtual.qa, Fault(when.nth(1), do.status(422, after=40.0))),
    }
    if ends in faults:
        service, fault = faults[ends]
        service.script.append(fault)
    env = env_of(virtual, NEWS_ENGINE_TIMEOUT="300", QA_ENGINE_CONCURRENCY="2")
    leader = await virtual.start_job(env=env)
    await trio.sleep(3)
    follower = await virtual.start_job(env=env)
    if ends not in faults:
        await trio.sleep(30)
        leader.send_signal(signal.Signals[ends])
    one, two = await leader.outcome(), await follower.outcome()
    assert one.exit_code == {"SIGTERM": 143, "SIGKILL": -9, "data": 1, "cards": 3}[ends], one.stdout
    assert two.exit_code == 0, two.stdout
    assert_clean(virtual, two)
    assert len(asked_cards(virtual)) == PLANNED
    assert len(ids(virtual)) == 1
    assert_same_keys(virtual)
    if ends in faults:
        assert sum(asked_cards(virtual).values()) == PLANNED + (ends == "cards")


async def test_a_start_with_and_one_without_a_date_on_the_same_day_are_about_the_same_run(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    first = await start(virtual, 0)
    before = len(virtual.seen)
    second = await start(virtual, 0, RUN_DATE=None)
    assert second.finished["run"] == first.finished["run"]
    assert len(virtual.seen) == before


async def test_a_wrong_url_of_an_engine_is_corrected_within_the_run(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    wrong = await start(virtual, 1, NEWS_ENGINE_URL=f"{virtual.news.url}/wrong")
    before, after = done(virtual), len(virtual.seen)
    corrected = await start(virtual, 0)
    assert corrected.finished["run"] == wrong.finished["run"]
    assert asked(virtual, after) & before == set()
    assert len(ids(virtual)) == 1


async def test_a_fixed_run_id_does_not_hold_on_to_its_first_day(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    """It would find everything done on the next day, and nothing would be made."""
    await start(virtual, 0, RUN_DATE="today", RUN_ID="night")
    await trio.sleep(24 * 3600)
    outcome = await start(virtual, 2, RUN_DATE="today", RUN_ID="night")
    assert "RUN_DATE: 2026-11-25 is not the date of run night, which is 2026-11-24" in outcome.stdout


async def test_an_older_run_of_the_day_is_resumed_and_not_started_again(world: World) -> None:
    world.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    older = await start(world, 3)
    world.qa.script.clear()
    await start(world, 0, "run", "--again")
    shown = await world.run_job(("report", older.finished["run"]), env={"RUNS_URI": world.runs_uri})
    assert f"python -m job resume {older.finished['run']}" in shown.stdout
    assert "python -m job run" not in shown.stdout


async def test_cards_that_the_config_gains_are_in_the_report_even_if_they_are_there_already(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    """A config with less to do leaves nothing to request, and the report is of that config."""
    virtual.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    await start(virtual, 3)
    await virtual.configure("ticker_list.json", ["BRK.B", "美联储"])
    after = len(virtual.seen)
    outcome = await start(virtual, 0)
    assert asked(virtual, after) == set()
    assert outcome.finished["cards"] | {"planned": 0} == {
        "planned": 0, "generated": 0, "skipped": 4, "failed": 0, "not_attempted": 0, "left_out": 0
    }  # fmt: skip
    report = next(data for name, data in virtual.recorded().items() if name.endswith("/report.json"))
    assert json.loads(report)["cards"]["planned"] == 4


# --- Cloud Run's own retry ---

EXECUTION = {"CLOUD_RUN_EXECUTION": "cards-x7k2p", "CLOUD_RUN_TASK_ATTEMPT": "0"}
RETRY = EXECUTION | {"CLOUD_RUN_TASK_ATTEMPT": "1"}


@pytest.mark.parametrize("date", ["today", None])
@pytest.mark.parametrize("opened_by", ["cards-x7k2p", "cards-first"])
async def test_a_retry_after_midnight_goes_on_with_its_run(
    autojump_clock: MockClock, virtual: VirtualWorld, date: str | None, opened_by: str
) -> None:
    """Whether its execution opened that run or continued it."""
    virtual.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    if opened_by != "cards-x7k2p":
        await start(virtual, 3, RUN_DATE=date, CLOUD_RUN_EXECUTION=opened_by)
    await trio.sleep(89 * 60)
    assert (await start(virtual, 3, RUN_DATE=date, **EXECUTION)).finished["run"] == opened_by
    virtual.qa.script.clear()
    await trio.sleep(120)
    before, after = done(virtual), len(virtual.seen)
    outcome = await start(virtual, 0, RUN_DATE=date, **RETRY)
    assert outcome.finished["run"] == opened_by
    assert asked(virtual, after) & before == set()
    assert {dict(one.query).get("date_str") for one in virtual.qa.requests} == {DAY if date else None}
    assert ids(virtual) == {opened_by}
    assert (await start(virtual, 0, RUN_DATE=date, CLOUD_RUN_EXECUTION="next")).finished["run"] == "next"


async def test_a_retry_of_everything_anew_opens_no_third_run(autojump_clock: MockClock, virtual: VirtualWorld) -> None:
    await start(virtual, 0)
    virtual.qa.latency = steady(5.0)
    job = await virtual.start_job("run", "--again", env=env_of(virtual, **EXECUTION, QA_ENGINE_CONCURRENCY="2"))
    await trio.sleep(8)
    await job.kill()
    before, after = asked_cards(virtual), len(virtual.seen)
    assert sum(before.values()) > PLANNED
    again = await start(virtual, 0, "run", "--again", **RETRY)
    assert again.finished["run"] == "cards-x7k2p"
    assert len(ids(virtual)) == 2
    assert {name for name, _, card in asked(virtual, after) if card is None} == set(), "its data was there"


async def test_a_retry_uses_the_config_that_its_execution_began_with(
    autojump_clock: MockClock, virtual: VirtualWorld
) -> None:
    virtual.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    await start(virtual, 3, **EXECUTION)
    virtual.qa.script.clear()
    await virtual.configure("ticker_list.json", ["MSFT"])
    await start(virtual, 0, **RETRY)
    assert {ticker for ticker, _ in asked_cards(virtual)} == set(TICKERS)


# --- records of early versions ---


async def test_a_record_of_an_early_version_is_continued(autojump_clock: MockClock, virtual: VirtualWorld) -> None:
    virtual.qa.script.append(Fault(when.both(when.ticker("AAPL"), when.card("news_card")), do.status(422)))
    old = await start(virtual, 3)
    virtual.qa.script.clear()
    run = old.finished["run"]
    store = virtual.stores[virtual.runs_uri]
    for name in [name for name in store.objects if name.startswith(("_days/", f"{run}/attempts/"))]:
        del store.objects[name]
    stored = store.objects[f"{run}/report.json"]
    report = {name: value for name, value in json.loads(stored.data).items() if name not in {"attempt", "zone"}}
    store.objects[f"{run}/report.json"] = type(stored)(json.dumps(report).encode(), stored.generation, stored.updated)
    after = len(virtual.seen)
    outcome = await start(virtual, 0)
    assert outcome.finished["run"] == run
    assert asked(virtual, after) == {("qa", "AAPL", "news_card")}
    after = len(virtual.seen)
    assert (await start(virtual, 0)).finished["run"] == run
    assert asked(virtual, after) == set()


# --- what was made for another date, or with another model ---


@pytest.mark.parametrize("how", ["run", "resume"])
async def test_a_card_that_was_made_for_another_date_does_not_count(
    autojump_clock: MockClock, virtual: VirtualWorld, how: str
) -> None:
    def targets(date: str) -> list[dict[str, object]]:
        return [{"id": "fed", "topic_key": "fed", "card_types": ["news_card"], "date": date}]

    await virtual.configure("card_targets.json", targets("2026-11-02"))
    run = (await start(virtual, 0)).finished["run"]
    await virtual.configure("card_targets.json", targets("2026-11-20"))
    after = len(virtual.seen)
    await start(virtual, 0, *(["run"] if how == "run" else ["resume", run, "--new-config"]))
    assert asked(virtual, after) == {("news", "fed", None), ("qa", "fed", "news_card")}
    requests = [dict(one.query)["date_str"] for one in virtual.qa.requests if one.tickers == ["fed"]]
    assert requests == ["2026-11-02", "2026-11-20"]
    after = len(virtual.seen)
    await start(virtual, 0)
    assert asked(virtual, after) == set()


OTHER_MODEL = {"default": {"backend": "local", "model_name": "small/1"}}


async def test_cards_of_another_model_stay_and_are_named_in_every_output(world: World) -> None:
    world.qa.script.append(Fault(when.ticker("BRK.B", "美联储"), do.status(422)))
    await start(world, 3)
    world.qa.script.clear()
    await world.configure("llm_config.json", OTHER_MODEL)
    outcome = await start(world, 0, **world.chat.env("feishu"))
    sentence = (
        "2 cards were made with another model or other parameters than the config has now: AAPL news_card, "
        "AAPL price_card."
    )
    assert set(asked_cards(world)) == {(ticker, card) for ticker in TICKERS for card in CARDS}
    assert outcome.finished["message"].endswith(sentence)
    (report,) = [json.loads(data) for name, data in (await objects(world)).items() if name.endswith("/report.json")]
    assert report["sentence"].endswith(sentence)
    assert report["outdated_cards"] == 2
    (text,) = world.chat.texts
    assert sentence in text
    before = len(world.seen)
    shown = await world.run_job(("run",), env=env_of(world), terminal=True)
    assert (shown.exit_code, len(world.seen)) == (0, before)
    assert "AAPL news_card, AAPL price_card" in " ".join(shown.stdout.split())


# --- the same moment ---


async def started_twice(world: World, run_date: str) -> None:
    """Two starts at the same moment: both end well, and they are one run that makes each card once."""
    world.forget()
    env = {"RUNS_URI": world.runs_uri, "RUN_DATE": run_date, **altered(world.directory, EAGER_LEASE)}
    before = {name for name in await objects(world) if name.endswith("/inputs.json")}
    jobs = [await world.start_job("run", env=env) for _ in range(2)]
    outcomes = [await job.outcome() for job in jobs]
    assert [one.exit_code for one in outcomes] == [0, 0], [one.stdout + one.stderr for one in outcomes]
    assert len({one.finished["run"] for one in outcomes}) == 1
    assert asked_cards(world) == Counter({(ticker, card): 1 for ticker in TICKERS for card in CARDS})
    after = {name for name in await objects(world) if name.endswith("/inputs.json")}
    assert len(after - before) == 1


@pytest.mark.parametrize("number", range(3))
async def test_of_two_starts_at_the_same_moment_one_does_the_work(world: World, number: int) -> None:
    await started_twice(world, DAY)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["directory", pytest.param("bucket", marks=pytest.mark.needs("emulator"))])
async def test_of_two_starts_at_the_same_moment_one_does_the_work_however_often(
    nursery: trio.Nursery, kind: str
) -> None:
    emulator = EMULATOR if kind == "bucket" else None
    async with open_world(nursery, CONFIG, latency=QUICK, emulator=emulator) as world:
        for number in range(50):
            await started_twice(world, f"2026-{1 + number // 28:02}-{1 + number % 28:02}")


# --- whole days ---


async def a_step(world: World, rng: random.Random, tickers: list[str]) -> None:
    """Something that happens to the run of a day."""
    match rng.choice(["kill", "kill", "kill", "start", "two", "add", "remove", "model", "broken", "fault"]):
        case "add":
            tickers.append(f"T{len(tickers)}")
            await world.configure("ticker_list.json", tickers)
        case "remove" if len(tickers) > 1:
            tickers.remove(rng.choice(tickers))
            await world.configure("ticker_list.json", tickers)
        case "model":
            await world.configure("llm_config.json", {"default": {"model_name": f"m/{rng.randrange(9)}"}})
        case "broken":
            await world.configure("ticker_list.json", b"[")
            assert (await world.run_job(env=env_of(world))).exit_code == 2
            await world.configure("ticker_list.json", tickers)
        case "fault":
            engine = rng.choice([world.news, world.trading, world.qa, world.qa])
            engine.script.append(Fault(when.ticker(rng.choice(tickers)), do.status(422)))
            assert (await world.run_job(env=env_of(world))).exit_code in {0, 1, 3}
            engine.script.clear()
        case "two":
            jobs = [await world.start_job(env=env_of(world, **altered(world.directory, EAGER_LEASE))) for _ in "ab"]
            await trio.sleep(rng.random())
            await rng.choice(jobs).kill()
            assert {(await job.outcome()).exit_code for job in jobs} <= {0, -9}
        case "start":
            assert (await world.run_job(env=env_of(world))).exit_code == 0
        case _:
            before, moment = len(world.seen), rng.randrange(40)
            job = await world.start_job(env=env_of(world, QA_ENGINE_CONCURRENCY="2"))
            await until(lambda: len(world.seen) - before >= moment or job.process.returncode is not None, 30)
            await trio.sleep(rng.random() * 0.05)
            await job.kill()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_on_a_day_no_recorded_card_is_requested_again(nursery: trio.Nursery, seed: int) -> None:
    rng = random.Random(seed)
    async with open_world(nursery, CONFIG, latency=varied(0.1, seed=seed)) as world:
        tickers, recorded, run_id = list(TICKERS), Counter[tuple[str, str]](), ""
        for number in range(8):
            after = len(world.seen)
            if number < 7:
                await a_step(world, rng, tickers)
            else:
                await start(world, 0)
            requested = Counter({(one.tickers[0], one.card or "") for one in world.seen[after:] if one.card})
            assert requested & recorded == Counter(), "recorded as made, and requested again"
            found = runs(world)
            assert len(found) <= 1, "a day is one run"
            run_id = found[0] if found else ""
            recorded = Counter(dict.fromkeys(await recorded_cards(world, run_id), 1)) if found else recorded
        assert set(recorded) >= {(ticker, card) for ticker in tickers for card in CARDS}
        assert max((await recorded_cards(world, run_id)).values()) == 1, "recorded twice"
        assert_same_keys(world)
        assert asked(world, 0) >= {("news", ticker, None) for ticker in tickers}
        before = len(world.seen)
        await start(world, 0)
        assert len(world.seen) == before
