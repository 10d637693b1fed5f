"""The page of the nights opens with what has become of the latest, and has a row for each, as text and as links."""

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from job.config.days import Days
from job.config.environment import read_settings
from job.day.attempt import Outcome
from job.day.ending import Ending
from job.day.history import Night, Nights
from job.day.report import CARDS, NIGHTS_PAGE, PAGE, REPORT, Change, Report, ValueChange
from job.outputs.pages import documents, render_nights
from job.records.past_nights import PastNights
from job.records.record import Documents
from job.telling.view import View
from job.text.messages import ENGLISH, Message, Translator
from tests.outputs.test_day_page import HOSTILE, KNOWN_TAGS, links_of
from tests.outputs.test_day_page import page as day_page
from tests.support.days import DAY, SCENES, Day, some_nights
from tests.support.parsed import Parsed
from tests.support.records import begun

NIGHTS = some_nights()
NOW = datetime.fromisoformat("2026-11-28T09:00:00+08:00")
DAYS = Day().start_of().days


def page(
    nights: Nights = NIGHTS,
    uri: str = "/srv/runs",
    translator: Translator = ENGLISH,
    *,
    days: Days = DAYS,
    written: datetime = NOW,
) -> Parsed:
    return Parsed(render_nights(nights, uri, days, written, translator).decode())


def rows(shown: Parsed) -> list[str]:
    found = re.findall(r'<tr><th scope="row">(.*?)</tr>', shown.source, re.DOTALL)
    return [Parsed(f"<tr><th>{row}</tr>").text for row in found]


def night(report: Report) -> Night:
    return Night(report.day, report.outcome, report)


def test_every_night_has_a_row_and_those_with_a_page_are_linked() -> None:
    shown = page()
    assert rows(shown)[:10] == [
        "Sat 2026-11-28 5 of 58 cards are missing ✓ ✓ ✓ ✗ 53/58",
        "Fri 2026-11-27 Unreadable · · · ·",
        "Thu 2026-11-26 The record breaks off · · · ·",
        "Wed 2026-11-25 The configuration has 2 faults · · · ·",
        "Tue 2026-11-24 11-25 02:06 ✓ ✓ ✓ ✓ 58/58",
        "Mon 2026-11-23 02:05 ✓ ✓ ✓ ✓ 58/58",
        "Sun 2026-11-22 02:05 ✓ ✓ ✓ ✓ 58/58",
        "Sat 2026-11-21 The news engine failed – – ✗ – 0/58",
        "Fri 2026-11-20 02:05 ✓ ✓ ✓ ✓ 58/58",
        "Thu 2026-11-19 5 of 58 cards are missing ✓ ✓ ✓ ✗ 53/58",
    ]
    assert len(rows(shown)) == len(NIGHTS.nights)
    linked = [f"{one.day}/report.html" for one in NIGHTS.nights if one.report]
    above = ["2026-11-28/report.html"]
    assert links_of(shown) == [*above, *linked]
    assert [tag for tag, _ in shown.tags].count("h1") == 1
    bucket = links_of(page(uri="gs://b/runs"))
    assert bucket == [f"https://storage.cloud.google.com/b/runs/{link}" for link in links_of(shown)]


def test_of_a_night_that_cannot_be_read_it_is_said_why() -> None:
    said = "As of 2026-11-28 01:59 UTC+08:00 Next night: Sat 11-28 02:00. If it is later than that, this page does not"
    shown = page(Nights(NIGHTS.nights[1:]), written=TICK - timedelta(days=1, minutes=1))
    assert f"{said} know how it went. 2026-11-27/ends/000001.json is missing Not recorded as done: " in shown.text


