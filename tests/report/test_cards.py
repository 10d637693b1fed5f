"""The table of the cards has a row for each planned card, and no cell that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import tracemalloc
from collections import Counter

import pytest

from job.planning.targets import Target
from job.report.cards import card_lines, card_table, picture_url
from job.text.messages import translator
from tests.support.cards import run, some_runs

START = "1970-01-01 01:00:0"
HEADINGS = [
    "target", "kind", "card_type", "state", "cause", "attempts", "when (UTC+01:00)", "run_id", "url",
    "made_again (UTC+01:00)",
]  # fmt: skip
MIXED = [("AAPL", "equity", "ab"), ("美联储", "topic", "c"), ("Elon_Musk", "person", "d")]
FATES = {("AAPL", "a"): None, ("AAPL", "b"): "timeout", ("美联储", "c"): "interrupted"}


def rows(table: bytes) -> list[list[str]]:
    text = table.decode("utf-8-sig")
    return list(csv.reader(text.splitlines(keepends=True), strict=True))


def test_every_card_has_a_row_that_says_what_became_of_it_and_when() -> None:
    table = card_table(*run(MIXED, FATES, set_aside="d"))
    assert rows(table) == [
        HEADINGS,
        ["AAPL", "equity", "a", "made", "", "2", f"{START}1", "run", "", ""],
        ["AAPL", "equity", "b", "failed", "timeout", "2", f"{START}2", "run", "", ""],
        ["美联储", "topic", "c", "cut_off", "interrupted", "2", f"{START}3", "run", "", ""],
        ["Elon_Musk", "person", "d", "not_attempted", "set_aside", "0", "", "run", "", ""],
    ]


def test_the_headings_alone_are_in_the_language_of_the_reports() -> None:
    recorded = run(MIXED, FATES)
    english, chinese = (rows(card_table(*recorded, translator(language))) for language in ("en", "zh"))
    assert chinese[0] == [
        "标的", "类别", "图卡类型", "状态", "原因", "尝试次数", "时间（UTC+01:00）", "运行 ID", "链接",
        "重新生成时间（UTC+01:00）",
    ]  # fmt: skip
    assert chinese[1:] == english[1:]


PICTURES = "https://cards.example.com/{date}/{ticker}/{card_type}.png?of={ticker}"


def test_a_made_card_has_the_url_of_its_picture_and_no_other_has() -> None:
    report, ledger = run(MIXED, FATES)
    found = rows(card_table(report.model_copy(update={"card_url": PICTURES}), ledger))
    assert [row[8] for row in found[1:]] == [f"https://cards.example.com/{report.day}/AAPL/a.png?of=AAPL", "", "", ""]


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("0700.HK", "0700.HK"),
        ("a&b?c#d", "a%26b%3Fc%23d"),
        ("../x", "..%2Fx"),
        ("Rate vs 100%", "Rate%20vs%20100%25"),
        ("美", "%E7%BE%8E"),
        ("{card_type}", "%7Bcard_type%7D"),
        ('"><b>', "%22%3E%3Cb%3E"),
        ("\ud800", "%3F"),
    ],
)
def test_no_id_changes_the_shape_of_a_url(name: str, escaped: str) -> None:
    report, ledger = run([(name, "topic", "a")], {(name, "a"): None})
    found = rows(card_table(report.model_copy(update={"card_url": PICTURES}), ledger))
    assert found[1][8] == f"https://cards.example.com/{report.day}/{escaped}/a.png?of={escaped}"


def test_a_target_with_a_date_of_its_own_has_a_picture_of_that_date() -> None:
    target = Target("AAPL", "equity", "AAPL", "2020-02-02", (), ("a",))
    report, ledger = run([("AAPL", "equity", "a")], {("AAPL", "a"): None})
    with_url = report.model_copy(update={"card_url": PICTURES})
    (card,) = ledger.items["qa"].of("AAPL")
    assert picture_url(with_url, target, card) == "https://cards.example.com/2020-02-02/AAPL/a.png?of=AAPL"
    assert picture_url(report, target, card) is None


def test_it_is_rfc_4180_in_utf_8_with_a_byte_order_mark() -> None:
    table = card_table(*run([('a,"b"', "topic", "a"), ("二\n行", "topic", "a")], {}))
    assert table.startswith(b"\xef\xbb\xbftarget,kind,")
    assert b'\r\n"a,""b""",topic,a,not_attempted,,0,,run,,\r\n"\xe4\xba\x8c\n' in table
    assert table.endswith(b"\r\n")


@pytest.mark.parametrize("prefix", [*"=+-@\t\r\n", *"＝＋－＠", " =", "\u3000-", "\t="])
def test_no_cell_begins_as_a_formula_does(prefix: str) -> None:
    name = f'{prefix}HYPERLINK("https://x","y")'
    table = card_table(*run([(name, "topic", prefix[0])], {(name, prefix[0]): None}))
    text = table.decode("utf-8-sig")
    (found,) = csv.reader([text.partition("\r\n")[2].removesuffix("\r\n")], strict=True)
    assert found[0] == f"'{name}"
    assert found[2] == (prefix[0] if prefix[0].isspace() and prefix[0] not in "\t\r\n" else f"'{prefix[0]}")


@pytest.mark.parametrize("name", ["^GSPC", "BRK.B", "EURUSD=X", "BTC-USD", "Rate vs Inflation", "0700.HK", "'x"])
def test_other_ids_are_written_unchanged(name: str) -> None:
    assert rows(card_table(*run([(name, "topic", "a")], {})))[1][0] == name


def test_an_id_with_a_lone_surrogate_can_be_written() -> None:
    assert rows(card_table(*run([("\ud800", "topic", "a")], {})))[1][0] == "?"


def test_made_failed_and_not_attempted_add_up() -> None:
    for report, ledger in some_runs():
        header, *found = rows(card_table(report, ledger))
        assert header == HEADINGS
        states = Counter(row[3] for row in found)
        cards = report.cards
        assert len(found) == cards.planned
        assert states["made"] == cards.generated
        assert states["failed"] + states["cut_off"] == cards.failed
        assert states["not_attempted"] == cards.not_attempted
        assert len({(row[0], row[2]) for row in found}) == cards.planned
        assert all((row[5] == "0") == (row[6] == "") == (row[3] == "not_attempted") for row in found)


def test_a_large_table_is_made_some_rows_at_a_time() -> None:
    recorded = run([(f"T{number}", "equity", "abcdefghij") for number in range(3000)], {})
    tracemalloc.start()
    size = sum(map(len, card_lines(*recorded)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 1_000_000
    assert peak < size / 2
