"""What a run leaves for people and for later nights: summary, page, table of its cards, and the page of the nights."""

from functools import partial

import trio

from job.messages import Message, message, template
from job.page.render import render_nights, render_page
from job.records.cards import CARDS_LIMIT, card_table
from job.records.closing import build_summary
from job.records.commands import nights_link, table_link
from job.records.format import CARDS, PAGE, SUMMARY
from job.records.history import without_plan
from job.records.nights import Nights, write_nights_page
from job.records.refusal import record_refusal
from job.records.report import RunReport
from job.records.session import Document
from job.records.summary import NightBefore, pack_summary
from job.records.timeline import Timeline
from job.storage.store import ObjectStore


def documents(report: RunReport, before: NightBefore | None, runs_uri: str) -> list[Document]:
    """The documents of a run that has ended, in the order in which they are written.

    `before` is the night to compare with, `runs_uri` is where runs are recorded.
    """
    has_table = 0 < report.cards.planned <= CARDS_LIMIT
    table = table_link(runs_uri, report.run_id, beside=True) if has_table else None
    page = partial(render_page, report, nights=nights_link(runs_uri, beside=True), table=table)
    found = [
        Document(
            SUMMARY,
            lambda timeline: pack_summary(build_summary(report, timeline, before)),
            template("the summary of the run is not written: {error}"),
        ),
        Document(PAGE, page, template("the page of the run is not written: {error}")),
    ]
    if has_table:
        made = partial(card_table, report)
        found.append(Document(CARDS, made, template("the table of the cards is not written: {error}")))
    return found


async def leave_refusal(store: ObjectStore, report: RunReport, runs_uri: str) -> bool:
    """Records a run whose configuration cannot be used; returns whether it is recorded. Raises `StorageError`."""
    timeline = Timeline(without_plan())
    summary, page = (document.make(timeline) for document in documents(report, None, runs_uri))
    return await record_refusal(store, report, summary, page)


async def leave_nights(
    store: ObjectStore, known: Nights | None, run_id: str, runs_uri: str, until: float
) -> Message | None:
    """Writes the page of the nights anew, by then at the latest. Returns why it is not written; raises nothing."""
    problem: str | None = "storage took too long"
    with trio.move_on_at(until):  # noqa: ASYNC912  storage is awaited
        try:
            await write_nights_page(store, known, run_id, partial(render_nights, runs_uri=runs_uri, beside=True))
            problem = None
        except Exception as error:  # noqa: BLE001  it is for people, and all that it shows is in the records
            problem = str(error)
    if problem is None:
        return None  # noqa: ASYNC910  storage was awaited
    return message("the page of the nights is not written: {error}", error=problem)  # noqa: ASYNC910  as above
