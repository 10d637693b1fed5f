"""Documents of a day: its page, the table of its cards, its report for other programs, and the page of the nights."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from job.config.environment import Settings
from job.day.cards import CARDS_LIMIT, card_lines
from job.day.commands import Links
from job.day.format import CARDS, NIGHTS_PAGE, PAGE, REPORT
from job.day.outcome import Outcome
from job.day.view import View
from job.outputs.render import render_day, render_nights
from job.records.nights import Nights, PastNights
from job.records.record import Document
from job.text.messages import translator


def documents(view: View, past: PastNights, settings: Settings) -> list[Document]:
    """The documents of a day, in the order in which they are written.

    Without the `past` nights, their page stays as it is.
    """
    report, links, day = view.report, Links(settings.runs_uri or ""), view.report.day
    now, to = datetime.now(UTC), translator(settings.language)
    has_table = 0 < report.cards.planned <= CARDS_LIMIT

    def page_of_nights() -> bytes | None:
        nights = (past.nights or Nights()).with_report(report)
        if any(night.outcome is Outcome.AT_WORK for night in nights.nights):
            return None  # the start that is at work writes it
        return render_nights(nights, links, report.days, settings.deadline, now, to)

    found = [
        Document(f"{day}/{REPORT}", report.as_text),
        Document(
            f"{day}/{PAGE}",
            lambda: render_day(view, links, has_table=has_table, translator=to),
        ),
    ]
    if has_table:
        found.append(
            Document(
                f"{day}/{CARDS}",
                lambda: b"".join(card_lines(report, view.ledger, to)),
            )
        )
    if past.nights is not None:
        found.append(Document(NIGHTS_PAGE, page_of_nights, read=partial(past.read, day=day)))
    return [replace(one, there=past.there.get(one.name)) for one in found]
