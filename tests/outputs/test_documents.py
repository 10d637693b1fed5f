"""Beside the report of a day there are its page, its table unless it is large, and the page of the nights."""

from dataclasses import replace
from datetime import datetime

import pytest

from job.config.environment import read_settings
from job.day.attempt import CARDS, NIGHTS_PAGE, PAGE, REPORT, Outcome
from job.day.view import View
from job.outputs.pages import documents
from job.records.nights import Night, Nights, PastNights
from job.records.record import Document
from job.text.messages import Language
from tests.support.days import DAY, SCENES

NOW = datetime.fromisoformat("2026-11-24T09:00:00+08:00")


def written(view: View, nights: Nights | None = None, language: Language = "en") -> dict[str, Document]:
    past, variables = PastNights(lambda _: None, nights or Nights()), {"RUNS_URI": "/runs", "REPORT_LANGUAGE": language}
    made = documents(view, past, read_settings(variables)[0])
    return {document.name.removeprefix(f"{DAY}/"): document for document in made}


@pytest.mark.parametrize(("planned", "has_table"), [(0, False), (1, True), (100_000, True), (100_001, False)])
def test_a_day_has_a_table_unless_it_is_large_and_the_page_links_it(planned: int, has_table: bool) -> None:
    view = SCENES["all made"]()
    cards = replace(view.report.cards, planned=planned)
    made = written(replace(view, report=view.report.model_copy(update={"engines": {"qa": cards}})))
    assert list(made) == [REPORT, PAGE, *([CARDS] if has_table else []), NIGHTS_PAGE]
    assert (b'href="cards.csv"' in (made[PAGE].make() or b"")) is has_table


def test_a_page_of_the_nights_with_one_at_work_is_left_to_that_start() -> None:
    made = written(SCENES["all made"](), Nights([Night("2026-11-23", Outcome.AT_WORK)]))
    assert made[NIGHTS_PAGE].make() is None
    assert made[PAGE].make() is not None
