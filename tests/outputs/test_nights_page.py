"""The page of the nights opens with what has become of the latest, and has a row for each, as text and as links."""

import re
from base64 import b64encode
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from job.config.days import Days
from job.config.environment import read_settings
from job.day.attempt import CARDS, NIGHTS_PAGE, PAGE, REPORT, Outcome
from job.day.ending import Ending
from job.day.report import MissingGroup, Report
from job.day.result import Counts
from job.day.view import View
from job.outputs.pages import NIGHTS_SHOWN, Links, cause_of, charts_of, documents, render_nights
from job.records.nights import Night, Nights, PastNights
from job.records.record import Document
from job.text.messages import ENGLISH, Message, Translator, dated, message
from tests.outputs.test_day_page import HOSTILE, KNOWN_TAGS, links_of
from tests.outputs.test_day_page import page as day_page
from tests.support.days import DAY, REFUSED, SCENES, Day, failing, some_nights
from tests.support.parsed import Parsed

NIGHTS = some_nights()
COMMAND = "gcloud run jobs execute cards --region=asia-east1 --project=our-project"
CHARGED = "5 tries may have been charged"
UNTIL = f"(5 cards; {CHARGED}; until 11-29 01:50)"
MAINTAINER = "(by today's config; may want --yes; for a maintainer)"
PLACE = "cards · our-project"
PUT_RIGHT = f"Once the cause is put right, this makes only what is missing {UNTIL}: {COMMAND}"
CAUSE = "What failed, and what to do → NVDA (5)"
UNDONE = "Not done: Fri 11-27 (Unreadable), Thu 11-26 (Killed), Wed 11-25 (Config faulty)"
GO_ON = f"This makes only what is missing {MAINTAINER}: {COMMAND} --args=run,--date=2026-11-26,--without=NVDA"
NOW = datetime.fromisoformat("2026-11-28T09:00:00+08:00")
DAYS = Day().start_of().days


def page(
    nights: Nights = NIGHTS,
    uri: str = "/srv/runs",
    translator: Translator = ENGLISH,
    *,
    days: Days = DAYS,
    deadline: float | None = None,
    written: datetime = NOW,
    at: datetime | None = NOW,
) -> Parsed:
    return Parsed(render_nights(nights, Links(uri), days, deadline, written, translator).decode(), at)


def rows(shown: Parsed) -> list[str]:
    found = re.findall(r'<tr><th scope="row">(.*?)</tr>', shown.source, re.DOTALL)
    return [Parsed(f"<tr><th>{row}</tr>").text for row in found]


def night(report: Report) -> Night:
    return Night(report.day, report.outcome, report)


def test_every_night_has_a_row_and_those_with_a_page_are_linked() -> None:
    shown = page()
    assert rows(shown)[:10] == [
        "Sat 2026-11-28 Not all made ✓ ✓ ✓ ✗ 53/58",
        "Fri 2026-11-27 Unreadable · · · ·",
        "Thu 2026-11-26 Killed · · · ·",
        "Wed 2026-11-25 Config faulty · · · ·",
        "Tue 2026-11-24 11-25 02:06 ✓ ✓ ✓ ✓ 58/58",
        "Mon 2026-11-23 02:05 ✓ ✓ ✓ ✓ 58/58",
        "Sun 2026-11-22 02:05 ✓ ✓ ✓ ✓ 58/58",
        "Sat 2026-11-21 Data engine failed – – ✗ – 0/58",
        "Fri 2026-11-20 02:05 ✓ ✓ ✓ ✓ 58/58",
        "Thu 2026-11-19 Not all made ✓ ✓ ✓ ✗ 53/58",
    ]
    assert len(rows(shown)) == len(NIGHTS.nights)
    assert shown.source.count("<tr><th scope") == NIGHTS_SHOWN + shown.source.partition("<details>")[2].count(
        "<tr><th scope"
    )
    linked = [f"{one.day}/report.html" for one in NIGHTS.nights if one.report]
    above = ["2026-11-28/report.html"] * 2 + ["2026-11-25/report.html"]
    assert links_of(shown) == [*above, *linked]
    bucket = links_of(page(uri="gs://b/runs"))
    assert bucket == [f"https://storage.cloud.google.com/b/runs/{link}" for link in links_of(shown)]


