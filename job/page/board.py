"""Board of a run's page: targets and their cards, made or missing and why; targets that lack a card come first.

Targets of which no card was attempted have one line together.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from job.engines.failures import CAUSES
from job.ledger.items import EngineItems, ItemStatus
from job.ledger.ledger import Ledger
from job.planning.targets import Target
from job.report.cards import complete_line, picture_url
from job.report.report import RunReport
from job.text.display import shortened
from job.text.messages import Message, listed, message, plural

ROWS = 300
"""Maximum number of rows; further targets are only counted."""
OPEN_ROWS = 40
"""A board with more rows is closed at first, and also one without missing cards."""
NAME_LIMIT = 60
COLUMNS = 24
"""Maximum number of columns; further card types are only counted."""


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
    untouched: Sequence[str]
    """Targets of which no card was attempted. They have no rows."""
    complete_not_shown: int
    incomplete_not_shown: int
    set_aside: frozenset[str]

    @property
    def is_open(self) -> bool:
        """Whether the board is open at first."""
        is_whole = not self.untouched and all(row.done == row.planned for row in self.rows)
        return len(self.rows) <= OPEN_ROWS and not is_whole

    @property
    def untouched_line(self) -> Message | None:
        """How many targets had no card attempted, with the first of their names."""
        if not self.untouched:
            return None
        return plural(
            "Nothing was attempted for 1 target: {names}",
            "Nothing was attempted for {count} targets: {names}",
            count=len(self.untouched),
            names=listed([shortened(name, NAME_LIMIT) for name in self.untouched]),
        )

    def why(self, card: ItemStatus) -> Message:
        """Why a card is missing, in a few words."""
        if card.state == "not_attempted":
            return message("type set aside") if card.card_type in self.set_aside else message("not attempted")
        return message(CAUSES[card.cause]) if card.cause else message("failed")


def board(report: RunReport, ledger: Ledger) -> Board | None:
    """The board of a run; `None` if it planned no card."""
    items = ledger.items["qa"]
    targets = [target for target in ledger.plan.targets if target.card_types]
    headline = complete_line(ledger)
    if headline is None:
        return None
    incomplete = [target for target in targets if items.done_of(target.id) < len(target.card_types)]
    untouched = [target.id for target in incomplete if _is_untouched(items.of(target.id))]
    left_out = set(untouched)
    lacking = [target for target in incomplete if target.id not in left_out]
    rest = (target for target in targets if items.done_of(target.id) == len(target.card_types))
    shown = [*lacking[:ROWS], *islice(rest, max(0, ROWS - len(lacking)))]
    columns, hidden = _columns(targets, items)
    rows = [_row(report, target, items, columns) for target in shown]
    complete = len(targets) - len(incomplete)
    return Board(
        headline=headline,
        card_types=columns,
        card_types_not_shown=hidden,
        rows=rows,
        untouched=untouched,
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


def _is_untouched(cards: Sequence[ItemStatus]) -> bool:
    return all(card.state == "not_attempted" for card in cards)


def _row(report: RunReport, target: Target, items: EngineItems, columns: Sequence[str]) -> Row:
    cards = _cells(items.of(target.id), columns)
    pictures = [None if card is None else picture_url(report, target, card) for card in cards]
    return Row(target.id, items.done_of(target.id), len(target.card_types), cards, pictures)


def _cells(cards: Sequence[ItemStatus], columns: Sequence[str]) -> list[ItemStatus | None]:
    by_type = {card.card_type: card for card in cards}
    return [by_type.get(name) for name in columns]
