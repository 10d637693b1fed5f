"""While a start is at work, both pages say so: since when, how far it is, and when it has ended at the latest."""

from signal import SIGKILL, SIGTERM

import pytest
import trio

from job.day.report import NIGHTS_PAGE
from job.orchestrator import PAGES_SECONDS
from tests.simulators.engines import steady
from tests.support.parsed import Parsed
from tests.support.scene import DAY, Scene

PAGE = f"{DAY}/report.html"
DEADLINE = {"RUN_DEADLINE_SECONDS": "10740"}
WITHIN = 1.0
"""Seconds after which a page is written, at the latest."""


def page(scene: Scene, name: str = PAGE) -> str:
    return Parsed(scene.world.recorded()[name].decode()).text


async def written(scene: Scene, seconds: float = WITHIN) -> tuple[str, str]:
    """Both pages, so many seconds from now."""
    await trio.sleep(seconds)
    return page(scene), page(scene, NIGHTS_PAGE)


async def test_both_pages_are_written_at_the_beginning_at_the_barrier_and_every_five_minutes(scene: Scene) -> None:
    scene.world.news.latency, scene.world.qa.latency = steady(200.0), steady(250.0)
    job = await scene.begin(**DEADLINE, NEWS_ENGINE_TIMEOUT="300", QA_ENGINE_TIMEOUT="300")
    await job.seen("run.started")
    for shown in await written(scene):
        assert "at work since 22:30 UTC" in shown
        assert "0 of 5 cards made; 5 missing" in shown
        assert "As of 22:30 UTC" in shown
        assert "This start ends by 2026-11-25 01:30 UTC at the latest." in shown
        assert not [word for word in ("gcloud", "python -m job", "cards.csv") if word in shown]
    await job.seen("barrier.crossed")
    for minute, done in ((33, 0), (38, 2), (43, 4)):
        for shown in await written(scene):
            assert f"{done} of 5 cards made; {5 - done} missing" in shown
            assert f"As of 22:{minute} UTC" in shown
        await trio.sleep(PAGES_SECONDS - WITHIN)
    await scene.end(job, 0)
    assert "5 of 5 cards made." in page(scene)
    assert "cards.csv" in page(scene)


async def test_a_killed_start_leaves_pages_that_say_as_of_when_they_are(scene: Scene) -> None:
    job = await scene.begin(**DEADLINE)
    await scene.cards_in_flight(3)
    job.send_signal(SIGKILL)
    await trio.sleep(600)
    for name in (PAGE, NIGHTS_PAGE):
        assert "As of 22:30 UTC" in page(scene, name)
        assert "at the latest" in page(scene, name)


async def test_pages_that_cannot_be_written_hold_up_nothing_and_are_told_once(scene: Scene) -> None:
    scene.fails(part=".html")
    job = await scene.begin(QA_ENGINE_TIMEOUT="300")
    await job.seen("run.started")
    scene.world.qa.latency = steady(200.0)
    await trio.sleep(350.0)
    assert len([line for line in job.lines if line["event"] == "storage.failed"]) == 1
    scene.works()
    outcome = await scene.end(job, 0)
    assert [line["message"] for line in outcome.events("storage.recovered")] == ["storage works again"]


async def test_a_page_whose_writing_hangs_holds_up_neither_the_calls_nor_the_barrier_nor_the_end(scene: Scene) -> None:
    job = await scene.begin()
    await scene.reached("read", PAGE, lambda: setattr(scene.world, "storage_seconds", 1e6))
    scene.world.storage_seconds = 0.02
    assert "Done: 5 of 5 cards made" in (await scene.end(job, 0)).finished["message"]
    assert trio.current_time() < 10
    assert "5 of 5 cards made." in page(scene)


async def test_a_bug_in_a_page_is_seen_and_ends_no_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("job.orchestrator.report_at_work", lambda *_: 1 / 0)
    await scene.start(0)
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()


async def test_a_signal_leaves_no_page_that_says_at_work(scene: Scene) -> None:
    job = await scene.begin()
    await scene.cards_in_flight()
    job.send_signal(SIGTERM)
    await scene.end(job, 143)
    for name in (PAGE, NIGHTS_PAGE):
        assert "interrupted by SIGTERM" in page(scene, name)


async def test_a_start_that_waits_tells_it_in_the_log_and_leaves_the_pages_to_the_one_at_work(scene: Scene) -> None:
    scene.world.qa.latency = steady(400.0)
    first = await scene.begin(**DEADLINE, QA_ENGINE_TIMEOUT="500")
    await trio.sleep(60)
    before = {name: page(scene, name) for name in (PAGE, NIGHTS_PAGE)}
    second = await scene.begin(**DEADLINE)
    said = await second.seen("run.waiting")
    assert said["message"].endswith(
        "no sign of life for 60 s: the start for 2026-11-24, at work since 22:30 UTC; it waits until 2026-11-25 01:31 "
        "UTC at the latest"
    )
    await trio.sleep(100)
    assert {name: page(scene, name) for name in before} == before
    second.send_signal(SIGTERM)
    await scene.end(second, 143)
    assert {name: page(scene, name) for name in before} == before
    await scene.end(first, 0)


async def test_a_start_that_finds_nothing_to_do_says_so_on_both_pages(scene: Scene) -> None:
    await scene.start(0)
    await scene.until(DAY, "23:10:00")
    await scene.start(0)
    assert "5 of 5 cards made; nothing was called." in page(scene)
    assert "As of 23:10 UTC" in page(scene)
    assert "cards.csv" in page(scene)
