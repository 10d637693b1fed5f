"""Cards: the table `cards.csv`, a row for each card, for spreadsheets and for the publisher's own tools.

It is RFC 4180 in UTF-8, with a byte order mark, without which Excel shows Chinese wrongly.
"""

import csv
from collections.abc import Iterator
from datetime import datetime, tzinfo
from io import BytesIO, TextIOWrapper
from urllib.parse import quote

from job.config.plan import Target
from job.config.values import CARD_URL_PLACES
from job.day.ledger import ItemStatus, Ledger
from job.day.report import Report
from job.text.messages import ENGLISH, Translator, message, template
from job.text.shown import zone_of

COLUMNS = (
    template("target"),
    template("kind"),
    template("card_type"),
    template("state"),
    template("cause"),
    template("attempts"),
    template("when ({zone})"),
    template("day"),
    template("url"),
    template("date"),
)
"""The headings, in the language of the reports. Their order never changes, and what is below them stays English."""
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""Characters with which a formula starts in a spreadsheet; the last four only in East Asian ones."""


def picture_url(report: Report, target: Target, card: ItemStatus) -> str | None:
    """Where the picture of a made card is; `None` of any other card, and without CARD_URL."""
    if report.card_url is None or not card.is_done:
        return None
    values = {"date": target.date or report.day, "ticker": target.id, "card_type": card.item.card_type or ""}
    return CARD_URL_PLACES.sub(lambda place: quote(values[place[1]], safe=""), report.card_url)


def card_table(report: Report, ledger: Ledger, translator: Translator = ENGLISH) -> bytes:
    zone = zone_of(datetime.fromisoformat(report.started))
    table = BytesIO()
    text = TextIOWrapper(table, "utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([translator.text(message(heading, zone=zone)) for heading in COLUMNS])
    writer.writerows(_rows(report, ledger))
    text.detach()
    return table.getvalue()


def _rows(report: Report, ledger: Ledger) -> Iterator[tuple[str, ...]]:
    zone = report.offset
    for card in map(ledger.status, ledger.items["qa"]):
        target, day = ledger.plan.by_id[card.item.target], report.day
        state = "made" if card.is_done else card.state
        tries, when = ("0", "") if card.result is None else (str(card.result.tries), _when(card.result.ended, zone))
        url = picture_url(report, target, card) or ""
        name, card_type = _cell(target.id), _cell(card.item.card_type or "")
        yield name, target.kind, card_type, state, card.cause or "", tries, when, day, url, target.date or day


def _when(moment: float, zone: tzinfo | None) -> str:
    """The moment as a spreadsheet takes it for a time: it understands no offset, so the headings have that."""
    return f"{datetime.fromtimestamp(moment, zone):%Y-%m-%d %H:%M:%S}"


def _cell(text: str) -> str:
    """The text, with a leading `'` if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text
