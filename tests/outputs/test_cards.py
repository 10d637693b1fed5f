"""The table of the cards has a row for each planned card, and no cell that a spreadsheet takes for a formula."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from job.config.plan import Target
from job.day.ending import ending_of
from job.day.ledger import Ledger
from job.day.report import Report
from job.engines.failures import CUT_OFF, Cause, Failure
from job.outputs.cards import card_table
from job.text.messages import message, translator
from tests.support.days import SCENES
from tests.support.fakes import plan_of, target
from tests.support.records import DAY, begun, report_at, start_at
from tests.support.results import result_of

TIMEOUT = Failure(Cause.TIMEOUT, message("no answer in time"))
START = "1970-01-01 08:00:0"
HEADINGS = ["target", "kind", "card_type", "state", "cause", "attempts", "when (UTC+08:00)", "day", "url", "date"]
MIXED = [
    target("AAPL", "ab", ()),
    Target("美联储", "topic", "fed", None, (), ("c",)),
    Target("Elon_Musk", "person", "Elon_Musk", None, (), ("d",)),
]
FATES = {("AAPL", "a"): None, ("AAPL", "b"): TIMEOUT, ("美联储", "c"): CUT_OFF}
Recorded = tuple[Report, Ledger]


def recorded(targets: list[Target], fates: Mapping[tuple[str, str], Failure | None], **about: Any) -> Recorded:
    """A day of these targets, and what became of the cards that were requested."""
    ledger, moment = Ledger(plan_of(targets)), 0.0
    for call in ledger.plan.calls("qa"):
        if (card := (call.targets[0], call.card_type or "")) in fates:
            moment += 1
            ledger.add(result_of(call, fates[card], tries=2, started=moment - 1, ended=moment))
    return report_at(ending_of(ledger, None), ledger, start_at(**about)), ledger


def one(name: str, card_type: str = "a", **about: Any) -> Recorded:
    """A day with one card, which was made."""
    only = Target(name, "topic", name, None, (), (card_type,))
    return recorded([only], {(name, card_type): None}, **about)


def table(found: Recorded, language: Any = "en") -> bytes:
    return card_table(*found, translator(language))


def rows(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8-sig")
    return list(csv.reader(text.splitlines(keepends=True), strict=True))


def test_every_card_has_a_row_that_says_what_became_of_it_and_when() -> None:
    assert rows(table(recorded(MIXED, FATES))) == [
        HEADINGS,
        ["AAPL", "equity", "a", "made", "", "2", f"{START}1", DAY, "", DAY],
        ["AAPL", "equity", "b", "failed", "timeout", "2", f"{START}2", DAY, "", DAY],
        ["美联储", "topic", "c", "cut_off", "interrupted", "2", f"{START}3", DAY, "", DAY],
        ["Elon_Musk", "person", "d", "not_attempted", "", "0", "", DAY, "", DAY],
    ]


def test_the_headings_alone_are_in_the_language_of_the_reports() -> None:
    english, chinese = (rows(table(recorded(MIXED, FATES), language)) for language in ("en", "zh"))
    assert english[0] == HEADINGS
    assert chinese[0][:6] == ["标的", "类别", "图卡类型", "状态", "原因", "尝试次数"]
    assert chinese[1:] == english[1:]


PICTURES = "https://cards.example.com/{date}/{ticker}/{card_type}.png?of={ticker}"


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("a&b?c#d", "a%26b%3Fc%23d"), ("../x", "..%2Fx"), ("{card_type} 美", "%7Bcard_type%7D%20%E7%BE%8E")],
)
def test_no_id_changes_the_shape_of_a_url(name: str, escaped: str) -> None:
    found = rows(table(one(name, card_url=PICTURES)))
    assert found[1][8] == f"https://cards.example.com/{DAY}/{escaped}/a.png?of={escaped}"


def test_a_card_has_its_own_date_beside_the_day_that_it_was_made_for_and_a_picture_of_that_date() -> None:
    dated = [replace(MIXED[0], date="2026-11-20"), MIXED[1]]
    picture = "https://cards.example.com/2026-11-20/AAPL/a.png?of=AAPL"
    assert [row[7:] for row in rows(table(recorded(dated, FATES, card_url=PICTURES)))[1:]] == [
        [DAY, picture, "2026-11-20"],
        [DAY, "", "2026-11-20"],
        [DAY, "", DAY],
    ]


def test_it_is_rfc_4180_in_utf_8_with_a_byte_order_mark() -> None:
    found = table(recorded([replace(MIXED[1], id='a,"b"'), replace(MIXED[1], id="二\n行")], {}))
    assert found.startswith(b"\xef\xbb\xbftarget,kind,")
    assert b'\r\n"a,""b""",topic,c,not_attempted,,0,,2026-11-24,,2026-11-24\r\n"\xe4\xba\x8c\n' in found
    assert found.endswith(b"\r\n")


@pytest.mark.parametrize("prefix", [*"=+-@\t\r\n", *"＝＋－＠", " =", "\u3000-", "\t="])
def test_no_cell_begins_as_a_formula_does(prefix: str) -> None:
    name = f'{prefix}HYPERLINK("https://x","y")'
    text = table(one(name, prefix[0])).decode("utf-8-sig")
    (found,) = csv.reader([text.partition("\r\n")[2].removesuffix("\r\n")], strict=True)
    assert found[0] == f"'{name}"
    assert found[2] == (prefix[0] if prefix[0].isspace() and prefix[0] not in "\t\r\n" else f"'{prefix[0]}")


@pytest.mark.parametrize("name", ["^GSPC", "BRK.B", "EURUSD=X", "BTC-USD", "Rate vs Inflation", "0700.HK", "'x"])
def test_other_ids_are_written_unchanged(name: str) -> None:
    assert rows(table(one(name)))[1][0] == name


@pytest.mark.parametrize("scene", SCENES)
def test_made_failed_and_not_attempted_add_up(scene: str) -> None:
    view = SCENES[scene]()
    header, *found = rows(table((begun(view.report, card_url="https://pictures/{ticker}"), view.ledger)))
    assert header == HEADINGS
    states, cards = Counter(row[3] for row in found), view.report.cards
    assert len(found) == cards.planned
    assert states["made"] == cards.done == sum(bool(row[8]) for row in found)
    assert states["failed"] + states["cut_off"] == cards.failed
    assert states["left_out"] == cards.left_out
    assert states["not_attempted"] + states["left_out"] == cards.not_attempted
    assert len({(row[0], row[2]) for row in found}) == cards.planned
    assert all((row[5] == "0") == (row[6] == "") == (row[3] in {"not_attempted", "left_out"}) for row in found)
