"""Whatever goes wrong, the run ends as the fault table says, in time, with correct totals and without any secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.runs.fault_table import LIKELIEST, MARKS, PAGES, ROWS, markdown
from tests.runs.fault_table.row import CARDS, CONFIG, PLANNED, Case
from tests.simulators.job import ROOT
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.places import objects
from tests.support.runs import QUICK, assert_clean, data_requests, of_all_attempts
from tests.support.world import open_virtual_world

if TYPE_CHECKING:
    from tests.simulators.job import Outcome
    from tests.simulators.seen import Seen

EMULATOR = emulator_binary()
ENV = {
    "RUN_ID": "night",
    **{f"{name}_ENGINE_ATTEMPTS": "3" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")},
    **{f"{name}_ENGINE_TIMEOUT": "1.5" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")},
    **{f"{name}_ENGINE_BATCH_SIZE": "2" for name in ("FINANCIAL", "TRADING")},
}


def cases() -> list[Any]:
    return [
        pytest.param(
            case,
            id=f"{row.key}: {case.name}",
            marks=[
                *([] if case.fast else [pytest.mark.slow]),
                *([pytest.mark.needs("emulator")] if case.bucket else []),
            ],
        )
        for row in ROWS
        for case in row.cases
    ]


def answers() -> list[Any]:
    found = ((row, case) for row in ROWS for case in row.cases if case.is_an_answer)
    return [pytest.param(case, id=f"{row.key}: {case.name}") for row, case in found]


@pytest.mark.parametrize("case", cases())
async def test_a_fault_ends_as_the_table_says(nursery: trio.Nursery, case: Case) -> None:
    config = CONFIG | {"ticker_list.json": case.tickers}
    async with open_world(nursery, config, latency=QUICK, emulator=EMULATOR, tls=case.tls) as world:
        env = {**ENV, "RUNS_URI": world.runs_uri, **case.env, **(case.arrange(world) or {})}
        with trio.fail_after(case.seconds):
            outcome = await case.play(world, env)
        assert_it_ended_as_the_table_says(world, case, outcome, await objects(world))


@pytest.mark.parametrize("case", answers())
async def test_an_answer_ends_as_the_table_says_in_virtual_time(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, case: Case
) -> None:
    config = CONFIG | {"ticker_list.json": case.tickers}
    async with open_virtual_world(nursery, config, latency=QUICK) as world:
        case.arrange(world)
        with trio.fail_after(case.seconds):
            outcome = await world.run_job(env={**ENV, "RUNS_URI": world.runs_uri, **case.env})
        assert_it_ended_as_the_table_says(world, case, outcome, world.recorded())


def assert_it_ended_as_the_table_says(world: World, case: Case, outcome: Outcome, recorded: dict[str, bytes]) -> None:
    finished = outcome.finished
    shown = f"{outcome.stdout}\n{outcome.stderr}"
    assert (finished["outcome"], outcome.exit_code) == (case.word, case.code), shown
    assert_clean(world, outcome)
    assert case.says in outcome.stdout
    assert outcome.stderr == ""
    assert_cards(case, finished["cards"])
    assert_every_engine_adds_up(finished)
    assert_the_barrier_held(world, case)
    assert_the_record_says_the_same(case, outcome, recorded)
    case.check(world, outcome)


def assert_cards(case: Case, cards: dict[str, int]) -> None:
    if case.cards is not None:
        expected = dict(zip(("generated", "skipped", "failed", "not_attempted"), case.cards, strict=True))
        assert cards == {"planned": sum(case.cards), "left_out": len(case.left_out) * len(CARDS)} | expected
    elif case.word == "qa_engine_down":
        assert cards["planned"] == PLANNED
        assert cards["generated"] == 0
        assert cards["failed"] >= 20


def assert_every_engine_adds_up(finished: dict[str, Any]) -> None:
    for engine in finished["engines"].values():
        parts = [engine[part] for part in ("done", "skipped", "failed", "not_attempted")]
        assert min(parts) >= 0
        assert engine["planned"] == sum(parts)


def assert_the_barrier_held(world: World, case: Case) -> None:
    """Every data call of the plan had succeeded when the first card was requested; no run requests data after cards."""
    if not world.qa.requests:
        return
    first = min(request.arrived for request in world.qa.requests)
    for engine in (world.financial, world.trading, world.news):
        before = [request for request in engine.requests if request.answered is not None and request.answered <= first]
        done = {ticker for request in before if request.status == 200 for ticker in request.tickers}
        assert done | set(case.left_out) == set(case.tickers), engine.name
    cards_of = {trace_of(request) for request in world.qa.requests}
    for trace in cards_of:
        begun = min(request.arrived for request in world.qa.requests if trace_of(request) == trace)
        assert all(request.arrived < begun for request in data_requests(world) if trace_of(request) == trace)


def trace_of(request: Seen) -> str:
    """The same for all requests of one run."""
    return request.headers["traceparent"].split("-")[1]


def assert_the_record_says_the_same(case: Case, outcome: Outcome, recorded: dict[str, bytes]) -> None:
    assert all(b"eyJ" not in content and b"Bearer" not in content for content in recorded.values())
    if case.record:
        report = json.loads(recorded["night/report.json"])
        for field in ("outcome", "exit_code"):
            assert report[field] == outcome.finished[field]
        assert report["cards"] == of_all_attempts(outcome.finished["cards"], "generated")
        assert "_lease.json" not in recorded, "it was not given back"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_its_rows_of_the_table(page: str) -> None:
    _, begin, rest = (ROOT / page).read_text(encoding="utf-8").partition(MARKS[0])
    shown, end, _ = rest.partition(MARKS[1])
    assert begin
    assert end
    assert shown == markdown(PAGES[page]), "python -m tests.runs.fault_table writes it"


def test_the_whole_table_is_shown_once_and_its_likeliest_rows_first() -> None:
    assert PAGES["job/README.md"] == ROWS
    assert [row.key for row in PAGES["README.md"]] == list(LIKELIEST)


def test_each_row_is_known_by_its_key_and_says_all_there_is_to_say() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert all((row.fault, row.sees, row.remedy, row.cases)), row.key
        names = [case.name for case in row.cases]
        assert len(set(names)) == len(names), row.key
        assert "|" not in row.fault + row.sees + row.remedy
