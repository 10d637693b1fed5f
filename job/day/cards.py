"""Cards of a day as a table, `cards.csv`: a row for each card, for spreadsheets and for the publisher's own tools.

RFC 4180 in UTF-8, with a byte order mark, without which Excel shows Chinese wrongly.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from io import StringIO
from itertools import islice
from urllib.parse import quote

from job.config.targets import Target
from job.config.values import CARD_URL_PLACES
from job.day.items import ItemStatus
from job.day.ledger import Ledger
from job.day.report import Report
from job.text.display import zone_of
from job.text.messages import ENGLISH, Message, Translator, message, plural, template

CARDS_LIMIT = 100_000
"""A day with more cards records no table."""
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
)
"""The headings, in the language of the reports. Their order never changes, and what is below them stays English."""
SET_ASIDE = "set_aside"
"""The cause of a card that was not attempted because its type was set aside."""
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""Characters with which a formula starts in a spreadsheet; the last four only in East Asian ones."""
_ROWS_AT_ONCE = 1000


def picture_url(report: Report, target: Target, card: ItemStatus) -> str | None:
    """Where the picture of a made card is; `None` of any other card, and without CARD_URL."""
    if report.card_url is None or not card.is_done:
        return None
    values = {"date": target.date or report.day, "ticker": target.id, "card_type": card.item.card_type or ""}
    return CARD_URL_PLACES.sub(lambda place: quote(values[place[1]], safe=""), report.card_url)


def card_lines(report: Report, ledger: Ledger, translator: Translator = ENGLISH) -> Iterator[bytes]:
    """The table, some rows at a time: it may be larger than the memory."""
    zone = zone_of(datetime.fromisoformat(report.started))
    yield b"\xef\xbb\xbf" + _packed([tuple(translator.text(message(heading, zone=zone)) for heading in COLUMNS)])
    rows = _rows(report, ledger)
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        yield _packed(part)


def _rows(report: Report, ledger: Ledger) -> Iterator[tuple[str, ...]]:
    zone = report.offset
    set_aside = {one.card_type for one in report.set_aside}
    items = ledger.items["qa"]
    for target in ledger.plan.targets:
        name = _cell(target.id)
        for card in items.of(target.id):
            cause = card.cause or ""
            if card.state == "not_attempted" and card.item.card_type in set_aside:
                cause = SET_ASIDE
            state = "made" if card.is_done else card.state
            tries, when = str(card.tries), _when(card.ended, zone)
            url = picture_url(report, target, card) or ""
            yield name, target.kind, _cell(card.item.card_type or ""), state, cause, tries, when, report.day, url


def _when(moment: float, zone: tzinfo | None) -> str:
    """The moment as a spreadsheet takes it for a time: it understands no offset, so the headings have that."""
    return f"{datetime.fromtimestamp(moment, zone):%Y-%m-%d %H:%M:%S}" if moment else ""


def _cell(text: str) -> str:
    """The text, with a leading `'` if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _packed(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def complete_line(ledger: Ledger) -> Message | None:
    """How many of the targets that have cards are complete; `None` if no card is planned."""
    targets = [target for target in ledger.plan.targets if target.card_types]
    if not targets:
        return None
    done_of = ledger.items["qa"].done_of
    complete = sum(done_of(target.id) == len(target.card_types) for target in targets)
    return plural(
        "Complete: {complete} of 1 target", "Complete: {complete} of {count} targets", len(targets), complete=complete
    )