@pytest.mark.parametrize(
    ("skipped", "facts", "steps"),
    [
        (0, "As of 02:05 UTC+08:00 · took 5 min 44 s · Next night: Sun 11-29 02:00", f"{CAUSE} {PUT_RIGHT}"),
        (1, "Next night: Sat 11-28 02:00", "2026-11-27/ends/000001.json is missing"),
        (2, "Next night: Fri 11-27 02:00", GO_ON),
        (4, "Done at 2026-11-25 02:06 UTC+08:00 · 2 attempts · Next night: Wed 11-25 02:00", ""),
    ],
)
def test_the_headline_is_that_of_the_latest_night(skipped: int, facts: str, steps: str) -> None:
    """What it calls the next night is the one after the night that it shows, so a page that is old tells that."""
    nights = NIGHTS.nights[skipped:]
    said = " ".join(f"{ENGLISH.text(dated(nights[0].day))} · {PLACE} · {facts} {steps}".split())
    shown = page(Nights(nights), at=DAYS.after(nights[0].day) - timedelta(minutes=11))
    assert f"{said} Not done: " in shown.text
    assert [tag for tag, _ in shown.tags].count("h1") == 1


TICK = DAYS.after("2026-11-28")
BEFORE, DUE, DUE_LATER = TICK - timedelta(minutes=11), TICK + timedelta(hours=1), TICK + timedelta(hours=3)
PASSED = "If it is later than Sun 11-29 02:00 UTC+08:00, nothing is recorded of that night."
SOON = "No record yet for Sun 11-29 02:00"
WARNING = "No record since Sun 11-29 02:00"
ASIDE = " ".join(
    (
        f"{WARNING} {PLACE} Open this page again. If it still says so, the night is at work, was killed, could",
        "not write its record (do what its message says), or never began (is the schedule paused?).",
        "This makes what is missing of the latest night:",
        f"{COMMAND} All executions of the job 5 of 58 cards are missing",
    )
)


@pytest.mark.parametrize(
    ("at", "deadline", "state"),
    [
        (BEFORE, None, "fresh"),
        (TICK, None, "passed"),
        (DUE - timedelta(seconds=1), None, "passed"),
        (DUE, None, "late"),
        (DUE, 10_800.0, "passed"),
        (DUE_LATER, 10_800.0, "late"),
        (TICK + timedelta(days=7), None, "late"),
    ],
)
def test_the_page_is_true_at_the_hour_at_which_it_is_read(at: datetime, deadline: float | None, state: str) -> None:
    shown = page(at=at, deadline=deadline)
    assert ("Next night: " in shown.text) is (state == "fresh")
    assert (PUT_RIGHT in shown.text) is (state == "fresh"), "it is for that night until shortly before the next"
    assert (f"{COMMAND} --args=run,--date=2026-11-28" in shown.text) is (state != "fresh")
    assert PASSED not in shown.text
    assert (WARNING in shown.text) is (state == "late")
    first = {"fresh": "✗ 5 of 58 cards are missing", "passed": f"… {SOON} · {PLACE} {SOON} ", "late": f"! {WARNING}"}
    assert shown.text.startswith(first[state])
    assert "✗ 5 of 58 cards are missing" in shown.source


def test_the_warning_has_the_one_command_and_where_to_look() -> None:
    shown = page(uri="gs://b/runs", written=DUE, at=None)
    assert shown.source.count(f"<title>! {WARNING} · {PLACE}</title>") == 1
    assert ASIDE in shown.text, "also where scripts are blocked, if it was written so late"
    executions = "https://console.cloud.google.com/run/jobs/details/asia-east1/cards/executions?project=our-project"
    assert links_of(shown)[:2] == ["https://storage.cloud.google.com/b/runs/index.html", executions]


def test_from_the_tick_on_the_first_line_is_about_tonight_without_a_command() -> None:
    shown = page(uri="gs://b/runs", at=TICK)
    said = f"{SOON} {PLACE} Open this page again. All executions of the job 5 of 58 cards are missing"
    assert said in shown.text, "and below it the old verdict"
    assert shown.source.count('<section class="headline panel calm">') == 1


def test_where_scripts_are_blocked_it_says_what_may_have_passed() -> None:
    shown = page(at=None)
    dated = (
        PUT_RIGHT.replace(UNTIL, f"(by today's config; may want --yes; {CHARGED}; for a maintainer)")
        + " --args=run,--date=2026-11-28"
    )
    assert f"Next night: Sun 11-29 02:00 {CAUSE} {dated} {PUT_RIGHT} {PASSED} {UNDONE} All nights" in shown.text
    assert WARNING not in shown.text


