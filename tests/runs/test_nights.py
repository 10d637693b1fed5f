"""From the second night on, every run is compared with the night before, and goes on whatever is wrong with that."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from job.execution.shutdown import Budget
from job.storage.store import in_thread
from job.storage.uri import open_store
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.parsed import Parsed
from tests.support.runs import QUICK, run
from tests.support.stores import EMULATOR
from tests.support.world import open_virtual_world

if TYPE_CHECKING:
    from tests.simulators.seen import Seen

CONFIG: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT", "GC=F"], "card_types.json": ["news_card"]}
REFUSED = {"status": "failed", "error": "no"}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def of(world: World, night: str, date: str, **more: str) -> dict[str, str]:
    return {"RUNS_URI": world.runs_uri, "RUN_ID": night, "RUN_DATE": date, **more}


def stored(world: World, name: str) -> Any:
    return json.loads((Path(world.runs_uri) / name).read_text())


def fails(world: World, *tickers: str) -> None:
    world.qa.script[:] = [Fault(when.ticker(ticker), do.body(REFUSED)) for ticker in tickers]


def configure(world: World, **objects: object) -> None:
    for name, value in objects.items():
        (Path(world.config_uri) / f"{name}.json").write_text(json.dumps(value))


@pytest.mark.slow
async def test_a_run_says_what_is_new_since_the_night_before_and_how_the_plan_has_changed(world: World) -> None:
    fails(world, "AAPL", "MSFT")
    first = await run(world, 3, of(world, "first", "2026-11-23"))
    assert "since_last_night" not in first.finished
    assert stored(world, "first/report.json")["since_last_night"] is None
    assert not first.events("config.noticed")
    fails(world, "MSFT", "NVDA")
    configure(world, ticker_list=["AAPL", "MSFT", "NVDA"])
    world.qa.latency = steady(0.3)  # past nights are read by then
    second = await run(world, 3, of(world, "second", "2026-11-24"))
    since = second.finished["since_last_night"]
    assert (since["day"], since["new"], since["added"], since["still"], since["mended"]) == ("2026-11-23", 0, 1, 1, 1)
    assert since["text"] == [
        "Compared with 2026-11-23 (run first):",
        "no new failure of what was planned then",
        "1 failure of what was not planned then: NVDA news_card",
        "1 still missing, for 2 nights: MSFT news_card",
        "1 mended: AAPL news_card",
    ]
    changes = [line["message"] for line in second.events("config.noticed")]
    assert changes == [
        "The plan has changed since 2026-11-23; it has as many cards as then, 3.",
        "1 target removed: GC=F",
        "1 target added: NVDA",
    ]
    report = stored(world, "second/report.json")["since_last_night"]
    assert report["still"]["items"][0] | {"since": ""} == {
        "engine": "qa", "target": "MSFT", "card_type": "news_card", "cause": "denied", "cause_then": "denied",
        "since": "", "nights": 2,
    }  # fmt: skip
    assert report["plan"]["targets_left"] == {"count": 1, "names": ["GC=F"]}
    shown = Parsed((Path(world.runs_uri) / "second" / "report.html").read_text()).text
    ended = await world.run_job(["report", "second"], env={"RUNS_URI": world.runs_uri})
    for line in [*since["text"], *changes]:
        assert line in shown
        assert line in ended.stdout
    summary = stored(world, "second/summary.json")
    assert {(group["targets"][0], group["nights"]) for group in summary["missing"]} == {("MSFT", 2), ("NVDA", 1)}


@pytest.mark.slow
async def test_a_resumed_run_is_the_same_night(world: World) -> None:
    await run(world, 0, of(world, "first", "2026-11-23"))
    fails(world, "AAPL")
    await run(world, 3, of(world, "second", "2026-11-24"))
    again = await run(world, 3, of(world, "second", "2026-11-24"))
    since = again.finished["since_last_night"]
    assert (since["run_id"], since["new"], since["still"]) == ("first", 1, 0)


@pytest.mark.slow
async def test_a_plan_says_how_it_differs_from_the_night_before(world: World) -> None:
    await run(world, 0, of(world, "first", "2026-11-23"))
    env = {"RUNS_URI": world.runs_uri}
    same = await world.run_job(["plan"], env=env)
    assert "The plan has changed" not in same.stdout + same.stderr
    configure(world, ticker_list=["AAPL"], engine_control={"run_news_engine": False})
    changed = await world.run_job(["plan"], env=env)
    assert changed.exit_code == 0
    assert changed.stdout.splitlines()[-3:] == [
        "The plan has changed since 2026-11-23: 3 cards then, 1 now.",
        "2 targets removed: MSFT, GC=F",
        "News engine: switched off",
    ]
    ended = await world.run_job(["plan", "--json"], env=env)
    assert "2 targets removed" in ended.stderr
    assert "2 targets removed" not in ended.stdout
    lost = await world.run_job(["plan"], env={"RUNS_URI": "/dev/null/runs"})
    assert lost.exit_code == 0
    assert "the plan is not compared with that of the night before: " in lost.stdout


@pytest.mark.slow
@pytest.mark.parametrize("how", ["not a file", "not a summary", "another's"])
async def test_an_unreadable_past_night_does_not_change_the_run(world: World, how: str) -> None:
    configure(world, ticker_list=["AAPL", "gc=f"])
    world.qa.latency = steady(0.3)  # past nights are read by then
    first = await run(world, 0, of(world, "first", "2026-11-23"))
    assert "lower-case letters" in first.events("config.noticed")[-1]["message"], "there is no night before"
    path = Path(world.runs_uri) / "first" / "summary.json"
    if how == "not a file":
        path.unlink()
        path.mkdir()
    elif how == "not a summary":
        path.write_bytes(b"\xff{")
    else:
        path.write_text(path.read_text().replace('"first"', '"other"'))
    fails(world, "AAPL")
    second = await run(world, 3, of(world, "second", "2026-11-24"))
    assert "since_last_night" not in second.finished
    assert not second.events("config.noticed")


async def test_what_is_probably_a_typo_is_a_notice_and_the_run_goes_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async with open_virtual_world(nursery, CONFIG, latency=steady(1.0)) as world:
        await run(world, 0, of(world, "first", "2026-11-21"))
        await world.configure("ticker_list.json", ["AAPL", "MSFT", "gc=f", "0700HK"])
        second = await run(world, 0, of(world, "second", "2026-11-22"))
        *_, small, bare = [line["message"] for line in second.events("config.noticed")]
        assert small.startswith('ticker_list.json: [2] ("gc=f" ≈ "GC=F"): has lower-case letters, ')
        assert bare.startswith('ticker_list.json: [3] ("0700HK"): has no dot between number and suffix; ')
        third = await run(world, 0, of(world, "third", "2026-11-23"))
        assert third.events("config.noticed") == [], "the night before had them"


async def test_a_night_that_took_much_longer_says_what_grew(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    async with open_virtual_world(nursery, CONFIG, latency=steady(5.0)) as world:
        for day in (21, 22, 23):
            ended = await run(world, 0, of(world, f"night-{day}", f"2026-11-{day}"))
            assert "It took" not in json.dumps(ended.finished)
        world.qa.script.append(Fault(when.nth(10, 11, 12), do.status(503)))
        world.qa.latency = steady(20.0)
        slow = await run(world, 0, of(world, "night-24", "2026-11-24"))
        first, *lines = slow.finished["since_last_night"]["text"][2:]
        assert re.fullmatch(r"It took 2\d\.\d s; the median of the 3 nights before is 10\.\d s\.", first)
        assert lines[0].startswith("QA engine: half of the answers took more than 10.")
        assert lines[1:] == [
            "QA engine: more waits for room (429, 503): 3, usually 0",
            "QA engine: more retries: 3, usually 0",
        ]
        shown = Parsed(world.recorded()["night-24/report.html"].decode()).text
        assert all(line in shown for line in (first, *lines))
        stored = [json.loads(world.recorded()[f"night-{day}/summary.json"])["engines"]["qa"] for day in (23, 24)]
        assert [totals["waits"] for totals in stored] == [0, 3]


async def test_the_page_of_the_nights_is_there_and_the_command_shows_the_same(world: World) -> None:
    await run(world, 0, of(world, "first", "2026-11-23"))
    fails(world, "AAPL")
    await run(world, 3, of(world, "second", "2026-11-24"))
    page = (Path(world.runs_uri) / "index.html").read_text()
    assert page.index('href="second/report.html"') < page.index('href="first/report.html"')
    assert "<h1>1 of 3 cards is missing</h1>" in page
    assert f"<code>RUNS_URI={world.runs_uri} python -m job resume second</code>" in page
    second = (Path(world.runs_uri) / "second" / "report.html").read_text()
    assert '<nav><a href="../index.html">' in second
    assert '<a href="../first/report.html">The night before: 2026-11-23</a>' in second
    ended = await world.run_job(["nights"], env={"RUNS_URI": world.runs_uri})
    assert ended.exit_code == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert re.match(r"2026-11-24 (\d\d-\d\d )?\d\d:\d\d +cards missing +✓ +✓ +✓ +✗ ", lines[1])
    assert "2/3" in lines[1]
    assert lines[1].endswith(" second")
    assert lines[3:] == [
        "2 runs, from 2026-11-23 to 2026-11-24; 1 of them did all its work (all times UTC)",
        "1 item failed on one night only: the page of its run names it.",
    ]


@pytest.mark.slow
async def test_a_run_whose_config_is_faulty_is_among_the_nights(world: World) -> None:
    await run(world, 0, of(world, "first", "2026-11-23"))
    configure(world, ticker_list="corrupt")
    outcome = await world.run_job(env=of(world, "second", "2026-11-24"))
    assert outcome.exit_code == 2
    page = (Path(world.runs_uri) / "index.html").read_text()
    assert 'href="second/report.html"' in page
    assert "<h1>The configuration has 1 fault: nothing was called</h1>" in page
    configure(world, ticker_list=["AAPL"])
    third = await run(world, 0, of(world, "third", "2026-11-25"))
    assert third.finished["since_last_night"]["run_id"] == "first"


@pytest.mark.slow
async def test_a_page_of_the_nights_that_cannot_be_written_does_not_change_the_run(world: World) -> None:
    (Path(world.runs_uri) / "index.html").mkdir(parents=True)
    outcome = await run(world, 0, of(world, "first", "2026-11-23"))
    (said,) = outcome.events("config.noticed")
    assert said["message"].startswith("the page of the nights is not written: ")
    assert not (Path(world.runs_uri) / "_lease.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("run_id", ["index.html", "INDEX.html"])
async def test_a_run_id_may_not_be_the_name_of_the_page_of_the_nights(world: World, run_id: str) -> None:
    outcome = await world.run_job(env=of(world, run_id, "2026-11-23"))
    assert outcome.exit_code == 2
    assert "index.html is the page of the nights" in outcome.stdout


@pytest.mark.slow
async def test_the_page_of_the_nights_is_written_to_any_given_path(world: World) -> None:
    await run(world, 0, of(world, "first", "2026-11-23"))
    file = world.directory / "page.html"
    env = {"RUNS_URI": world.runs_uri}
    ended = await world.run_job(["nights", "--count", "1", "--page", str(file)], env=env)
    assert ended.exit_code == 0, ended.stderr
    assert (Path(world.runs_uri) / "first" / "report.html").absolute().as_uri() in file.read_text()
    assert (await world.run_job(["nights", "--count", "0"], env=env)).exit_code == 2
    assert (await world.run_job(["nights"], env={"RUNS_URI": None})).exit_code == 2
    (Path(world.runs_uri) / "first" / "summary.json").write_text("corrupt")
    ended = await world.run_job(["nights"], env=env)
    assert ended.exit_code == 2
    assert " succeeded " in ended.stdout, "from the rest of the record"
    assert "first/summary.json is not what a run writes" in ended.stderr


def _of_past_nights(seen: Seen) -> bool:
    """Whether a request to storage is about other nights: their list, the first one's summary, the page of them all."""
    return dict(seen.query).get("prefix", "").endswith("_started/") or seen.path.endswith(
        ("first/summary.json", "index.html")
    )


