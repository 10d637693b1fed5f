"""A batch that fails as a whole is retried in halves: the ticker or the batch size that breaks it is found."""

from collections import Counter
from collections.abc import Callable

import pytest
import trio

from job.day.result import EngineFailedError, ShutdownReason
from job.engines.answers import AnswerError, Response
from job.engines.calls import Item, trading
from job.engines.failures import Cause
from job.engines.identity import RunIdentity
from job.text.messages import message
from tests.support.fakes import Asked, Script, Stage, reply, stage, target, well
from tests.support.results import result_of

pytestmark = pytest.mark.usefixtures("autojump_clock")

NAMES = [f"T{number}" for number in range(16)]
SECONDS_A_TICKER = 10.0


def breaking(how: str, strikes: Callable[[Asked], bool]) -> Script:
    """An engine that fails in this way for the batches that match."""

    async def answer(asked: Asked) -> Response:
        await trio.sleep(SECONDS_A_TICKER * len(asked.tickers) if asked.engine != "qa" else 0)
        if asked.engine == "qa" or not strikes(asked):
            return well(asked)
        if how == "too large":
            raise AnswerError(message("too large"), Cause.TOO_LARGE)
        if how == "timeout":
            await trio.sleep_forever()
        return reply({}, int(how))

    return answer


def batches(script: Script, count: int = len(NAMES), **settings: object) -> Stage:
    targets = [target(f"T{number}", engines=("trading",)) for number in range(count)]
    return stage(targets, script, {"trading": {"batch_size": 8, "concurrency": 2, "timeout": 1000.0} | settings})


@pytest.mark.parametrize("how", ["429", "503"])
async def test_only_a_single_ticker_fails_for_good_and_retries_of_its_batches_are_counted_once(how: str) -> None:
    """If the engine has no room, a batch stays whole until its patience is over; its halves have none left."""
    made = batches(breaking(how, lambda asked: "T0" in asked.tickers), concurrency=1)
    with pytest.raises(EngineFailedError) as error:
        await made.play()
    assert error.value.result.targets == ("T0",)
    failed = [len(asked.tickers) for asked in made.world.of("trading") if "T0" in asked.tickers]
    assert failed == [8] * (len(failed) - 3) + [4, 2, 1]
    totals = made.ledger.totals()["trading"]
    assert totals.retries == totals.waits == len(failed) - 1


@pytest.mark.parametrize("how", ["500", "timeout", "too large"])
async def test_the_ticker_that_breaks_its_batch_is_named_and_the_others_are_done(how: str) -> None:
    """It is asked for until the patience is over; its batches once each."""
    made = batches(breaking(how, lambda asked: "T5" in asked.tickers), 200, timeout=100.0)
    with pytest.raises(EngineFailedError) as error:
        await made.play()
    assert error.value.result.targets == ("T5",)
    asked = Counter(asked.tickers for asked in made.world.of("trading") if "T5" in asked.tickers)
    assert [len(tickers) for tickers in asked] == [8, 4, 2, 1]
    assert list(asked.values())[:3] == [1, 1, 1]
    alone = [one.time for one in made.world.of("trading") if one.tickers == ("T5",)]
    assert alone[-1] - alone[0] >= 550, "the halves have patience of their own"
    assert made.world.of("qa") == []


async def test_after_an_outage_later_batches_are_whole_again() -> None:
    """Those that hung in it were halved, after a whole one was done."""

    async def script(asked: Asked) -> Response:
        hangs = asked.engine == "trading" and 1 <= trio.current_time() < 200
        await trio.sleep(1000.0 if hangs else 1.0)
        return well(asked)

    made = batches(script, 80, batch_size=4, concurrency=1, timeout=60.0)
    await made.play()
    sizes = [len(asked.tickers) for asked in made.world.of("trading")]
    assert {1, 2} < {*sizes[:10]}
    assert sizes.count(4) > 16
    assert made.counts("trading").done == 80


@pytest.mark.parametrize(("at_a_time", "begin"), [(1, 0.0), (4, 0.0), (4, 100.0), (16, 100.0)])
async def test_a_batch_that_fails_at_once_in_an_outage_stays_whole(at_a_time: int, begin: float) -> None:
    async def script(asked: Asked) -> Response:
        is_out = begin <= trio.current_time() < 400
        await trio.sleep(0.1 if is_out else 30.0)
        return reply({}, 500) if is_out else well(asked)

    made = batches(script, 400, batch_size=5, concurrency=at_a_time, timeout=900.0)
    await made.play()
    sizes = Counter(len(asked.tickers) for asked in made.world.of("trading"))
    assert made.counts("trading").done == 400
    assert begin == 0.0 or sizes[5] >= 80 - at_a_time
    assert sizes[1] == 0


