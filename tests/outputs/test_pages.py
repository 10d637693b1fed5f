"""The page of a day shows how it ended and what to do, that of the nights what has become of each; whatever ids are."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from jinja2 import UndefinedError

from job.config.environment import read_settings
from job.config.faults import Fault
from job.day.attempt import Outcome
from job.day.history import Night, Nights
from job.day.report import CARDS, NIGHTS_PAGE, PAGE, REPORT, Change, Report
from job.day.summary import FAULTS_LISTED
from job.engines.failures import Cause, Failure
from job.outputs import pages as board_module
from job.outputs.channels import FEISHU
from job.outputs.message import cut, run_lines
from job.outputs.pages import documents, environment, render_day, render_nights
from job.outputs.terminal import as_text
from job.records.past_nights import PastNights
from job.telling.lines import Rank
from job.telling.view import View, day_lines
from job.text.messages import ENGLISH, LANGUAGES, Message, Translator, dated, message, translator
from tests.support.days import DAY, REFUSED, SCENES, TRACE, Day, failing, some_nights, view_of_latest
from tests.support.fakes import target
from tests.support.parsed import Parsed
from tests.support.records import begun

LINKS = "/srv/runs"
KNOWN_TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "main", "nav", "footer", "section", "div", "p", "span"),
    *("b", "h1", "h2", "h3", "a", "ul", "li", "dl", "dt", "dd", "code", "details", "summary", "bdi"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "path", "rect", "circle"),
}
HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</title></style></svg><b>", "' onmouseover='x",
    "&amp;&lt;", "\u202egnp.exe", "\x00\x1b[31m", "a" * 5000, "]]>", "<!--", "\ud800", "{}%s{0}",
]  # fmt: skip


def page(view: View, links: str = LINKS, translator: Translator = ENGLISH, *, has_table: bool = True) -> Parsed:
    return Parsed(render_day(view, links, NOW, has_table=has_table, translator=translator).decode())


def parts(shown: Parsed) -> list[str]:
    """The folded parts, by their headings; `*` marks those that are open."""
    found = re.findall(r"<details([^>]*)>\s*<summary><h2>(.*?)</h2>", shown.source)
    return [f"{'*' if 'open' in attributes else ''}{heading}" for attributes, heading in found]


def links_of(shown: Parsed) -> list[str]:
    return [str(attributes["href"]) for tag, attributes in shown.tags if tag == "a"]


HEADLINE = "{day}: {continued}"


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("translator", [*map(translator, LANGUAGES)], ids=LANGUAGES)
def test_page_message_and_terminal_have_the_same_lines_in_the_same_order(scene: str, translator: Translator) -> None:
    view = SCENES[scene]()
    shown = page(view, translator=translator)
    headline = translator.text(message(HEADLINE, day=dated(DAY, DAY[5:]), continued=view.outcome))
    assert re.findall("<h1>(.*?)</h1>", shown.source) == [headline]
    mark = {"good": "✓", "warn": "!", "bad": "✗"}[view.severity]
    title = translator.text(message(HEADLINE, day=dated(DAY), continued=view.outcome))
    sign = "…" if view.report.outcome is Outcome.AT_WORK else mark
    assert f"<title>{sign} {title} · cards · our-project</title>" in shown.source
    lines = [*day_lines(view)]
    texts = [f"{line.mark} {translator.text(line.text)}".strip() for line in lines]
    below = [line.below for line in lines if line.below is not None]
    drawn = [line for line in shown.lines if line in {*texts, *below}]
    addresses = {line.below for line in lines if line.is_link}
    both = [one for text, line in zip(texts, lines, strict=True) for one in (text, line.below) if one is not None]
    assert drawn == [one for one in both if one not in addresses]
    assert addresses <= {*links_of(shown)}
    said = as_text(view, translator).splitlines()
    assert [line.strip() for line in said if line.strip() in both] == both
    sent = cut([*run_lines(view, read_settings({})[0])], FEISHU, translator).splitlines()
    assert sent[0][0] == mark
    kept = {text for text, line in zip(texts, lines, strict=True) if line.rank is not Rank.ASIDE}
    assert [line for line in sent if line in kept] == [text for text in texts if text in kept]


def test_the_outcomes_are_all_of_them() -> None:
    without_report = {Outcome.UNREADABLE, Outcome.OTHER_FORMAT}
    assert {scene().report.outcome for scene in SCENES.values()} == set(Outcome) - without_report


def test_of_faults_that_are_not_listed_there_is_the_number() -> None:
    view = SCENES["bad config"]()
    many = view.report.model_copy(update={"faults": view.report.faults[:1] * FAULTS_LISTED, "faults_not_listed": 1234})
    assert "and 1,234 more" in page(replace(view, report=many)).text


@pytest.mark.parametrize(
    ("scene", "shown"),
    [
        ("all made", ["Cards"]),
        ("cards missing", ["*Cards"]),
        ("bad config", []),
    ],
)
def test_only_the_matrix_is_open_and_only_if_a_card_is_missing(scene: str, shown: list[str]) -> None:
    assert parts(page(SCENES[scene]())) == shown


def matrix(shown: Parsed) -> list[str]:
    """The rows: the target, and the marks of its cards."""
    rows = re.findall(r'<tr><th scope="row"><bdi>(.*?)</bdi></th>(.*?)</tr>', shown.source)
    return [f"{target} {''.join(re.findall('>([^<]+)<', cells))}" for target, cells in rows]


def test_a_made_card_links_to_its_picture() -> None:
    card_url = "https://cards.example/{date}/{ticker}/{card_type}.png"
    day = Day(targets=[target("^A/B", ["a", "b"])], start={"card_url": card_url})
    shown = page(day.play(lambda _, __, card_type: REFUSED if card_type == "b" else None).view())
    pictures = [link for link in links_of(shown) if "cards.example" in link]
    assert pictures == [f"https://cards.example/{DAY}/%5EA%2FB/a.png"]


def test_of_many_targets_those_that_lack_something_are_shown_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "BOARD_TARGETS", 2)
    shown = page(SCENES["cards missing"]())
    assert [line.split()[0] for line in matrix(shown)] == ["NVDA", "TSLA"]
    assert "and 11 more targets ✓ done ✗ failed" in shown.text


def test_a_card_that_was_cut_off_after_a_failed_try_is_shown_as_the_message_counts_it() -> None:
    after = {"a": None, "b": Cause.TIMEOUT}
    day = Day(targets=[target("NVDA", ["a", "b", "c"])]).play(
        lambda _, __, card_type: (
            Failure(Cause.INTERRUPTED, message("cut off"), after=after[card_type]) if card_type in after else None
        )
    )
    assert matrix(page(day.view())) == ["NVDA ––✓"]


def test_cards_with_an_error_besides_are_named_first_with_a_mark_of_their_own_and_the_first_error() -> None:
    shown = page(SCENES["made with errors"]())
    first = "! qa NVDA news_card: the answer says success, but has an error: failed: the model refused"
    names = "Look at 6 cards of the QA engine: NVDA (5), 美联储/news_card"
    assert f"{first} {names} The log of the job " in shown.text
    assert '<section class="headline panel warn">' in shown.source
    assert parts(shown)[0] == "*Cards"
    assert matrix(shown)[:3] == ["NVDA !!!!!", "美联储 !····", "AAPL ✓✓✓✓✓"]
    assert "! done, with an error" in shown.text
    assert "! done, with an error" not in page(SCENES["all made"]()).text
    assert "MSFT ○○○○○" in matrix(page(SCENES["without one"]())), "left out"


@pytest.mark.parametrize(
    ("runs_uri", "expected"),
    [
        ("/srv/runs", ["../index.html", "cards.csv"]),
        (
            "gs://b/a b",
            [f"https://storage.cloud.google.com/b/a%20b/{name}" for name in ("index.html", f"{DAY}/cards.csv")],
        ),
    ],
)
def test_links_work_beside_the_page_in_a_directory_and_from_a_bucket(runs_uri: str, expected: list[str]) -> None:
    found = links_of(page(SCENES["cards missing"](), runs_uri))
    assert [link for link in found if "console" not in link] == expected
    assert not any("cards.csv" in link for link in links_of(page(SCENES["cards missing"](), has_table=False)))


def test_links_to_the_console_if_the_project_is_known() -> None:
    found = [link for link in links_of(page(SCENES["cards missing"]())) if "console" in link]
    (log,) = found
    assert all(part in log for part in (TRACE, "execution_name", "cards-x7k2p"))
    assert "timeRange=2026-11-23T17%3A55%3A03Z%2F2026-11-23T18%3A1" in log
    assert links_of(page(Day(start={"project": None}).play().view())) == ["../index.html", "cards.csv"]


def hostile_view(text: str) -> View:
    """A day in which everything from outside is this text."""
    failure, id_ = Failure(Cause.DENIED, message(text), 200), text.replace("\ud800", "")
    targets = [target(id_, [id_, "b"]), target(f"{id_}2", [id_])]
    day = Day(targets=targets, start={"arguments": ("run", id_), "without": (id_,)})
    view = day.play(lambda _, name, card_type: failure if card_type and name == id_ else None).view()
    outside: dict[str, Any] = {"project": text, "execution": text, "card_url": "https://x/{ticker}/{card_type}"}
    return replace(view, report=begun(view.report, **outside), notes=(*view.notes, Message(text)))


def hostile_refusal(text: str) -> View:
    view = SCENES["bad config"]()
    fault = Fault(Message(text), Message(text), Message(text))
    outside = {"faults": (fault,), "outcome": Outcome.STORAGE_FAILED, "detail": Message(text), "why": Message(text)}
    return replace(view, report=view.report.model_copy(update=outside))


def test_an_undefined_name_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="nothing"):
        environment(ENGLISH).from_string("{% if report.nothing %}{% endif %}").render(
            report=SCENES["all made"]().report
        )


# --- the page of the nights ---

NIGHTS = some_nights()
NOW = datetime.fromisoformat("2026-11-28T09:00:00+08:00")
DAYS = Day().start_of().days
TICK = DAYS.after("2026-11-28")


def nights_page(nights: Nights = NIGHTS, uri: str = LINKS, *, written: datetime = NOW) -> Parsed:
    return Parsed(render_nights(nights, view_of_latest(nights, uri, written), uri, written, ENGLISH).decode())


def rows(shown: Parsed) -> list[str]:
    found = re.findall(r'<tr><th scope="row">(.*?)</tr>', shown.source, re.DOTALL)
    return [Parsed(f"<tr><th>{row}</tr>").text for row in found]


def night(report: Report) -> Night:
    return Night(report.day, report.outcome, report)


def test_every_night_has_a_row_and_those_with_a_page_are_linked() -> None:
    shown = nights_page()
    assert rows(shown)[:6] == [
        "Sat 2026-11-28 5 cards are missing ✓ ✓ ✓ ✗ 53/58",
        "Fri 2026-11-27 The record cannot be read · · · ·",
        "Thu 2026-11-26 The record breaks off · · · ·",
        "Wed 2026-11-25 The configuration has 2 faults · · · ·",
        "Tue 2026-11-24 11-25 02:06 ✓ ✓ ✓ ✓ 58/58",
        "Mon 2026-11-23 02:05 ✓ ✓ ✓ ✓ 58/58",
    ]
    assert len(rows(shown)) == len(NIGHTS.nights)
    linked = [f"{one.day}/report.html" for one in NIGHTS.nights if one.report]
    assert links_of(shown) == [*linked, *(f"{day}/report.html" for day in ("2026-11-25",))]
    assert [tag for tag, _ in shown.tags].count("h1") == 1
    bucket = links_of(nights_page(uri="gs://b/runs"))
    assert bucket == [f"https://storage.cloud.google.com/b/runs/{link}" for link in links_of(shown)]


def test_the_page_opens_with_all_that_is_said_of_the_latest_night() -> None:
    day = Day("2026-11-28").play(failing(REFUSED, "qa", "NVDA"))
    view = replace(day.view(None, *NIGHTS.reports[1:]), notes=(message("A note of tonight."),))
    shown = Parsed(render_nights(NIGHTS, view, LINKS, NOW, ENGLISH).decode())
    said = [ENGLISH.text(line.text) for line in day_lines(view) if line.rank is not Rank.ASIDE]
    assert "A note of tonight." in said
    assert all(any(text in line for line in shown.lines) for text in said)


def undone(shown: Parsed) -> list[str]:
    return shown.lines[shown.lines.index("Not done") + 1 :]


def test_each_other_night_that_is_not_done_is_named_with_its_command_if_its_price_is_known() -> None:
    late = Day("2026-11-25", start={"qa_attempts": 3}).play(failing(REFUSED, "qa", "NVDA")).view().report
    shown = undone(nights_page(Nights([NIGHTS.nights[0], NIGHTS.nights[1], NIGHTS.nights[2], night(late)])))
    assert shown[:2] == ["✗ Fri 2026-11-27: the record cannot be read", "2026-11-27/ends/000001.json is missing"]
    assert shown[2:4] == ["! Thu 2026-11-26: the record breaks off", "✗ Wed 2026-11-25: 5 cards are missing"]
    assert "(makes 5 cards; charges at most 15 tries; at any time; for a maintainer):" in shown[4]
    assert shown[5].endswith("--args=run,--date=2026-11-25")
    assert len(shown) == 6


def test_the_page_is_green_only_if_nobody_is_needed() -> None:
    good = night(Day("2026-11-29").play().view().report)
    assert '<section class="headline panel good">' in nights_page(Nights([good])).source
    shown = nights_page(Nights([good, NIGHTS.nights[0]]))
    assert '<section class="headline panel warn">' in shown.source
    assert shown.text.startswith("! Sun 2026-11-29")


def test_below_the_command_that_holds_until_the_next_night_is_the_one_for_this_day() -> None:
    day = Day(start={"qa_attempts": 3}).play(failing(REFUSED, "qa", "NVDA"))
    found = [line for line in page(day.view()).lines if line.startswith("gcloud")]
    assert [command.partition("--args=")[2] for command in found] == ["", f"run,--date={DAY}"]
    assert (
        "After that, paste (makes 5 cards; charges at most 15 tries; at any time; for a maintainer):"
        in page(day.view()).lines
    )


def test_at_its_foot_a_page_says_what_made_it() -> None:
    day = Day(start={"generations": {"card_types.json": "17"}, "arguments": ("run", "--without=A B")}).play()
    foot = page(day.view()).lines[-4:]
    assert foot == [
        f"trace id: {TRACE}",
        "arguments: run '--without=A B'",
        "gs://cards/config: card_types.json#17",
        "version: 1 (0e4f2601c5d9)",
    ]


def test_a_page_may_run_no_script() -> None:
    days = (page(SCENES[scene]()) for scene in ("cards missing", "all made"))
    policy = "default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; img-src data:"
    for shown in (nights_page(), *days):
        assert [found["content"] for tag, found in shown.tags if tag == "meta" and "http-equiv" in found] == [policy]
        assert "script" not in {tag for tag, _ in shown.tags}
        assert not [name for _, found in shown.tags for name in found if name.startswith("on")]


def test_without_a_schedule_nothing_is_due() -> None:
    shown = nights_page(Nights([night(NIGHTS.reports[0].model_copy(update={"schedule": None}))]))
    assert "5 cards are missing" in shown.text
    for words in ("Next night", "is recorded"):
        assert words not in shown.source


def test_a_night_with_an_error_besides_is_a_warning_with_a_mark_of_its_own() -> None:
    then = datetime.fromisoformat("2026-11-24T09:00:00+08:00")
    shown = nights_page(Nights([night(SCENES["made with errors"]().report)]), written=then)
    sentence = "done"
    assert '<section class="headline panel warn">' in shown.source
    assert f"! Tue 2026-11-24: {sentence} ·" in shown.text
    assert rows(shown)[0] == "Tue 2026-11-24 02:05 ✓ ✓ ✓ ! 58/58"
    assert '<td class="warn-text">02:05</td>' in shown.source


def hostile_nights(text: str) -> Nights:
    changes = (Change("other_kind", 1, before=text, after=text), Change("other_model", 1, before=text, after=text))
    outside = {"changes": changes, "outcome": Outcome.BUSY, "why": Message(text)}
    reports = [begun(one, project=text).model_copy(update=outside) for one in NIGHTS.reports]
    return Nights([*(night(one) for one in reports), Night("2026-11-01", Outcome.UNREADABLE, problem=Message(text))])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_from_outside_is_shown_as_text(hostile: str) -> None:
    """Also what the reader of a record refuses: a page does not depend on that."""
    broken = Nights([replace(NIGHTS.nights[1], problem=Message(hostile)), NIGHTS.nights[4]])
    days = [page(made(hostile)) for made in (hostile_view, hostile_refusal)]
    plain = [page(SCENES["cards missing"]()), nights_page()]
    known = {name for one in plain for _, attributes in one.tags for name in attributes} | {"open"}
    for shown in (*days, nights_page(hostile_nights(hostile)), nights_page(broken)):
        assert {tag for tag, _ in shown.tags} <= KNOWN_TAGS
        assert {name for _, attributes in shown.tags for name in attributes} <= known
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", shown.source)


# --- what is written beside the report of a day ---


@pytest.mark.parametrize(("planned", "has_table"), [(0, False), (1, True)])
def test_a_day_has_a_table_if_it_has_cards_and_the_page_links_it(planned: int, has_table: bool) -> None:
    view = SCENES["all made"]()
    cards = replace(view.report.cards, planned=planned)
    view = replace(view, report=view.report.model_copy(update={"engines": {"qa": cards}}))
    made = documents(view, PastNights(lambda _: None, Nights()), read_settings({"RUNS_URI": "/runs"})[0])
    names = [REPORT, *([CARDS] if has_table else [])]
    assert list(made) == [NIGHTS_PAGE, f"{DAY}/{PAGE}", *(f"{DAY}/{name}" for name in names)]
    assert (b'href="cards.csv"' in made[f"{DAY}/{PAGE}"]()) is has_table


def test_a_day_has_no_address_of_a_page_that_could_not_be_written() -> None:
    view = SCENES["all made"]()
    lost = view.report.model_copy(update={"not_written": (f"{DAY}/{PAGE}",)})
    assert replace(view, report=lost).with_page("/runs").page is None
