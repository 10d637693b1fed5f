"""Board of a day's page: the matrix of targets and card types. Targets that lack a card come first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from job.config.targets import Target
from job.day.cards import complete_line, picture_url
from job.day.counts import ItemState
from job.day.items import EngineItems
from job.day.ledger import Ledger
from job.day.report import Report
from job.text.messages import Message

ROWS = 300
"""Maximum number of rows; further targets are only counted."""
OPEN_ROWS = 40
"""A board with more rows is closed at first."""
COLUMNS = 24
"""Maximum number of columns; further card types are only counted."""
MARKS: Mapping[ItemState, tuple[str, str]] = {
    "done": ("good", "✓"),
    "with_error": ("warn", "!"),
    "failed": ("bad", "✗"),
    "cut_off": ("warn", "–"),
    "not_attempted": ("warn", "–"),
    "left_out": ("soft", "○"),
}
NOT_PLANNED = ("soft", "·")


@dataclass(frozen=True, slots=True)
class Cell:
    """A card, or its absence."""

    kind: str
    mark: str
    picture: str | None = None
    """The link to its picture."""


@dataclass(frozen=True, slots=True)
class Board:
    """The targets that have cards, limited to `ROWS` rows and `COLUMNS` columns."""

    headline: Message
    """How many of all targets are complete."""
    card_types: Sequence[str]
    """The columns. If there are too many card types, those with the most missing cards."""
    rows: Sequence[tuple[str, Sequence[Cell]]]
    """Each target, with its cells."""
    is_open: bool
    """Whether it is open at first."""
    more_targets: int
    more_card_types: int


def board(report: Report, ledger: Ledger) -> Board | None:
    """The board of a day; `None` if no card was reached."""
    items, headline = ledger.items["qa"], complete_line(ledger)
    if headline is None or items.counts.done + items.counts.failed == 0:
        return None
    targets = [target for target in ledger.plan.targets if target.card_types]
    ordered = sorted(targets, key=lambda target: _rank(items, target))
    types = list(dict.fromkeys(name for target in targets for name in target.card_types))
    if len(types) > COLUMNS:
        missing = Counter(card.item.card_type for card in items.missing())
        kept = set(sorted(types, key=lambda name: -missing[name])[:COLUMNS])
        types = [name for name in types if name in kept]
    return Board(
        headline=headline,
        card_types=types,
        rows=[(target.id, _cells(report, items, target, types)) for target in ordered[:ROWS]],
        is_open=(not items.is_complete or items.counts.with_error > 0) and len(targets) <= OPEN_ROWS,
        more_targets=max(0, len(targets) - ROWS),
        more_card_types=len({name for target in targets for name in target.card_types}) - len(types),
    )


def _rank(items: EngineItems, target: Target) -> int:
    """Targets of which a card failed come first, then those that lack one, or have one with an error."""
    states = {card.state for card in items.of(target.id)}
    return 0 if "failed" in states else 1 if states != {"done"} else 2


def _cells(report: Report, items: EngineItems, target: Target, types: Sequence[str]) -> Sequence[Cell]:
    cards = {card.item.card_type: card for card in items.of(target.id)}
    return [
        Cell(*MARKS[card.state], picture_url(report, target, card)) if (card := cards.get(name)) else Cell(*NOT_PLANNED)
        for name in types
    ]