@pytest.mark.parametrize("how", ["500", "504", "timeout", "too large"])
@pytest.mark.parametrize(("most", "at_a_time"), [(4, 1), (4, 16), (1, 4), (1, 16)])
async def test_batches_that_are_too_large_by_one_halving_or_three_are_all_done(
    how: str, most: int, at_a_time: int
) -> None:
    made = batches(breaking(how, lambda asked: len(asked.tickers) > most), 150, concurrency=at_a_time, timeout=300.0)
    await made.play()
    assert made.counts("trading").done == 150
    sizes = Counter(len(asked.tickers) for asked in made.world.of("trading"))
    assert sizes[8] <= at_a_time + 1, "no later batch is as large, once a half was done"
    assert all(count <= 8 / size * (at_a_time + 1) for size, count in sizes.items() if size > most)


@pytest.mark.parametrize(("how", "sizes"), [("400", [8, 4, 2, 1, 1]), ("422", [8, 4, 2, 1, 1]), ("404", [8, 8, 8])])
async def test_a_batch_that_is_refused_is_halved_and_the_others_stay_whole(how: str, sizes: list[int]) -> None:
    made = batches(breaking(how, lambda asked: "T5" in asked.tickers), concurrency=1)
    with pytest.raises(EngineFailedError) as error:
        await made.play()
    assert error.value.result.targets == ("T5",)
    asked = [len(one.tickers) for one in made.world.of("trading") if "T5" in one.tickers]
    assert asked[:3] == sizes[:3]
    assert made.counts("trading").done == len(NAMES) - 1
    assert 8 in {len(one.tickers) for one in made.world.of("trading") if "T8" in one.tickers}


async def test_a_batch_of_which_some_were_done_is_halved_for_the_others() -> None:
    async def script(asked: Asked) -> Response:
        await trio.lowlevel.checkpoint()
        count = len(made.world.of("trading"))
        if asked.engine != "trading" or count > 3:
            return well(asked)
        if count == 3:
            return reply({}, 500)
        bad = {"T1", "T2", "T3"} if count == 1 else {"T1", "T2"}
        results = {name: {"status": "failed" if name in bad else "success"} for name in asked.tickers}
        return reply({"message": "", "results": results})

    made = batches(script, 8, concurrency=1)
    await made.play()
    assert [asked.tickers for asked in made.world.of("trading")] == [
        tuple(NAMES[:8]), ("T1", "T2", "T3"), ("T1", "T2"), ("T1",), ("T2",),
    ]  # fmt: skip
    assert made.ledger.totals()["trading"].retries == 3


@pytest.mark.parametrize("moment", [1.0, 81.3, 121.0])
async def test_halves_that_wait_are_accounted_for_when_the_run_stops(moment: float) -> None:
    made = batches(breaking("500", lambda asked: len(asked.tickers) > 2), concurrency=1)
    await made.play((moment, ShutdownReason.DEADLINE))
    assert trio.current_time() == pytest.approx(moment, abs=0.01)
    asked = {ticker for asked in made.world.asked for ticker in asked.tickers}
    finished = {ticker for event in made.world.finished for ticker in event.targets}
    assert finished == asked, "halves that nobody had taken were asked for in a larger batch"


async def test_each_part_of_a_batch_has_the_key_of_its_own_targets() -> None:
    """A lost answer about a ticker that was never made is found by its first key alone."""

    async def script(asked: Asked) -> Response:
        await trio.lowlevel.checkpoint()
        return well(asked) if len(asked.tickers) == 1 else reply({}, 500)

    made = stage([target(name, engines=("trading",)) for name in "AB"], script)
    made.ledger.add(result_of(trading(["A"])))
    made.ledger.rerun([Item("trading", "A", None)], 2)
    await made.phases.prepare("trading", trio.CancelScope())
    keys = {asked.tickers: asked.headers["Idempotency-Key"] for asked in made.world.asked}
    for names, number in ((("A", "B"), 2), (("A",), 2), (("B",), 0)):
        assert keys[names] == RunIdentity("test").idempotency_key(*trading(names).fingerprint, rerun=number)
    assert {one.targets: one.again for one in made.world.finished} == {("A",): 2, ("B",): 0}
    assert made.ledger.is_ready
