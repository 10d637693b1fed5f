"""The promise, row by row: whatever happens to a day, no card is missing at the end, and none is paid for twice.

All of it is in virtual time. `nights_by_chance.promise` looks at each request and at each end: no card before all data,
no recorded card again, one key for each request, sums that add up, 0 only if all is done.
"""

import re
from collections import Counter
from collections.abc import Mapping
from signal import SIGINT, SIGTERM, Signals

import pytest
import trio

from job.day.report import NIGHTS_PAGE
from job.day.result import ShutdownReason
from job.execution.circuit_breaker import LATE_TRIES
from job.execution.shutdown import BUDGETS
from job.storage.store import ANSWER_GRACE_SECONDS
from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.service import Do, Fault
from tests.simulators.when import When
from tests.support.parsed import Parsed
from tests.support.scene import ALL, CARDS, CLOUD, DAY, LEASE, OTHER, RETRY, TOPIC, Scene

# --- a start makes what is missing, and nothing else ---


async def test_a_second_start_calls_nothing_and_writes_both_pages_alone(scene: Scene) -> None:
    await scene.start(0)
    assert scene.cards() == Counter(ALL)
    before, count = scene.world.recorded(), len(scene.requests)
    await scene.until(DAY, "23:10:00")
    second = await scene.start(0)
    pages = {name for name, data in scene.world.recorded().items() if data != before.get(name)}
    assert (pages, len(scene.requests)) == ({LEASE, NIGHTS_PAGE, f"{DAY}/report.html"}, count)
    assert second.finished["message"] == "Done: 5 of 5 cards made; nothing was called"
    assert second.finished["notes"][0].startswith(f"{second.finished['day']} has been done since 22:30")


# --- killed, at the same time ---


@pytest.mark.parametrize(("engine", "count"), [("news", 1), ("qa", 1), ("qa", 4)])
async def test_a_start_after_a_killed_one_goes_on(scene: Scene, engine: str, count: int) -> None:
    scene.world.engines[engine].latency = steady(4.0)
    job = await scene.begin()
    await scene.world.engines[engine].until(lambda seen: len(seen) >= count)
    await scene.killed(job)
    outcome = await scene.start(0)
    assert set(scene.cards()) == set(ALL)
    assert len(scene.keys()) == 5
    assert outcome.seconds > 50, "nobody can know at once that the other one is dead"


async def test_a_start_waits_for_no_longer_than_its_deadline(scene: Scene) -> None:
    scene.world.news.latency = steady(200.0)
    job = await scene.begin(NEWS_ENGINE_TIMEOUT="300")
    await scene.world.news.until(bool)
    second = await scene.start(4, RUN_DEADLINE_SECONDS="30")
    assert 30 <= second.seconds < 31
    assert second.finished["message"] == "The deadline of 30 s passed: nothing was called"
    await scene.end(job, 0)


async def test_a_start_that_waited_goes_by_the_config_as_it_is_then(scene: Scene) -> None:
    scene.world.news.latency = steady(30.0)
    first = await scene.begin()
    await first.seen("run.started")
    second = await scene.begin()
    await trio.sleep(10)
    await scene.world.configure("card_types.json", [*CARDS, "risk_card"])
    await scene.end(first, 0)
    assert (await scene.end(second, 0)).finished["cards"]["planned"] == 7


# --- the config changes ---


async def test_a_date_of_a_topic_that_is_changed_there_and_back_pays_once_for_each_and_another_key_for_none(
    scene: Scene,
) -> None:
    for date in ("2026-11-20", "2026-11-19", "2026-11-20"):
        await scene.world.configure("card_targets.json", [TOPIC | {"date": date}])
        await scene.start(0)
    assert scene.cards() == Counter([*ALL, "美联储/news_card"])
    await scene.world.configure("card_targets.json", [TOPIC | {"topic_key": "ecb"}])
    count = len(scene.requests)
    await scene.start(0)
    assert [one.path for one in scene.requests[count:]] == ["/batch/process_topic/dynamic/ecb"], "its news alone"


# --- made again ---


