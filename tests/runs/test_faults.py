"""Every fault that job/faults.md names: a start meets it, and ends as the page says."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from job.day.attempt import Outcome
from job.engines.answers import AnswerError
from job.engines.calls import ALL_ENGINES, BATCHES
from job.engines.failures import Cause
from job.engines.id_tokens import IdTokens
from job.text.messages import message
from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.job import ROOT, Job
from tests.simulators.service import Do, Fault
from tests.simulators.when import When
from tests.support.scene import Scene, open_scene

PAGE = (ROOT / "job" / "faults.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (?!what happens|---|.*\d \|$)(.+?) \| (.+?) \| .+ \|$", PAGE, re.MULTILINE))
"""What happens, and what one sees."""
TICKERS = tuple(f"T{number}" for number in range(8))
CARDS = ["news_card", "price_card", "risk_card"]
PLANNED = len(TICKERS) * len(CARDS)
"""Cards; the financial and the trading engine get 4 batches of two, the news engine 8 calls."""
MANY = tuple(f"T{number}" for number in range(50))
"""Tickers of which the cards cannot all begin before an engine is down."""
ENV = {
    **{f"{name.upper()}_ENGINE_TIMEOUT": "1.5" for name in ALL_ENGINES},
    **{f"{name.upper()}_ENGINE_BATCH_SIZE": "2" for name in BATCHES},
    "QA_ENGINE_CONCURRENCY": "16",
}
Play = Callable[[Scene], Awaitable[Job]]
"""Lets a start meet a fault."""


async def begin(scene: Scene, *arguments: str, **env: str) -> Job:
    return await scene.begin(*arguments, **{**ENV, **env})


def answers(name: str, condition: When, act: Do) -> Play:
    """This service answers such requests so."""

    async def play(scene: Scene) -> Job:
        (service,) = (one for one in scene.world.services if one.name == name)
        service.script.append(Fault(condition, act))
        return await begin(scene)

    return play


def variables(**env: str) -> Play:
    return lambda scene: begin(scene, **env)


def no_storage(verb: str, part: str = "") -> Play:
    """Requests with this verb, for names with this part, fail."""

    async def play(scene: Scene) -> Job:
        scene.fails(verb, part)
        return await begin(scene)

    return play


async def page_that_hangs(scene: Scene) -> Job:
    """Storage does not answer once the last page is to be written. The record ends as ever."""
    job = await begin(scene)
    await scene.cards_in_flight()
    await trio.sleep(0.5)
    await scene.reached("read", ".html", lambda: setattr(scene.world, "storage_seconds", 300.0))
    await trio.sleep(1)
    scene.world.storage_seconds = 0.02
    assert (await job.outcome()).seconds == pytest.approx(27, abs=1)
    pages = scene.names(".html")
    shown = [scene.world.recorded()[name] for name in pages]
    assert (len(scene.names("/ends/")), [b"As of" in page for page in shown]) == (1, [True, True])
    await (await begin(scene)).outcome()
    assert not any(b"As of" in scene.world.recorded()[name] for name in pages)
    return job


def outage_of_storage(seconds: float, latency: float) -> Play:
    """From the first card on; each card takes so long."""

    async def play(scene: Scene) -> Job:
        scene.world.qa.latency = steady(latency)
        job = await begin(scene, QA_ENGINE_TIMEOUT="20", QA_ENGINE_CONCURRENCY="4")
        await scene.world.qa.until(bool)
        scene.fails()
        with trio.move_on_after(seconds):
            await job.outcome()
        scene.works()
        return job

    return play


def storage_comes_back(seconds: float) -> Play:
    """It is said once that storage failed, and once that it works again: not by the lease and by the journal."""

    async def play(scene: Scene) -> Job:
        job = await outage_of_storage(seconds, 3.0)(scene)
        said = [line["event"] for line in (await job.outcome()).lines]
        assert [event for event in said if event.startswith("storage.")] == ["storage.failed", "storage.recovered"]
        return job

    return play


async def assert_unrecorded(job: Job) -> None:
    finished = (await job.outcome()).finished
    assert (finished["severity"], finished["unrecorded"] > 0) == ("WARNING", True)
    assert any(note.startswith("Do not start it again: all work is done") for note in finished["notes"])


async def no_storage_to_the_end(scene: Scene) -> Job:
    job = await outage_of_storage(600, 0.1)(scene)
    await assert_unrecorded(job)
    return job


def no_right_to_write(missing: int) -> Play:
    """It is lost with the first card; QA refuses so many."""

    async def play(scene: Scene) -> Job:
        scene.world.qa.script.append(Fault(when.first(missing), do.status(422)))
        job = await begin(scene, **scene.world.chat.env(NOTIFY_ONLY="failures"))
        await scene.world.qa.until(bool)
        scene.world.runs.refuse = lambda verb, _: verb in {"create", "replace"}
        if not missing:
            await assert_unrecorded(job)
        await job.outcome()
        (text,) = scene.world.chat.texts
        assert text.startswith("✗ " if missing else "! ")
        return job

    return play


def deadline(engine: str, latency: float) -> Play:
    async def play(scene: Scene) -> Job:
        scene.world.engines[engine].latency = steady(latency)
        return await begin(scene, **{f"{engine.upper()}_ENGINE_TIMEOUT": "60", "RUN_DEADLINE_SECONDS": "3"})

    return play


def chat(sent: int, **env: str) -> Play:
    """So many messages are sent; the last line says if none is."""

    async def play(scene: Scene) -> Job:
        job = await begin(scene, **scene.world.chat.env(**env))
        outcome = await job.outcome()
        assert len(scene.world.chat.texts) == sent
        assert (outcome.lines[-1]["event"] == "notification.failed") is (sent == 0)
        return job

    return play


async def redirected(scene: Scene) -> Job:
    return await answers("news", ALWAYS, do.redirect(scene.world.elsewhere.url))(scene)


async def chat_that_hangs(scene: Scene) -> Job:
    scene.world.chat.service.script.append(Fault(when.always, do.hang()))
    scene.world.qa.script.append(Fault(when.card("risk_card"), do.status(422)))
    return await chat(0)(scene)


async def no_token(scene: Scene) -> Job:
    """It is said once, of all engines together."""

    async def silent(_: IdTokens, audience: str, _rejected: str | None = None) -> str:
        await trio.sleep(1)
        raise AnswerError(message("no token for the engines"), Cause.TOKEN_SERVER)

    with pytest.MonkeyPatch.context() as patch:  # undone before the scene's own is
        patch.setattr(IdTokens, "get", silent)
        job = await begin(scene, **scene.world.chat.env())
        await job.outcome()
    (text,) = scene.world.chat.texts
    assert "✗ Financial engine, Trading engine, News engine: every try failed.\nNo token for" in text
    assert text.count("No token for the engines.") == 1
    return job


async def faulty_object(scene: Scene) -> Job:
    await scene.world.configure("ticker_list.json", ["A", "a/b"])
    return await begin(scene)


# --- the faults ---


@dataclass(frozen=True)
class Case:
    """One way to meet a fault, and how the start ends then."""

    row: str
    """How its row on the page begins."""
    play: Play
    outcome: str = "succeeded"
    says: str = ""
    """Is among what the job prints."""
    failed: int | None = None
    """Cards, where chance has no say."""
    tickers: tuple[str, ...] = TICKERS
    is_recorded: bool = True
    """Whether the day's record ends as the last line says."""


