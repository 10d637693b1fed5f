"""Board of a run's page: targets and their cards, made or missing and why; targets that lack a card come first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from job.engines.failures import Cause
from job.ledger.items import EngineItems, ItemStatus
from job.ledger.ledger import Ledger
from job.planning.targets import Target
from job.report.cards import complete_line, picture_url
from job.report.report import RunReport
from job.text.messages import Message, message, template

ROWS = 300
"""Maximum number of rows; further targets are only counted."""
OPEN_ROWS = 40
"""A board with more rows is closed at first, and also one without missing cards."""
COLUMNS = 24
"""Maximum number of columns; further card types are only counted."""

_WHY: Mapping[Cause, str] = {
    Cause.TRANSPORT: template("no whole answer"),
    Cause.PROCESS_LIMIT: template("too many open files"),
    Cause.TIMEOUT: template("no answer in time"),
    Cause.IDENTITY: template("no token"),
    Cause.STATUS: template("HTTP error"),
    Cause.UNREADABLE: template("answer not understood"),
    Cause.DENIED: template("engine did not make it"),
    Cause.INTERRUPTED: template("cut off"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A target that has cards."""

    target: str
    done: int
    planned: int
    cards: Sequence[ItemStatus | None]
    """One for each column; `None` if that card is not planned."""
    pictures: Sequence[str | None]
    """The link to the picture of each of these."""


@dataclass(frozen=True, slots=True)
class Board:
    """The targets that have cards, limited to `ROWS` rows and `COLUMNS` columns."""

    headline: Message
    """How many of all targets are complete."""
    card_types: Sequence[str]
    """The columns. If there are too many card types, those with the most missing cards."""
    card_types_not_shown: int
    rows: Sequence[Row]
    complete_not_shown: int
    incomplete_not_shown: int
    set_aside: frozenset[str]

    @property
    def is_open(self) -> bool:
        """Whether the board is open at first."""
        return len(self.rows) <= OPEN_ROWS and any(row.done < row.planned for row in self.rows)

    def why(self, card: ItemStatus) -> Message:
        """Why a card is missing, in a few words."""
        if card.state == "not_attempted":
            return message("type set aside") if card.card_type in self.set_aside else message("not attempted")
        return message(_WHY[card.cause]) if card.cause else message("failed")


def board(report: RunReport, ledger: Ledger) -> Board | None:
    """The board of a run; `None` if it planned no card."""
    items = ledger.items["qa"]
    targets = [target for target in ledger.plan.targets if target.card_types]
    headline = complete_line(ledger)
    if headline is None:
        return None
    lacking = [target for target in targets if items.done_of(target.id) < len(target.card_types)]
    rest = (target for target in targets if items.done_of(target.id) == len(target.card_types))
    shown = [*lacking[:ROWS], *islice(rest, max(0, ROWS - len(lacking)))]
    columns, hidden = _columns(targets, items)
    rows = [_row(report, target, items, columns) for target in shown]
    complete = len(targets) - len(lacking)
    return Board(
        headline=headline,
        card_types=columns,
        card_types_not_shown=hidden,
        rows=rows,
        complete_not_shown=complete - max(0, len(rows) - len(lacking)),
        incomplete_not_shown=max(0, len(lacking) - ROWS),
        set_aside=frozenset(one.card_type for one in report.set_aside),
    )


def _columns(targets: Sequence[Target], items: EngineItems) -> tuple[list[str], int]:
    """Card types in the order of the plan, and the number of further ones."""
    types = list(dict.fromkeys(name for target in targets for name in target.card_types))
    if len(types) <= COLUMNS:
        return types, 0
    missing = Counter(item.card_type for item in items.missing())
    kept = set(sorted(types, key=lambda name: -missing[name])[:COLUMNS])
    return [name for name in types if name in kept], len(types) - COLUMNS


def _row(report: RunReport, target: Target, items: EngineItems, columns: Sequence[str]) -> Row:
    cards = _cells(items.of(target.id), columns)
    pictures = [None if card is None else picture_url(report, target, card) for card in cards]
    return Row(target.id, items.done_of(target.id), len(target.card_types), cards, pictures)


def _cells(cards: Sequence[ItemStatus], columns: Sequence[str]) -> list[ItemStatus | None]:
    by_type = {card.card_type: card for card in cards}
    return [by_type.get(name) for name in columns]