@pytest.mark.parametrize(("latest", "has_command"), [(0, False), (2, True)])
def test_a_command_stands_on_the_page_of_its_day_and_only_of_a_night_without_a_page_here(
    latest: int, has_command: bool
) -> None:
    shown = page(Nights(NIGHTS.nights[latest:]), written=TICK - timedelta(minutes=30))
    assert any("gcloud run jobs execute" in line for line in shown.lines) is has_command
    not_to_paste = "If a message of 2026-11-26 said that all cards are made, do not paste this:"
    assert (not_to_paste in shown.lines) is has_command, "the record of the killed night is not read for this page"
    assert ("What is wrong, and what to do" in shown.text) is not has_command


TICK = DAYS.after("2026-11-28")


def test_a_page_may_run_no_script() -> None:
    days = (day_page(SCENES[scene]()) for scene in ("cards missing", "all made"))
    policy = "default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; img-src data:"
    for shown in (page(), *days):
        assert [found["content"] for tag, found in shown.tags if tag == "meta" and "http-equiv" in found] == [policy]
        assert "script" not in {tag for tag, _ in shown.tags}
        assert not [name for _, found in shown.tags for name in found if name.startswith("on")]


def test_without_a_schedule_nothing_is_due() -> None:
    shown = page(days=Days(DAYS.zone), written=TICK + timedelta(hours=3))
    assert "5 of 58 cards are missing" in shown.text
    for words in ("Next night", "is recorded"):
        assert words not in shown.source


def test_a_night_with_an_error_besides_is_a_warning_with_a_mark_of_its_own() -> None:
    then = datetime.fromisoformat("2026-11-24T09:00:00+08:00")
    shown = page(Nights([night(SCENES["made with errors"]().report)]), written=then)
    sentence = "all 58 cards are made, but an engine reported errors"
    assert '<section class="headline panel warn">' in shown.source
    assert f"! Tue 2026-11-24: {sentence} ·" in shown.text
    assert rows(shown)[0] == "Tue 2026-11-24 02:05 ✓ ✓ ✓ ! 58/58"
    assert '<td class="warn-text">02:05</td>' in shown.source
    assert "! done, with an error" in shown.text
    assert "! done, with an error" not in page().text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_from_a_record_is_shown_as_text(hostile: str) -> None:
    """Also what the reader of a record refuses: a page does not depend on that."""
    moved = Change("moved", hostile, 1, (ValueChange(hostile, hostile),))
    outside = {"changes": (moved,), "ending": Ending(Outcome.BUSY, why=Message(hostile))}
    reports = [begun(one, project=hostile).model_copy(update=outside) for one in NIGHTS.reports]
    shown = page(
        Nights([*(night(one) for one in reports), Night("2026-11-01", Outcome.UNREADABLE, problem=Message(hostile))])
    )
    broken = page(Nights([replace(NIGHTS.nights[1], problem=Message(hostile))]))
    for one in (shown, broken):
        assert {tag for tag, _ in one.tags} <= KNOWN_TAGS
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", one.source)


# --- what is written beside the report of a day ---


def written(view: View, nights: Nights) -> Documents:
    made = documents(view, PastNights(lambda _: None, nights), read_settings({"RUNS_URI": "/runs"})[0])
    return {name.removeprefix(f"{DAY}/"): make for name, make in made.items()}


@pytest.mark.parametrize(("planned", "has_table"), [(0, False), (1, True)])
def test_a_day_has_a_table_if_it_has_cards_and_the_page_links_it(planned: int, has_table: bool) -> None:
    view = SCENES["all made"]()
    cards = replace(view.report.cards, planned=planned)
    made = written(replace(view, report=view.report.model_copy(update={"engines": {"qa": cards}})), Nights())
    assert list(made) == [REPORT, PAGE, *([CARDS] if has_table else []), NIGHTS_PAGE]
    assert (b'href="cards.csv"' in made[PAGE]()) is has_table


def test_a_day_has_no_address_of_a_page_that_could_not_be_written() -> None:
    view = SCENES["all made"]()
    lost = view.report.model_copy(update={"not_written": (f"{DAY}/{PAGE}",)})
    assert replace(view, report=lost).with_page("/runs").page is None
