"""The board shows every target and its cards: made, missing and why, or not requested."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

from job.page.board import COLUMNS, ROWS, Board, board
from job.page.render import render_page
from tests.support.cards import run, some_runs


def shown(*recorded: object) -> Board:
    found = board(*recorded)  # type: ignore[arg-type]
    assert found is not None
    return found


class Table(HTMLParser):
    """The rows of the page's board: the text of each cell."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_in = self._is_cell = False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = dict(attrs).get("class") or ""
        self._is_in |= tag == "table" and classes == "board"
        if self._is_in and tag == "tr":
            self.rows.append([])
        if self._is_in and tag in {"td", "th"}:
            self._is_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._is_in &= tag != "table"
        self._is_cell &= tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._is_in and self._is_cell:
            self.rows[-1][-1] += data


MIXED = [("AAPL", "equity", "ab"), ("0700.HK", "equity", "abc"), ("^GSPC", "equity", "a"), ("NONE", "equity", "")]
FATES = {("AAPL", "a"): None, ("AAPL", "b"): None, ("0700.HK", "a"): None, ("0700.HK", "b"): "timeout"}


def test_the_incomplete_are_first_and_every_card_says_what_became_of_it() -> None:
    recorded = run(MIXED, {**FATES, ("^GSPC", "a"): "interrupted"}, set_aside="c")
    assert str(shown(*recorded).headline) == "Complete: 1 of 3 stocks"
    assert Table(render_page(*recorded, ())).rows == [
        ["Target", "Made", "a", "b", "c"],
        ["0700.HK", "1 of 3", "✓", "✗ no answer in time", "– type set aside"],
        ["^GSPC", "0 of 1", "– cut off", "·", "·"],
        ["AAPL", "2 of 2", "✓", "✓", "·"],
    ]


def test_every_made_card_links_to_its_picture_and_no_other_does() -> None:
    report, ledger = run([*MIXED, ('"&', "topic", "a")], {**FATES, ('"&', "a"): None})
    template = "https://cards.example.com/{date}/{ticker}/{card_type}.png?a&b"
    page = render_page(report.model_copy(update={"card_url": template}), ledger, ()).decode()
    links = re.findall(r'<td class="made" data-is="\w"><a href="([^"]*)"', page)
    made = ("0700.HK/a", "AAPL/a", "AAPL/b", "%22%26/a")
    assert links == [f"https://cards.example.com/{report.day}/{one}.png?a&amp;b" for one in made]
    assert page.count("cards.example.com") == len(made)
    assert Table(page.encode()).rows == Table(render_page(report, ledger, ())).rows


def test_topics_and_persons_are_not_counted_as_stocks() -> None:
    targets = [("美联储", "topic", "a"), ("Elon_Musk", "person", "a")]
    recorded = run(targets, {("美联储", "a"): None, ("Elon_Musk", "a"): "timeout"})
    assert str(shown(*recorded).headline) == "Complete: 1 of 2 targets"
    assert Table(render_page(*recorded, ())).rows[2] == ["美联储", "1 of 1", "✓"]


def test_without_a_planned_card_there_is_no_board() -> None:
    recorded = run([("AAPL", "equity", "")], {})
    assert board(*recorded) is None
    assert b'id="board"' not in render_page(*recorded, ())


def test_a_cause_of_another_version_is_a_failure() -> None:
    recorded = run([("AAPL", "equity", "a")], {("AAPL", "a"): "of another version"})
    assert Table(render_page(*recorded, ())).rows[1] == ["AAPL", "0 of 1", "✗ failed"]


def test_of_many_targets_300_have_a_row_and_the_rest_is_counted() -> None:
    names = [f"T{number:04}" for number in range(1000)]
    fates = {(name, "a"): None if number < 800 else "timeout" for number, name in enumerate(names)}
    recorded = run([(name, "equity", "a") for name in names], fates)
    found = shown(*recorded)
    assert [row.target for row in found.rows] == [*names[800:], *names[:100]]
    assert (found.incomplete_not_shown, found.complete_not_shown) == (0, 700)
    assert not found.is_open
    page = render_page(*recorded, ()).decode()
    assert "And 700 more that are complete." in page
    assert "more that lack a card" not in page
    assert "--missing" not in page


def test_of_many_incomplete_targets_a_command_names_the_rest() -> None:
    names = [f"T{number}" for number in range(1000)]
    fates = {(name, "a"): None if name == "T5" else "timeout" for name in names}
    recorded = run([(name, "equity", "a") for name in names], fates)
    found = shown(*recorded)
    assert (len(found.rows), found.incomplete_not_shown, found.complete_not_shown) == (ROWS, 699, 1)
    page = " ".join(render_page(*recorded, ()).decode().split())
    assert "And 699 more that lack a card. And 1 more that are complete." in page
    assert "Every missing card by name: <code>python -m job report run --missing</code>" in page


def test_targets_of_which_nothing_was_attempted_have_one_line_together() -> None:
    untouched = [(f"T{number}", "equity", "ab") for number in range(14)]
    recorded = run([("A", "equity", "ab"), *untouched], {("A", "a"): None})
    page = " ".join(render_page(*recorded, ()).decode().split())
    assert len(Table(page.encode()).rows) == 2
    names = ", ".join(f"T{number}" for number in range(10))
    assert f"Nothing was attempted for 14 targets: {names} and 4 more" in page
    assert "Every missing card by name: " in page
    assert "Nothing was attempted" not in render_page(*run(MIXED, FATES | {("^GSPC", "a"): None}), ()).decode()


def test_of_many_card_types_those_have_a_column_of_which_cards_are_missing() -> None:
    types = "".join(chr(ord("一") + number) for number in range(40))
    recorded = run([("A", "equity", types), ("B", "equity", types[:2])], {("A", name): None for name in types[:-5]})
    found = shown(*recorded)
    assert len(found.card_types) == COLUMNS
    assert set(types[-5:]) | set(types[:2]) <= set(found.card_types)
    assert found.card_types_not_shown == 16
    assert list(found.card_types) == sorted(found.card_types), "in the order of the plan"
    assert "And 16 more card types." in render_page(*recorded, ()).decode()


def test_it_is_open_if_something_is_missing_and_it_is_short() -> None:
    assert shown(*run(MIXED, FATES)).is_open
    assert not shown(*run([("A", "equity", "a")], {("A", "a"): None})).is_open


def test_made_failed_and_not_attempted_add_up() -> None:
    for report, ledger in some_runs():
        found = board(report, ledger)
        states = Counter(card.state for row in found.rows for card in row.cards if card) if found else Counter[str]()
        cards = report.cards
        assert states["done"] == cards.generated
        assert states["failed"] + states["cut_off"] == cards.failed
        untouched = sum(len(one.card_types) for one in ledger.plan.targets if found and one.id in found.untouched)
        assert states["not_attempted"] + untouched == cards.not_attempted
        assert sum(states.values()) + untouched == cards.planned
        if found:
            complete = sum(row.done == row.planned for row in found.rows)
            targets = len(found.rows) + len(found.untouched)
            assert str(found.headline).startswith(f"Complete: {complete} of {targets} ")