async def test_who_wants_again_what_another_start_is_just_making_pays_nothing(scene: Scene) -> None:
    """It comes to the lease when that is gone: what was wanted is recorded by then."""
    await scene.start(0)
    other = await scene.begin("--again", "AAPL/news_card", **OTHER)
    await scene.cards_in_flight(6)
    job = await scene.begin("--again", "AAPL/news_card", **CLOUD)
    await scene.reached("names", DAY, lambda: setattr(scene.world, "storage_seconds", 40.0))
    scene.world.storage_seconds = 0.02
    await scene.end(other, 0)
    outcome = await scene.end(job, 75)
    assert outcome.finished["message"] == "Another start is at work, or has taken over: nothing was called"
    assert scene.cards() == Counter([*ALL, "AAPL/news_card"])


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
@pytest.mark.parametrize("seconds", [2.0, 8.0])
async def test_a_signal_while_an_attempt_is_recorded_leaves_nobody_to_pay_twice(
    scene: Scene, number: Signals, seconds: float
) -> None:
    """The answer comes 1 s after the signal: it is awaited. Or 4 s: it is not known whether anything was asked."""
    await scene.start(0)
    job = await scene.begin("--again", "AAPL/news_card")
    await scene.reached("read", "/results/", lambda: setattr(scene.world, "storage_seconds", seconds))
    await scene.reached("create", "/attempts/")
    sent = trio.current_time()
    job.send_signal(number)
    outcome = await scene.end(job, 128 + number)
    assert trio.current_time() - sent < ANSWER_GRACE_SECONDS + BUDGETS[ShutdownReason.SIGTERM].closing
    scene.world.storage_seconds = 0.02
    known = seconds < ANSWER_GRACE_SECONDS
    assert "--again" not in outcome.finished.get("start_command", "")
    assert ("start_command" in outcome.finished) is known
    assert ("4 of 5 cards made" in outcome.finished["message"]) is known
    await scene.start(0)
    assert scene.cards()["AAPL/news_card"] == 2


# --- refused ---


@pytest.mark.parametrize("hangs", [False, True])
async def test_faults_that_cannot_be_recorded_change_no_outcome(scene: Scene, hangs: bool) -> None:
    def refuse(verb: str, _: str) -> bool:
        if hangs and verb == "create":
            scene.world.storage_seconds = 300.0
        return verb == "create" and not hangs

    scene.world.runs.refuse = refuse
    await scene.world.configure("ticker_list.json", b'["AAPL",]')
    outcome = await scene.start(2)
    scene.world.storage_seconds = 0.02
    (said,) = outcome.events("storage.failed")
    assert said["message"].startswith(f"could not write {DAY}/: ")
    assert hangs is ("no answer within 3 s" in said["message"])
    assert outcome.seconds < 5


async def test_a_refusal_that_cannot_be_recorded_says_how_the_day_stands(scene: Scene) -> None:
    await scene.start(0)
    await scene.world.configure("ticker_list.json", b'["AAPL",]')
    scene.fails("create", "/ends/")
    assert (await scene.start(2)).finished["cards"]["done"] == 5
    scene.works()


# --- storage fails ---


@pytest.mark.parametrize(("verb", "part"), [("", ""), ("", LEASE), ("names", DAY), ("create", "attempts/")])
async def test_without_storage_nothing_is_called(scene: Scene, verb: str, part: str) -> None:
    scene.fails(verb, part)
    outcome = await scene.start(75, **CLOUD)
    assert outcome.finished["outcome"] == "storage_failed"
    assert scene.requests == []
    scene.works()
    await scene.start(0, **RETRY)


async def test_the_page_of_the_nights_is_not_overwritten_with_one_night_while_the_others_are_unknown(
    scene: Scene,
) -> None:
    await scene.start(0, "--date", "2026-11-22", "--yes")
    before = scene.world.recorded()["index.html"]
    scene.fails("folders")
    await scene.start(0)
    assert scene.world.recorded()["index.html"] == before
    scene.works()
    await scene.start(0)
    page = scene.world.recorded()["index.html"].decode()
    assert "2026-11-22" in page
    assert f'href="{DAY}/report.html"' in page


# --- what a start is charged at most ---

