"""What a person reads in the morning is what it was when somebody last read it, and each command does what it says."""

import re
from datetime import date, timedelta

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CARDS, CONFIG, TEXTS_KEPT, TOPIC, Night, commands, file_of, play, text_of
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.scene import open_scene

ADVISED = ["cards-missing", "data-failed", "refused"]
"""The stories after which a command is advised for the latest day recorded."""
MOMENTS = ["at once", "the next morning", "a day later"]
READ = [(name, language) for name, language in TEXTS_KEPT if language != "en" or name not in ADVISED]
"""Every text but those that are read before a command is given."""


def assert_it_reads_as_it_was_read(night: Night, name: str, language: str) -> None:
    kept = file_of(name, language).read_text(encoding="utf-8")
    assert text_of(night) == kept, "this writes it anew: python -m tests.runs.mornings"


@pytest.mark.parametrize(("name", "language"), READ)
async def test_a_morning_reads_as_it_was_read(
    autojump_clock: MockClock, nursery: trio.Nursery, name: str, language: str
) -> None:
    async with play(name, language, nursery) as night:
        assert_it_reads_as_it_was_read(night, name, language)


async def test_a_good_night_has_no_note(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """With a weekend, and engines that an entry switches off for good."""
    async with open_scene(nursery, CONFIG) as scene:
        quiet = {"id": "600519.SS", "run_engines": {"news": False}}
        await scene.world.configure("card_targets.json", [TOPIC, quiet])
        night = Night(scene, "en")
        for day in ("2026-11-26", "2026-11-27", "2026-11-30"):
            await night.begins(day)
            outcome = await night.start(0)
            assert "notes" not in outcome.finished
            assert scene.stored(f"{day}/report.json")["notes"] == []
            assert len(scene.world.chat.texts[-1].splitlines()) == 4, "title, cards, page, time"
        shown = Parsed(scene.world.recorded()["index.html"].decode())
        next_night = "Next night: Tue 12-01 22:30. If it is later than that, this page does not know how it went."
        assert f"{next_night} All nights Day" in shown.text


async def test_what_the_config_has_left_behind_is_said_when_a_start_begins(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async with open_scene(nursery, {**CONFIG, "engine_control.json": {"run_news_engine": False}}) as scene:
        outcome = await Night(scene, "en").start(0)
        said = [line["message"] for line in outcome.events("config.noticed")]
        assert said == ["engine_control.json: the news engine is switched off. Cards without its data: 26"]


@pytest.mark.parametrize(("name", "moment"), [*zip(ADVISED, MOMENTS, strict=True)])
async def test_a_morning_reads_as_it_was_read_and_its_command_does_what_it_says(
    autojump_clock: MockClock, nursery: trio.Nursery, name: str, moment: str
) -> None:
    """Pasted while it holds, or later the one that holds then, it finishes the day that it was shown for."""

    async with play(name, "en", nursery) as night:
        assert_it_reads_as_it_was_read(night, name, "en")
        day, scene, is_late = night.day, night.scene, moment == "a day later"
        await mend(night)
        following = date.fromisoformat(day) + timedelta(days=1)
        if moment == "the next morning":
            await scene.until(following.isoformat(), "08:30:00")
        elif is_late:
            while following.weekday() >= 5:
                following += timedelta(days=1)
            await scene.until(following.isoformat(), "23:30:00")
        advised = [*commands(text_of(night))]
        fitting = [given for given in advised if any("--date" in word for word in given) is is_late]
        assert fitting, advised
        count, kept = len(scene.requests), {*scene.world.recorded()}
        outcome = await night.start(0, *fitting[0])
        assert outcome.finished["day"] == day
        assert len(scene.requests) > count, "nothing was left to do"
        new = {*scene.world.recorded()} - kept
        assert {place.partition("/")[0] for place in new if re.match(r"\d", place)} == {day}, (
            "only this day is worked on"
        )


async def test_the_command_for_odd_cards_makes_just_these_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async with open_scene(nursery, CONFIG) as scene:
        night = Night(scene, "en")
        await night.begins("2026-11-24")
        odd = when.both(when.ticker("NVDA", "TSLA"), when.card("news_card", "price_card"))
        scene.world.qa.script.append(Fault(odd, do.body({"status": "success", "error": "quota exceeded, no card"})))
        await night.start(0)
        (given,) = commands(text_of(night))
        await mend(night)
        count = len(scene.requests)
        outcome = await night.start(0, *given)
        assert [one.service for one in scene.requests[count:]] == ["qa"] * 4
        assert [note.partition(":")[0] for note in outcome.finished["notes"]] == ["Made again"]
        assert not [*commands(text_of(night))]


async def mend(night: Night) -> None:
    """Whatever was the cause is put right."""
    world = night.scene.world
    for service in world.engines.values():
        service.script.clear()
    world.trading.latency = world.news.latency
    await world.configure("ticker_list.json", CONFIG["ticker_list.json"])
    await world.configure("card_types.json", CARDS)
