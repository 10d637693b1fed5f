"""Every sentence that people read comes from the catalog: a catalog of widened letters shows those that do not."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

import pytest
from babel.messages import Catalog, Message
from babel.messages.pofile import read_po

from job.config.environment import read_settings
from job.config.faults import ConfigError
from job.config.objects import parse_config
from job.day.attempt import Outcome
from job.day.ending import Ending
from job.day.history import Nights
from job.day.ledger import Ledger
from job.day.result import FailedTry
from job.engines.answers import Response, judge
from job.engines.failures import Cause, Failure
from job.execution.progress import Progress
from job.outputs.channels import FEISHU
from job.outputs.log import Reporter
from job.outputs.message import cut, run_lines, trial_lines
from job.outputs.pages import render_day, render_nights
from job.outputs.terminal import Terminal, as_text, nights_table
from job.telling.advice import Commands, advice, whole_night
from job.telling.failures import failure_lines
from job.telling.view import View
from job.text.messages import CATALOGS, DOMAIN, LANGUAGES, Translator, message, plural, translator
from tests.support.days import NAMES, SCENES, TYPES, Day, some_nights, view_of_latest
from tests.support.fakes import plan_of, settings_of, target
from tests.support.parsed import Parsed
from tests.support.records import report_at
from tests.support.results import result_of
from tests.tools.messages import bring_up_to_date

FILES = sorted(CATALOGS.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def catalog(file: Path) -> Catalog:
    with file.open("rb") as opened:
        return read_po(opened)


def forms(text: object) -> list[str]:
    """The forms of a sentence: one, or those of its plural too."""
    return [text] if isinstance(text, str) else list(text) if isinstance(text, tuple | list) else [""]


SENTENCES = {forms(one.id)[0] for one in catalog(FILES[0]) if one.id}
"""Those that have a translation."""


def wide(text: str) -> str:
    """The text in wide letters, except for the names of its placeholders."""
    return re.sub(r"\{\w+\}|[A-Za-z]", lambda found: found[0] if found[0][1:] else chr(ord(found[0]) + 0xFEE0), text)


class Widening(NullTranslations):
    """Translates every sentence of the catalogs into wide letters."""

    def gettext(self, message: str) -> str:
        return wide(message) if message in SENTENCES else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        text = msgid1 if n == 1 else msgid2
        return wide(text) if msgid1 in SENTENCES else text


WIDE = Translator("xx", Widening())
DATA = re.compile(
    r"`?((RUNS|CONFIG)_URI=\S+ )*(python -m job|gcloud run)[\w .=,:/|^'-]*|https?://\S+|gs://\S+|/runs/\S+|[\w./-]+\.(json|csv)\b"
    r"|\bUTC\b|\b[A-Z]+(_[A-Z]*)+|\b(financial|trading|news|qa)\b|\bcards-x7k2p\b|\b(T|c)\d+\b|\b[0-9a-f]{12,}\b"
    r"|\bT\d\d:|(failed: )?said by the engine|failed: the model refused|[Cc]onnection reset"
    r"|Terraform: engines\.\w+\.\w+|roles/run\.invoker|job\.memory_mib"
    r"|HTTP \d+|since 02:00|the engine answered null|\bnull\b|SIGTERM"
    r"|20 cards in a row failed|Look at the QA engine's log\.|is not a ticker of|correct it, or add it to|APPL"
    r"|\bverify\b|(^|: )run( --.*)?$|\bcards(?=[,:])|\bcards · our-project\b"
    r"|Rate vs Inflation|" + "|".join(map(re.escape, [*NAMES, *TYPES])),
    re.MULTILINE,
)
"""What is no sentence: commands, addresses, names of objects, variables and engines, ids, an engine's answer."""


def narrow(text: str) -> list[str]:
    """The words in narrow letters that are not data."""
    return re.findall(r"[A-Za-z]{2,}", DATA.sub("", text))


def reasons() -> Iterator[Failure]:
    """A failure of every kind, with its text if the answers have one."""
    call = next(plan_of([target("T1", ["c1"])], settings_of()).calls("qa"))
    for status in (400, 401, 403, 404, 405, 413, 422, 429, 500, 502, 503, 504, 302, 418):
        failure = judge(call, Response(status, b"said by the engine", None), "").failure
        assert failure is not None
        yield failure
    for body in (b"", b"x", b"null", b'{"a": 1, "a": 2}', b'{"status": "failed", "error": "said by the engine"}'):
        failure = judge(call, Response(200, body, None), "").failure
        assert failure is not None
        yield failure if body != b"x" else replace(failure, reason=message("the answer is empty"))
    for cause in Cause:
        yield Failure(cause, message("cut off"))


VIEWS = [pytest.param(scene(), id=name) for name, scene in SCENES.items()]
NOW = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
SETTINGS, FAULTS = read_settings(
    {"RUN_TIME_ZONE": "x", "QA_ENGINE_URL": "http://1", "CLOUD_RUN_JOB": "cards", "RUNS_URI": "gs://cards/runs"}
)


