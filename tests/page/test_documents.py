"""Besides the report a run writes summary, page and table, in this order; a large run writes no table."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from job.execution.shutdown import Budget
from job.ledger.ledger import Ledger
from job.page.documents import documents
from job.records.lease import LEASE
from job.records.session import Document
from job.report.cards import CARDS_LIMIT
from job.report.format import CARDS, PAGE, SUMMARY
from job.report.outcome import Outcome
from job.report.report import RunReport, report_of
from job.text.messages import ENGLISH, translator
from tests.records.test_record import INPUTS, PLAN
from tests.records.test_session import Held, held, memory
from tests.support.cards import run
from tests.support.parsed import Parsed

__all__ = ["held", "memory"]


def written(report: RunReport, runs_uri: str = "/runs") -> list[Document]:
    return documents(report, (), None, runs_uri, ENGLISH)


def names(report: RunReport) -> list[str]:
    return [document.name for document in written(report)]


def links(report: RunReport, ledger: Ledger, runs_uri: str) -> list[str]:
    page = next(document for document in written(report, runs_uri) if document.name == PAGE)
    tags = Parsed(page.make(ledger).decode()).tags
    return [str(attributes["href"]) for tag, attributes in tags if tag == "a" and "csv" in str(attributes["href"])]


@pytest.mark.parametrize(
    ("planned", "has_table"), [(0, False), (1, True), (CARDS_LIMIT, True), (CARDS_LIMIT + 1, False)]
)
def test_a_run_has_a_table_unless_it_is_large_and_the_page_links_it(planned: int, has_table: bool) -> None:
    report, ledger = run([("AAPL", "equity", "a")], {})
    cards = report.cards.model_copy(update={"planned": planned, "not_attempted": planned})
    report = report.model_copy(update={"cards": cards})
    assert names(report) == [SUMMARY, PAGE, *([CARDS] if has_table else [])]
    assert links(report, ledger, "/runs") == (["cards.csv"] if has_table else [])


def test_page_and_table_are_in_the_language_of_the_reports() -> None:
    report, ledger = run([("AAPL", "equity", "a")], {})
    made = {one.name: one.make(ledger).decode() for one in documents(report, (), None, "/runs", translator("zh"))}
    assert '<html lang="zh-CN">' in made[PAGE]
    assert made[CARDS].startswith("\ufeff标的,")


def test_in_a_bucket_the_link_is_absolute_and_in_a_directory_it_stays_right_wherever_that_is_moved() -> None:
    recorded = run([("AAPL", "equity", "a")], {})
    assert links(*recorded, "gs://my-runs/a b") == ["https://storage.cloud.google.com/my-runs/a%20b/run/cards.csv"]
    assert links(*recorded, "/srv/runs") == ["cards.csv"]
    page = next(document for document in written(recorded[0], "/srv/runs") if document.name == PAGE)
    assert "python -m job report run --csv cards.csv" in Parsed(page.make(recorded[1]).decode()).text


@pytest.mark.parametrize(("seconds", "has_table"), [(0.1, True), (0.6, False)])
async def test_of_a_run_that_was_cut_short_the_table_is_written_only_if_time_is_left(
    held: Held, seconds: float, has_table: bool, autojump_clock: MockClock
) -> None:
    session = await held.open_session()
    report = report_of(INPUTS, Ledger(PLAN), state=Outcome.KILLED)
    held.store.seconds = seconds
    begun = trio.current_time()
    await session.close(report, written, held.shutdown, at_once=True)
    assert trio.current_time() - begun <= Budget.CLOSING + 0.1
    assert {"run/report.json", "run/summary.json", "run/report.html"} <= held.store.objects.keys()
    assert ("run/cards.csv" in held.store.objects) is has_table
    assert LEASE not in held.store.objects


async def test_a_table_that_cannot_be_written_is_reported_and_nothing_else_is_lost(
    held: Held, autojump_clock: MockClock
) -> None:
    session = await held.open_session()
    held.store.refuse = lambda _verb, name: name.endswith(CARDS)
    report = report_of(INPUTS, Ledger(PLAN), state=Outcome.KILLED)
    await session.close(report, written, held.shutdown, at_once=False)
    (said,) = held.said
    assert said.startswith("the table of the cards is not written: ")
    assert LEASE not in held.store.objects
