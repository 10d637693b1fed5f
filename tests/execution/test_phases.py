"""No card is requested before all data calls have succeeded; a data engine that fails ends all at once."""

import random
import re
from collections import Counter
from contextlib import nullcontext

import pytest
import trio

from job.config.environment import EngineSettings
from job.day.result import EngineFailedError, ShutdownReason
from job.engines.answers import Response
from job.engines.calls import TARGET_ENGINES, EngineName
from job.engines.failures import Cause
from job.execution.progress import CallRetried, Progress, report_each_minute
from tests.simulators.job import ROOT
from tests.support.fakes import FOREVER, Asked, reply, stage, target, well
from tests.support.results import result_of

pytestmark = pytest.mark.usefixtures("autojump_clock")


@pytest.mark.parametrize(
    ("refused", "seconds", "ends"),
    [({3}, 7.0, 35.0), ({3, 11, 17}, 7.0, 35.0), ({*range(20)}, 7.0, 35.0), ({19}, 100.0, 160.0), ({0}, 7.0, 35.0)],
    ids=["one", "three", "all", "slow", "the last"],
)
@pytest.mark.parametrize("waiting_for", ["answer", "token", "backoff"])
async def test_siblings_are_cut_off_at_once(waiting_for: str, refused: set[int], seconds: float, ends: float) -> None:
    """The engine that has failed tries its rest for a minute: four at a time, of twenty."""

    async def script(asked: Asked) -> Response:
        if asked.engine == "news":
            await trio.sleep(seconds)
            return reply({"detail": "no"}, 400) if int(asked.tickers[0][1:]) in refused else well(asked)
        if waiting_for == "backoff":
            await trio.lowlevel.checkpoint()
            return reply({}, 500, retry_after=30.0)
        await trio.sleep_forever()
        raise AssertionError

    async def token(audience: str, _rejected: str | None) -> str:
        await trio.sleep(FOREVER if waiting_for == "token" and "news" not in audience else 0)
        return "token"

    made = stage([target(f"T{number}") for number in range(20)], script, jitter=lambda: 0.0)
    made.world.token = token
    with pytest.raises(EngineFailedError) as error:
        await made.play()
    assert trio.current_time() == ends
    assert str(error.value.result.reason) == "HTTP 400: no"
    failed = {event.targets[0] for event in made.world.finished if event.cause == Cause.STATUS}
    assert failed == {f"T{number}" for number in refused}
    first = min(event.ended for event in made.world.finished if event.cause == Cause.STATUS)
    siblings = [asked for asked in made.world.asked if asked.engine != "news"]
    assert all(asked.time < first and asked.ended is not None and asked.ended <= first for asked in siblings)
    assert made.world.of("qa") == []
    assert made.cards.not_attempted == made.cards.planned == 20
    assert {event.cause for event in made.world.finished if not event.done} <= {Cause.STATUS, Cause.INTERRUPTED}


@pytest.mark.parametrize("at", [3.0, 10.0])
async def test_a_shutdown_cuts_off_also_the_engine_that_tries_the_rest(at: float) -> None:
    """It is shielded from its siblings' end alone."""

    async def script(asked: Asked) -> Response:
        await trio.sleep(5.0 if asked.tickers == ("T0",) else 100.0)
        return reply({}, 400)

    made = stage([target(f"T{number}", (), ("news", "trading")) for number in range(4)], script)
    with pytest.raises(EngineFailedError) if at > 5.0 else nullcontext():
        await made.play((at, ShutdownReason.SIGTERM))
    assert trio.current_time() == at
    assert made.counts("news").failed == 4


async def test_nothing_of_a_data_engine_that_has_failed_is_tried_again() -> None:
    async def script(asked: Asked) -> Response:
        await trio.sleep(4 if asked.tickers == ("T3",) else 5)
        how = {"T3": 400, "T1": 503, "T2": 503}.get(asked.tickers[0])
        return well(asked) if how is None else reply({}, how)

    made = stage([target(f"T{number}", (), ("news",)) for number in range(20)], script)
    with pytest.raises(EngineFailedError):
        await made.play()
    states = {event.targets[0]: event.cause for event in made.world.finished if not event.done}
    assert states.pop("T3") == Cause.STATUS
    assert states == dict.fromkeys(["T1", "T2"], Cause.INTERRUPTED), "cut off, not failed"
    assert made.counts("news").done == 17
    assert not any(isinstance(event, CallRetried) for event in made.world.events), "nothing else is said"
    assert all(asked.attempt == 1 for asked in made.world.asked)