@pytest.mark.parametrize(("written", "is_passed"), [(TICK, True), (DUE - timedelta(seconds=1), True), (DUE, False)])
def test_where_scripts_are_blocked_it_is_true_at_the_hour_at_which_it_was_written(
    written: datetime, is_passed: bool
) -> None:
    shown = page(written=written, at=None)
    assert "Next night: " not in shown.text
    assert PUT_RIGHT not in shown.text
    assert "5 of 58 cards are missing" in shown.text, "the old verdict is the one that is shown"
    assert PASSED not in shown.text
    assert shown.text.startswith(f"… {SOON}" if is_passed else f"! {WARNING}")


def test_the_one_script_is_allowed_by_its_hash_and_nothing_else_is() -> None:
    days = (day_page(SCENES[scene]()) for scene in ("cards missing", "all made"))
    for shown, count in zip((page(), *days, page(Nights())), (1, 1, 0, 0), strict=True):
        scripts = re.findall("<script>(.*?)</script>", shown.source, re.DOTALL)
        allowed = [f"; script-src 'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts]
        policy = "".join(("default-src 'none'; style-src 'unsafe-inline'; img-src data:", *allowed))
        assert [found["content"] for tag, found in shown.tags if tag == "meta" and "http-equiv" in found] == [policy]
        assert shown.source.count("<script") == len(scripts) == count


def test_without_a_schedule_nothing_is_due() -> None:
    shown = page(days=Days(DAYS.zone), at=DUE_LATER, written=DUE_LATER)
    assert "5 of 58 cards are missing" in shown.text
    for words in ("Next night", "Nothing here", "has passed"):
        assert words not in shown.source


@pytest.mark.parametrize(
    ("scene", "cause"),
    [
        ("cards missing", "What failed, and what to do → NVDA (5), TSLA/news_card"),
        ("QA down", "What failed, and what to do →"),
        ("bad config", "What is wrong, and what to do → card_targets.json: [3]"),
        ("all made", None),
    ],
)
def test_the_headline_links_to_what_failed_and_names_the_first(scene: str, cause: str | None) -> None:
    report = SCENES[scene]().report
    shown = page(Nights([night(report)]), at=DAYS.after(report.day) - timedelta(minutes=1))
    if cause is None:
        assert "→" not in shown.text
    else:
        assert f" {cause} " in shown.text
        assert links_of(shown).count(f"{report.day}/report.html") == 3


def test_of_an_engine_that_is_down_no_name_is_at_fault_though_it_has_made_some_cards() -> None:
    report = SCENES["cards missing"]().report.model_copy(update={"outcome": Outcome.QA_ENGINE_DOWN})
    assert cause_of(report) == (message("What failed, and what to do"), "")


def test_a_laptop_is_told_where_the_record_is() -> None:
    report = SCENES["cards missing"]().report.model_copy(update={"job": None, "region": None, "project": None})
    killed = Night(report.day, Outcome.KILLED, attempt=report)
    command = "RUNS_URI=/srv/runs CONFIG_URI=gs://cards/config python -m job run --date=2026-11-24"
    for latest in (night(report), killed):
        assert command in page(Nights([latest])).text
    assert "<code>" not in page(Nights([Night(report.day, Outcome.KILLED)])).source, "nothing is known of it"


def test_of_a_night_of_the_cloud_job_its_command_and_links_stay_if_a_laptop_has_gone_on_with_it() -> None:
    """As its next night, whoever was the last to start anything."""
    of_job = SCENES["cards missing"]().report
    laptop = of_job.model_copy(update={"job": None, "region": None, "project": None, "number": 2})
    earlier = night(of_job.model_copy(update={"day": "2026-11-23"}))
    for at in (DAYS.after(DAY) - timedelta(minutes=20), DAYS.after(DAY) + timedelta(days=1)):
        shown = page(Nights([night(laptop), earlier]), written=at, at=at)
        assert PLACE in shown.text
        assert COMMAND in shown.text
        assert "python -m job" not in shown.text
    other = laptop.model_copy(update={"config_uri": "/my/config"})
    at = DAYS.after(DAY) - timedelta(minutes=20)
    assert "python -m job run" in page(Nights([night(other), earlier]), written=at, at=at).text


def test_a_night_that_was_killed_has_its_marks_and_no_link_as_it_may_have_no_page() -> None:
    day = Day().play(failing(REFUSED, "qa", "NVDA"), until=180)
    report = day.view(Ending.worded(Outcome.KILLED, day.ledger)).report
    shown = page(Nights([night(report)]))
    assert rows(shown) == ["Tue 2026-11-24 Killed ✓ ✓ ✓ ✗ 4/58"]
    assert [link for link in links_of(shown) if not link.startswith("https:")] == ["index.html"]


def test_a_night_with_an_error_besides_is_a_warning_with_a_mark_of_its_own() -> None:
    then = datetime.fromisoformat("2026-11-24T09:00:00+08:00")
    shown = page(Nights([night(SCENES["made with errors"]().report)]), written=then, at=then)
    sentence = "All 58 cards are made, but an engine reported errors"
    assert '<section class="headline panel warn">' in shown.source
    assert f"! {sentence} ·" in shown.text
    assert rows(shown)[0] == "Tue 2026-11-24 02:05 ✓ ✓ ✓ ! 58/58"
    assert '<td class="warn-text">02:05</td>' in shown.source
    assert "! done, with an error" in shown.text
    assert "! done, with an error" not in page().text


def test_the_charts_have_a_bar_for_each_night_the_oldest_on_the_left() -> None:
    cards, data = charts_of(NIGHTS.nights[:8])
    assert [str(chart.title) for chart in (cards, data)] == ["Cards", "Data phase"]
    assert str(cards.note) == "58 at most"
    assert [(round(bar.left), round(bar.good), round(bar.bad)) for bar in cards.bars] == [
        (0, 0, 100), (125, 100, 0), (250, 100, 0), (375, 100, 0), (875, 91, 9),
    ]  # fmt: skip
    assert (cards.dates, cards.extent) == (["11-21", "11-28"], 975)
    assert [round(bar.left) for bar in data.bars] == [125, 250, 375, 875], "data was missing on 11-21"
    assert max(bar.good for bar in data.bars) == 100
    assert str(data.note) == "median 2 min 20 s"


def test_a_single_missing_card_of_thousands_is_visible() -> None:
    totals = Counts(planned=10_000, done=9_999, failed=1)
    report = SCENES["all made"]().report.model_copy(update={"engines": {"qa": totals}})
    bar = charts_of([night(report)])[0].bars[0]
    assert (bar.good, bar.bad) == (96, 4)


def test_without_a_night_it_says_so() -> None:
    shown = page(Nights())
    assert shown.text == "All nights All nights no night is recorded"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_from_a_record_is_shown_as_text(hostile: str) -> None:
    """Also what the reader of a record refuses: a page does not depend on that."""
    group = MissingGroup.model_construct(
        engine="qa", card_type=hostile, state="failed", cause=None, since="2026-11-01", targets=(hostile,)
    )
    outside = {"sentence": Message(hostile), "notes": (Message(hostile),), "missing": (group,), "project": hostile}
    reports = [one.model_copy(update=outside) for one in NIGHTS.reports]
    shown = page(
        Nights([*(night(one) for one in reports), Night("2026-11-01", Outcome.UNREADABLE, problem=Message(hostile))])
    )
    broken = page(Nights([replace(NIGHTS.nights[1], problem=Message(hostile))]))
    for one in (shown, broken):
        assert {tag for tag, _ in one.tags} - {"script"} <= KNOWN_TAGS
        assert [tag for tag, _ in one.tags].count("script") == one.source.count("<script") == 1, "its own"
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", one.source)


# --- what is written beside the report of a day ---


def written(view: View, nights: Nights) -> dict[str, Document]:
    made = documents(view, PastNights(lambda _: None, nights), read_settings({"RUNS_URI": "/runs"})[0])
    return {document.name.removeprefix(f"{DAY}/"): document for document in made}


@pytest.mark.parametrize(("planned", "has_table"), [(0, False), (1, True)])
def test_a_day_has_a_table_if_it_has_cards_and_the_page_links_it(planned: int, has_table: bool) -> None:
    view = SCENES["all made"]()
    cards = replace(view.report.cards, planned=planned)
    made = written(replace(view, report=view.report.model_copy(update={"engines": {"qa": cards}})), Nights())
    assert list(made) == [REPORT, PAGE, *([CARDS] if has_table else []), NIGHTS_PAGE]
    assert (b'href="cards.csv"' in (made[PAGE].make() or b"")) is has_table


def test_a_day_has_no_address_of_a_page_that_could_not_be_written() -> None:
    view = SCENES["all made"]()
    lost = view.report.model_copy(update={"not_written": (f"{DAY}/{PAGE}",)})
    assert replace(view, report=lost).with_page("/runs").page is None


def test_a_page_of_the_nights_with_one_at_work_is_left_to_that_start() -> None:
    made = written(SCENES["all made"](), Nights([Night("2026-11-23", Outcome.AT_WORK)]))
    assert made[NIGHTS_PAGE].make() is None
    assert made[PAGE].make() is not None
