"""Documents of a run that has ended: its summary, its page, the table of its cards, and the page of the nights."""

from collections.abc import Callable, Sequence
from functools import partial

from job.page.render import render_nights, render_page
from job.records.past import Past
from job.records.session import Document
from job.report.advice import Step
from job.report.cards import CARDS_LIMIT, card_table
from job.report.commands import PageLinks
from job.report.format import CARDS, PAGE, SUMMARY
from job.report.report import RunReport, summary_of
from job.report.summary import NightBefore, pack_summary
from job.text.messages import Translator, template


def documents(
    report: RunReport, steps: Sequence[Step], before: NightBefore | None, runs_uri: str, translator: Translator
) -> list[Document]:
    """The documents of a run that has ended, in the order in which they are written.

    `steps` are what to do next, `before` is the night to compare with, `runs_uri` is where
    runs are recorded. Page and table are in the language of `translator`.
    """
    has_table = 0 < report.cards.planned <= CARDS_LIMIT
    links = PageLinks.of(runs_uri, report, has_table=has_table, beside=True)
    page = partial(render_page, report, steps=steps, links=links, translator=translator)
    found = [
        Document(
            SUMMARY,
            lambda ledger: pack_summary(summary_of(report, ledger, before)),
            template("the summary of the run is not written: {error}"),
        ),
        Document(PAGE, page, template("the page of the run is not written: {error}")),
    ]
    if has_table:
        made = partial(card_table, report, translator=translator)
        found.append(Document(CARDS, made, template("the table of the cards is not written: {error}")))
    return found


def nights_page(runs_uri: str, translator: Translator) -> Callable[[Past], bytes]:
    """Returns a function that renders the page of the nights, once they have been read."""
    return partial(render_nights, runs_uri=runs_uri, beside=True, translator=translator)
