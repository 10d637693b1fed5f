"""Documents of a day: its page, the table of its cards, its report for other programs, and the page of the nights."""

from datetime import datetime

from job.page.render import render_day, render_nights
from job.records.day import Document
from job.records.nights import Nights
from job.report.cards import CARDS_LIMIT, card_lines
from job.report.commands import Links
from job.report.format import CARDS, NIGHTS_PAGE, PAGE, REPORT
from job.report.view import View
from job.text.messages import Translator, template


def documents(
    view: View, nights: Nights | None, runs_uri: str, now: datetime, translator: Translator
) -> list[Document]:
    """The documents of a day, in the order in which they are written.

    `nights` are the days before; without them the page of the nights stays as it is. `runs_uri` is where they are
    recorded. Pages and table are in the language of `translator`.
    """
    report, links, day = view.report, Links(runs_uri), view.report.day
    has_table = 0 < report.cards.planned <= CARDS_LIMIT
    found = [
        Document(f"{day}/{REPORT}", report.as_text, template("report.json is not written: {error}")),
        Document(
            f"{day}/{PAGE}",
            lambda: render_day(view, links, has_table=has_table, translator=translator),
            template("the page of the day is not written: {error}"),
        ),
    ]
    if has_table:
        found.append(
            Document(
                f"{day}/{CARDS}",
                lambda: b"".join(card_lines(report, view.ledger, translator)),
                template("the table of the cards is not written: {error}"),
            )
        )
    if nights is not None:
        found.append(
            Document(
                NIGHTS_PAGE,
                lambda: render_nights(nights.with_report(report), links, report.days, now, translator),
                template("the page of the nights is not written: {error}"),
            )
        )
    return found