@pytest.mark.slow
@pytest.mark.needs("emulator")
@pytest.mark.parametrize("how", ["answers 403", "answers 503", "hangs", "is slow"])
@pytest.mark.parametrize("fails_too", [False, True])
async def test_a_bucket_that_fails_for_past_nights_changes_neither_outcome_nor_lease(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, how: str, fails_too: bool
) -> None:
    async with open_world(nursery, CONFIG, latency=QUICK, emulator=EMULATOR) as world:
        assert world.storage
        await run(world, 0, of(world, "first", "2026-11-23"))
        acts = {
            "answers 403": do.status(403),
            "answers 503": do.status(503),
            "hangs": do.hang(),
            "is slow": do.slow(2.0),
        }
        world.storage.script.append(Fault(_of_past_nights, acts[how]))
        if fails_too:
            fails(world, "AAPL")
        began = trio.current_time()
        second = await run(world, 3 if fails_too else 0, of(world, "second", "2026-11-24"))
        took = trio.current_time() - began
        world.storage.script.clear()
        assert second.finished["outcome"] == ("cards_missing" if fails_too else "succeeded")
        assert "since_last_night" not in second.finished
        assert took < Budget.AFTERWARDS + 15
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", world.storage.url)
        store = open_store(world.runs_uri)
        names = await in_thread(lambda: store.names(""))
        assert "_lease.json" not in names
        assert {"second/report.json", "second/summary.json", "second/report.html"} <= set(names)
        said = [line["message"] for line in second.events("config.noticed")]
        assert any(text.startswith("the page of the nights is not written: ") for text in said)
