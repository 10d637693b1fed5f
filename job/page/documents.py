"""Documents of a day: its page, the table of its cards, its report for other programs, and the page of the nights."""

from datetime import UTC, datetime

from job.config.environment import Settings
from job.page.render import render_day, render_nights
from job.records.day import Document, There
from job.records.nights import PastNights
from job.report.cards import CARDS_LIMIT, card_lines
from job.report.commands import Links
from job.report.format import CARDS, NIGHTS_PAGE, PAGE, REPORT
from job.report.view import View
from job.text.messages import template, translator


def documents(view: View, past: PastNights, there: There, settings: Settings) -> list[Document]:
    """The documents of a day, in the order in which they are written, over what is `there`.

    Without the `past` nights, their page stays as it is.
    """
    report, links, day = view.report, Links(settings.runs_uri or ""), view.report.day
    now, to = datetime.now(UTC), translator(settings.language)
    has_table = 0 < report.cards.planned <= CARDS_LIMIT
    found = [
        Document(
            f"{day}/{REPORT}",
            report.as_text,
            template("report.json is not written: {error}"),
            there.get(f"{day}/{REPORT}"),
        ),
        Document(
            f"{day}/{PAGE}",
            lambda: render_day(view, links, has_table=has_table, translator=to),
            template("the page of the day is not written: {error}"),
            there.get(f"{day}/{PAGE}"),
        ),
    ]
    if has_table:
        found.append(
            Document(
                f"{day}/{CARDS}",
                lambda: b"".join(card_lines(report, view.ledger, to)),
                template("the table of the cards is not written: {error}"),
                there.get(f"{day}/{CARDS}"),
            )
        )
    nights = past.nights
    if nights is not None:
        found.append(
            Document(
                NIGHTS_PAGE,
                lambda: render_nights(nights.with_report(report), links, report.days, now, to),
                template("the page of the nights is not written: {error}"),
                past.page,
            )
        )
    return found