ALWAYS, FIRST, T3 = when.always, when.nth(1), when.ticker("T3")
ENDS, LATE, OUT = "the connection ends", "an engine does not answer", "storage fails during a run"
CONFIG, PAST, HOOK = "the config, a variable", "past nights", "`NOTIFY_URL` or `NOTIFY_ONLY`"
NOBODY = "http://127.0.0.1:1"
FAILED = {"status": "failed", "error": "no credit"}
DEADLINE = "`RUN_DEADLINE_SECONDS` have passed"
CASES = [
    Case("400 or 422", answers("trading", when.ticker("T3"), do.status(422)), "data_engine_failed", "HTTP 422", 0),
    Case("400 or 422", answers("qa", ALWAYS, do.status(422)), "cards_missing", "HTTP 422", PLANNED),
    Case("401", answers("qa", FIRST, do.status(401))),
    Case("401", answers("qa", ALWAYS, do.status(401)), "qa_engine_down", "HTTP 401", tickers=MANY),
    Case("the token server", no_token, "data_engine_failed", "no token for the engines", 0),
    Case("403", answers("qa", FIRST, do.status(403))),
    Case("404", answers("qa", FIRST, do.status(404))),
    Case("404", redirected, "data_engine_failed", "HTTP 302", 0),
    Case("429", answers("qa", FIRST, do.status(429))),
    Case("429", answers("qa", FIRST, do.status(409))),
    Case("500", answers("news", ALWAYS, do.status(503)), "data_engine_failed", "HTTP 503", 0),
    Case("500", answers("financial", FIRST, do.late_status(504))),
    Case(ENDS, answers("trading", FIRST, broken.reset_after_work())),
    Case(ENDS, answers("qa", ALWAYS, broken.truncated()), "qa_engine_down", "the connection ended", tickers=MANY),
    Case(ENDS, answers("qa", T3, do.body(FAILED)), "cards_missing", "no credit", 3),
    Case(LATE, answers("news", T3, do.hang()), "data_engine_failed", "no answer within 1.5 s", 0),
    Case(LATE, answers("qa", T3, broken.trickle(0.4)), "cards_missing", "no answer within 1.5 s", 3),
    Case(LATE, answers("qa", T3, broken.endless_body()), "cards_missing", "larger than 1 MiB", 3),
    Case("the host", variables(TRADING_ENGINE_URL=NOBODY), "data_engine_failed", "connection refused (127.0.0.1:1)", 0),
    Case(CONFIG, faulty_object, "bad_config", 'ticker_list.json: [1] (\\"a/b\\")'),
    Case(PAST, no_storage("folders"), says="past nights cannot be read"),
    Case(PAST, page_that_hangs, says="cards.csv: no time was left for it"),
    Case(PAST, no_storage("create", ".html"), says="index.html, 2026-11-24/report.html"),
    Case(OUT, storage_comes_back(10)),
    Case(OUT, storage_comes_back(25)),  # the lease waits for less
    Case(OUT, no_storage_to_the_end, is_recorded=False),
    Case(OUT, no_right_to_write(0), is_recorded=False),
    Case(OUT, no_right_to_write(1), "cards_missing", is_recorded=False),
    Case(OUT, outage_of_storage(600, 15.0), "storage_failed", "could not write _lease.json", is_recorded=False),
    Case(DEADLINE, deadline("financial", 20.0), "deadline", failed=0),
    Case(DEADLINE, deadline("qa", 50.0), "deadline", failed=16),
    Case("the chat does not accept", chat_that_hangs, "cards_missing", "no answer within", 8),
    Case(HOOK, chat(0, NOTIFY_URL="http://open.feishu.cn/secret-of-the-bot"), says="is not an https"),
    Case(HOOK, chat(1, NOTIFY_ONLY="errors"), says="NOTIFY_ONLY: is not one of 'all', 'failures'"),
]
ELSEWHERE = {
    "an answer of 200 says `success`": "runs/test_mornings.py",
    "a data engine refuses single": "runs/test_mornings.py",
    "an object of the day's record": "records/test_shape.py",
    "the whole record of a day": "runs/test_gone.py",
    "the schedule was changed": "runs/test_gone.py",
    "storage is down, or refuses": "runs/test_day.py",
    "SIGTERM": "runs/test_signals.py",
    "SIGKILL": "runs/test_runs.py",
    "another start is at work": "runs/test_day.py",
    "somebody asks for `--again`": "runs/test_day.py",
    "the process was paused": "records/test_session.py",
    "the job has a bug": "runs/test_runs.py",
    "`verify` finds": "runs/test_mornings.py",
    "`verify` cannot look": "runs/test_mornings.py",
}
"""How the other rows begin, and the tests that play them."""