PAGE = (ROOT / "job" / "faults.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?:[\w ]+\((\d+)\)|they hang)" + r" \| ([\d,]+)" * 4 + r" \|$", PAGE, re.MULTILINE)
CELLS = [(how, *cell) for how, *cells in ROWS for cell in enumerate(cells)]


@pytest.mark.parametrize(("how", "column", "cell"), CELLS, ids=["-".join(map(str, cell)) for cell in CELLS])
async def test_a_data_engine_has_failed_as_soon_as_the_page_says(how: str, column: int, cell: str) -> None:
    """With the job's defaults, in a night of 100 tickers of 8 s (news) or 26 s (trading)."""
    engine: EngineName = "trading" if column >= 2 else "news"
    defaults = EngineSettings(name=engine).model_dump(exclude={"name", "url", "audience"})
    changes: dict[EngineName, dict[str, float]] = {engine: defaults}
    stated, took = float(cell.replace(",", "")), list[float]()

    async def script(asked: Asked) -> Response:
        if column % 2 and "T7" not in asked.tickers:
            await trio.sleep((26.0 if column >= 2 else 8.0) * len(asked.tickers))
            return well(asked)
        await trio.sleep(FOREVER if not how else 0.2)
        return reply({}, int(how or 0))

    async def sibling() -> None:
        began = trio.current_time()
        try:
            await trio.sleep_forever()
        finally:
            took.append(trio.current_time() - began)

    targets = [target(f"T{number}", (), (engine,)) for number in range(100)]
    for seed in range(10 if column % 2 else 1):
        made = stage(targets, script, changes, random.Random(seed).random)
        with pytest.RaisesGroup(EngineFailedError):
            async with trio.open_nursery() as data_phase:
                data_phase.start_soon(sibling)
                data_phase.start_soon(made.phases.prepare, engine, data_phase.cancel_scope)
    assert 0.9 * stated - 1 <= max(took) <= stated


async def test_progress_is_reported_once_a_minute_with_the_time_that_is_left() -> None:
    """It is not known before one round of calls is done."""
    seen = list[tuple[float, float | None]]()

    async def script(asked: Asked) -> Response:
        await trio.sleep(11)
        return well(asked)

    def report(progress: Progress, now: float) -> None:
        seen.append((now, progress.seconds_left("qa", now)))

    made = stage([target(str(number), engines=()) for number in range(40)], script, {"qa": {"concurrency": 4}})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.play)
        nursery.start_soon(report_each_minute, made.live, report)
        await trio.sleep(10.9)
        report(made.live, 10.9)
        await trio.sleep(60)
        report(made.live, 70.9)
        nursery.cancel_scope.cancel()
    assert seen == [(10.9, None), (60.0, 60.0), (70.9, pytest.approx(16 * 70.9 / 24))]


async def test_of_engines_that_fail_at_the_same_moment_one_names_all_its_bad_tickers() -> None:
    gate = trio.Event()

    async def script(_: Asked) -> Response:
        if len(made.world.asked) == 8:
            gate.set()
        await gate.wait()  # then their answers are there, whatever is cut off
        return reply({}, 400)

    targets = [target(f"T{number}", (), ("news", "trading")) for number in range(9)]
    made = stage(targets, script, {"trading": {"batch_size": 1}})
    with pytest.raises(EngineFailedError) as error:
        await made.play()
    other: EngineName = "news" if error.value.result.engine == "trading" else "trading"
    assert made.counts(error.value.result.engine).failed == 9
    assert made.counts(other).failed <= 4
    assert len(made.world.of(other)) == 4, "of one round"


@pytest.mark.parametrize("engine", TARGET_ENGINES)
async def test_a_barrier_with_one_item_open_is_not_passed(engine: EngineName) -> None:
    made = stage([target("A"), target("B")])
    for other in TARGET_ENGINES:
        for call in made.ledger.plan.calls(other):
            if other != engine or "B" not in call.targets:
                made.phases.context.emit(result_of(call))
    assert not made.ledger.is_ready
    with pytest.raises(AssertionError, match="the barrier is closed"):
        await made.phases.generate()
    assert made.world.asked == []
    await made.play()
    assert Counter(asked.engine for asked in made.world.asked) == {engine: 1, "qa": 2}