BAD, FAILED = when.both(when.ticker("AAPL"), when.card("news_card")), {"status": "failed", "error": "no credit"}
OUT, LOST, HANGS = ((when.always, act) for act in (do.status(503), do.status(502), do.hang()))
KINDS: Mapping[str, tuple[str, int, tuple[When, Do], tuple[When, Do], Mapping[str, str]]] = {
    "one bad card": ("qa", 3, (BAD, do.status(500)), (BAD, do.status(500)), {}),
    "one that says failed, and then all": ("qa", 3, (BAD, do.body(FAILED)), (when.always, do.body(FAILED)), {}),
    "free at night, charged in the morning": ("qa", 3, OUT, LOST, {}),
    "charged at night, free in the morning": ("qa", 3, LOST, OUT, {}),
    "refused at night, no answer in the morning": ("qa", 3, (when.always, do.status(422)), HANGS, {}),
    "a data engine at night, QA in the morning": ("news", 1, (when.always, do.status(422)), LOST, {}),
    "a deadline in the morning": ("qa", 3, OUT, LOST, {"RUN_DEADLINE_SECONDS": "300"}),
}
"""Which engine fails at night, and the exit code; what happens then, and what to QA in the morning; and how it ends."""


@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_attempt_is_charged_is_at_most_what_was_said_whatever_fails_then(scene: Scene, kind: str) -> None:
    """Each that follows."""
    engine, code, at_night, then, how = KINDS[kind]
    env, qa = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards"}, scene.world.qa
    scene.world.engines[engine].script.append(Fault(*at_night))
    await scene.start(code, **env, **CLOUD)
    told, report = scene.world.chat.texts[-1], scene.stored(f"{DAY}/report.json")
    (most,) = (int(found) for found in re.findall(r"; charges at most (\d+) tries; ", told))
    assert most == 3 * report["engines"]["qa"]["not_attempted"] or engine == "qa"
    page = Parsed(scene.world.recorded()[f"{DAY}/report.html"].decode())
    assert f"; charges at most {most} tries; " in page.text
    charged = [one for one in qa.requests if one.status not in {503, 422}]
    lost = [one for one in charged if at_night[0](one)]
    cost = f"{len(charged)} tries may have been charged."
    assert (cost in told.splitlines()) is bool(lost), "as the engine counts"
    cards = {(one.tickers[0], one.card) for one in lost}
    assert (report["perhaps_charged"], report["charged_tries"]) == (len(cards), len(lost))
    scene.world.engines[engine].script.clear()
    qa.script.append(Fault(*then))
    paid = []
    for attempt in ("0", "1"):
        before = len(qa.requests)
        job = await scene.begin(**env, **OTHER | {**how, "CLOUD_RUN_TASK_ATTEMPT": attempt})
        await job.outcome()
        paid.append(sum(one.status not in {503, 422} for one in qa.requests[before:]))
    assert max(paid) <= most
    assert then is not LOST or how or paid[0] in {most, LATE_TRIES}, "nor is more said than can be"


# --- clocks and languages ---


async def test_the_deadline_counts_from_the_start_of_the_process(scene: Scene) -> None:
    scene.world.import_seconds = 20.0
    scene.world.news.script.append(Fault(when.always, do.hang()))
    began = trio.current_time()
    await scene.start(4, RUN_DEADLINE_SECONDS="30")
    assert 10 <= trio.current_time() - began < 11


@pytest.mark.parametrize(("cards", "concurrency"), [(10, 1), (40, 16)])
async def test_a_byte_too_many_after_each_answer_spoils_no_other(scene: Scene, cards: int, concurrency: int) -> None:
    for name in ("ticker_list.json", "card_types.json", "card_targets.json"):
        del scene.world.stores[scene.world.config_uri].objects[name]
    await scene.world.configure("ticker_list.json", [f"T{number}" for number in range(cards)])
    await scene.world.configure("card_types.json", ["a"])
    scene.world.qa.script.append(Fault(when.always, broken.surplus(b"\n")))
    await scene.start(0, QA_ENGINE_CONCURRENCY=str(concurrency))
    assert len(scene.cards()) == cards
    assert max(scene.cards().values()) == 1


CHINESE = re.compile("图卡|引擎|运行|应答")


async def test_text_for_people_is_in_their_language_and_text_for_machines_in_english(scene: Scene) -> None:
    refused = Fault(when.ticker("AAPL"), do.body({"status": "failed", "error": "no"}))
    scene.world.qa.script += [Fault(when.both(when.ticker("BRK.B"), when.attempt(1)), do.status(503)), refused]
    outcome = await scene.start(3, REPORT_LANGUAGE="zh")
    assert not CHINESE.search(outcome.stdout)
    for name, data in scene.world.recorded().items():
        if name.endswith(".html"):
            assert '<html lang="zh-CN">' in data.decode()
        assert bool(CHINESE.search(data.decode())) is (name.endswith((".html", ".csv"))), name