def test_each_row_of_the_page_is_played() -> None:
    begins = {*ELSEWHERE, *(case.row for case in CASES)}
    assert [sum(row.startswith(begin) for begin in begins) for row in ROWS] == [1] * len(begins)
    assert all((ROOT / "tests" / place).exists() for place in ELSEWHERE.values())


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.row}: {case.outcome}") for case in CASES])
async def test_a_fault_ends_as_the_page_says(nursery: trio.Nursery, autojump_clock: MockClock, case: Case) -> None:
    config = {"ticker_list.json": case.tickers, "card_types.json": CARDS}
    async with open_scene(nursery, config) as scene:
        with trio.fail_after(1200 + 8 * 60 + 30):
            outcome = await scene.end(await case.play(scene), Outcome[case.outcome.upper()].exit or 0)
        finished = outcome.finished
        assert finished["outcome"] == case.outcome
        assert case.says in outcome.stdout, outcome.stdout
        cards = finished["cards"]
        if case.outcome == "qa_engine_down":
            assert (cards["done"], cards["failed"] > 0, cards["not_attempted"] > 0) == (0, True, True)
        elif case.failed is not None:
            left = 0 if case.outcome == "cards_missing" else PLANNED - case.failed
            assert (cards["planned"], cards["failed"], cards["not_attempted"]) == (PLANNED, case.failed, left)
        if case.is_recorded:
            report, (end, *_) = scene.stored(f"{finished['day']}/report.json"), reversed(scene.names("/ends/"))
            for field in ("outcome", "exit_code", "engines"):
                assert scene.stored(end)[field] == report[field] == finished[field]
            assert report["sentence"] == finished["message"]
            assert all(scene.stored(name)["is_released"] for name in scene.names("_lease.json"))
        assert_the_calls_are_as_seen(scene, case)


def assert_the_calls_are_as_seen(scene: Scene, case: Case) -> None:
    (sees,) = (sees.lower() for row, sees in ROWS.items() if row.startswith(case.row))
    asked = [(one.service, ticker, one.card) for one in scene.requests for ticker in one.tickers]
    assert not (case.outcome != "succeeded" and "nothing is called" in sees and asked)
    assert not ("the call is not repeated" in sees and any(asked.count(one) > (1 if one[2] else 2) for one in asked))
    is_tried_again = case.outcome != "qa_engine_down"  # only once all others were tried
    assert not (is_tried_again and "the call is repeated" in sees and len(asked) == len({*asked}))
