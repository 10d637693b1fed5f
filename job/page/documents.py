"""What a run leaves for people and for later nights beside its report: summary, page, and the table of its cards."""

from functools import partial

from job.messages import template
from job.page.render import render_page
from job.records.cards import CARDS_LIMIT, card_table
from job.records.commands import table_link
from job.records.format import CARDS, PAGE, SUMMARY
from job.records.report import RunReport
from job.records.session import Document
from job.records.summary import NightBefore, build_summary, pack_summary


def documents(report: RunReport, before: NightBefore | None, runs_uri: str) -> list[Document]:
    """The documents of a run that has ended, in the order in which they are written.

    `before` is the night to compare with, `runs_uri` is where runs are recorded.
    """
    has_table = 0 < report.cards.planned <= CARDS_LIMIT
    page = partial(render_page, report, table=table_link(runs_uri, report.run_id) if has_table else None)
    found = [
        Document(
            SUMMARY,
            lambda timeline: pack_summary(build_summary(report, timeline, before)),
            template("the summary of the run is not written: {error}"),
        ),
        Document(PAGE, page, template("the page of the run is not written: {error}")),
    ]
    if has_table:
        table = partial(card_table, report)
        found.append(Document(CARDS, table, template("the table of the cards is not written: {error}")))
    return found