def written(page: bytes) -> str:
    """All text of a page: its content and its attributes."""
    parsed = Parsed(page.decode())
    names = {"title", "aria-label", "data-is"}
    said = [value for _, found in parsed.tags for name, value in found.items() if name in names and value]
    return "\n".join(["".join(parsed.texts), *(one for one in said if not re.fullmatch(r"00-\w+-\w+-01", one))])


@pytest.mark.parametrize("view", VIEWS)
def test_every_output_of_a_day_has_only_translated_sentences(view: View) -> None:
    page = render_day(view, "gs://cards/runs", NOW, has_table=True, translator=WIDE)
    assert narrow(written(page)) == []
    for now in (NOW, NOW.replace(day=25)):
        commands = Commands(view.report, "", view.report.days, now)
        shown = replace(view, steps=tuple(advice(view.report, view.ledger, commands)))
        assert narrow(as_text(replace(shown, page="/runs/x/report.html", unrecorded=2), WIDE)) == []
        for line in run_lines(shown, SETTINGS):
            assert narrow(cut([line], FEISHU, WIDE)) == []


def test_every_kind_of_failure_is_translated_with_its_remedy() -> None:
    plan = plan_of([target(f"T{n}", ["c1", "c2"]) for n in range(20)], settings_of())
    ledger = Ledger(plan)
    for call, failure in zip(plan.calls("qa"), reasons(), strict=False):
        ledger.add(result_of(call, failure))
    for line in failure_lines(report_at(Ending(Outcome.CARDS_MISSING), ledger)):
        assert narrow(WIDE.text(line.text)) == []


async def test_a_start_on_a_terminal_is_translated(capfd: pytest.CaptureFixture[str]) -> None:
    view = SCENES["cards missing"]()
    live = Progress.of(view.ledger)
    terminal = Reporter(Terminal(WIDE))
    objects = {"ticker_list.json": b"[1]", "card_types.json": b'["news_card", 1]', "card_targets.json": b"["}
    with pytest.raises(ConfigError) as error:
        parse_config(objects)
    terminal.on_faults([*FAULTS, *error.value.faults])
    terminal.on_day(view.report)
    terminal.on_start(live)
    terminal.on_barrier(live)
    terminal.on_progress(live, 90.0)
    failed = [replace(call, failed_tries=(FailedTry(0.0, 0.1, message("cut off")),)) for call in view.ledger.failures]
    for result in failed:
        terminal.on_event(result)
    terminal.on_finish(view)
    await terminal.drain(5.0)
    shown = capfd.readouterr().out
    assert narrow(shown) == []


def test_the_page_and_the_list_of_the_nights_are_translated() -> None:
    nights = some_nights()
    links = "gs://cards/runs"
    assert narrow(written(render_nights(nights, view_of_latest(nights, links, NOW), links, NOW, WIDE))) == []
    assert narrow(nights_table(nights, WIDE)) == []
    assert narrow(nights_table(Nights(), WIDE)) == []


def test_messages_about_no_day_are_translated() -> None:
    for line in (
        *trial_lines(SETTINGS),
        whole_night(Commands(Day().start_of(), "", Day().start_of().days, NOW), Day().start_of(), 2, is_named=False),
    ):
        assert narrow(cut([line], FEISHU, WIDE)) == []


# --- the catalogues ---


def sentences() -> Iterator[Message]:
    for file in FILES:
        yield from (one for one in catalog(file) if one.id)


def places(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


def test_each_language_but_english_has_a_catalog() -> None:
    assert [file.parts[-3] for file in FILES] == sorted(
        tag.replace("-", "_") for tag in LANGUAGES.values() if tag != "en"
    )


def test_the_catalogs_are_what_make_messages_makes_of_the_sources(tmp_path: Path) -> None:
    shutil.copytree(CATALOGS, tmp_path, dirs_exist_ok=True)
    bring_up_to_date(tmp_path)
    for file in FILES:
        fresh = tmp_path / file.relative_to(CATALOGS)
        for ending in (".po", ".mo"):
            old, new = file.with_suffix(ending), fresh.with_suffix(ending)
            assert old.read_bytes() == new.read_bytes(), f"{old.name} is not current: run `make messages`"


def test_nothing_is_left_untranslated() -> None:
    assert [one.id for one in sentences() if one.fuzzy or not all(forms(one.string))] == []


def test_a_translation_has_the_places_of_its_sentence() -> None:
    for one in sentences():
        for text in forms(one.string):
            # `1 card` has no place for its number, but the form for every number has.
            assert places(text) == places(forms(one.id)[-1]), one.id


def test_a_message_that_the_catalog_lacks_is_shown_in_english() -> None:
    chinese = translator("zh")
    assert chinese.text(message("of {a} newer version", a=1)) == "of 1 newer version"
    assert chinese.text(plural("1 new thing", "{count} new things", count=2)) == "2 new things"
    assert chinese.text("as it is") == "as it is"


@pytest.mark.parametrize("count", ["many", 1.5, True])
def test_a_recorded_message_may_hold_any_count(count: object) -> None:
    altered = plural("1 card", "{count} cards", count=count)  # type: ignore[arg-type]
    assert str(altered)
    assert translator("zh").text(altered)


def test_an_empty_message_is_not_the_header_of_the_catalog() -> None:
    assert translator("zh").text(message("")) == ""
    assert isinstance(translator("zh")._catalog, GNUTranslations)
