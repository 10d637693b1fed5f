"""What is probably mistyped is a notice with the nearest known spelling; what a complete night had is not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from job.planning.prepare import make_plan
from job.planning.typos import Known, typos

DAY = "2026-11-26"
REAL = ["AAPL", "BRK.B", "0700.HK", "600519.SS", "^GSPC", "BTC-USD", "EURUSD=X", "GC=F"]
FREE = [
    {"id": "Elon_Musk", "target_type": "person"},
    {"id": "Rate vs Inflation", "target_type": "topic"},
    {"id": "美联储", "target_type": "topic", "topic_key": "fed"},
    {"id": "aapl。", "category": "macro"},
]


def objects(tickers: list[str], **more: Any) -> dict[str, bytes]:
    given = {"ticker_list": tickers, "card_types": ["news_card"], **more}
    return {f"{name}.json": json.dumps(value).encode() for name, value in given.items()}


def known_of(tickers: list[str], **more: Any) -> Known:
    return Known.of(DAY, make_plan(objects(tickers, **more), None, {})[0], ())


def notices(known: Known | None, tickers: list[str], **more: Any) -> list[str]:
    given = objects(tickers, **more)
    plan, faults, own = make_plan(given, None, {})
    assert not faults
    found = [str(one) for one in typos(given, plan, known)]
    assert not {one.partition(": ")[2] for one in found} & {str(one).partition(": ")[2] for one in own}
    return found


TYPOS = {
    # what is written: (the nearest known spelling, what is odd about it)
    "aapl": ("AAPL", "has lower-case letters, and tickers are in capitals"),
    "0700.hk": ("0700.HK", "has lower-case letters, and tickers are in capitals"),
    "6005l9.SS": ("600519.SS", "has lower-case letters, and tickers are in capitals"),
    "0700.HK。": ("0700.HK", "holds a letter or sign that no ticker has"),
    "0700·HK": ("0700.HK", "holds a letter or sign that no ticker has"),
    "贵州茅台": (None, "holds a letter or sign that no ticker has"),
    "AAPL US": ("AAPL", "holds a space"),
    "600519": ("600519.SS", "is a bare number, without the suffix of an exchange"),
    "0700HK": ("0700.HK", "has no dot between number and suffix"),
    "600519.SH": ("600519.SS", f"no ticker of {DAY} has this suffix"),
    "601318.SH": ("601318.SS", f"no ticker of {DAY} has this suffix"),
    "O700.HK": ("0700.HK", f"is new, almost like one of {DAY}"),
    "700.HK": ("0700.HK", f"is new, almost like one of {DAY}"),
    "BRK-B": ("BRK.B", f"is new, almost like one of {DAY}"),
    "GSPC": ("^GSPC", f"is new, almost like one of {DAY}"),
    "BTCUSD": ("BTC-USD", f"is new, almost like one of {DAY}"),
    "APPL": ("AAPL", f"is new, almost like one of {DAY}"),
    "APAL": ("AAPL", f"is new, almost like one of {DAY}"),
}


def beside(typo: str) -> list[str]:
    """The real tickers and the typo, without the one that differs in its case alone: that has a notice already."""
    return [*(one for one in REAL if one != typo.upper()), typo]


@pytest.mark.parametrize(("typo", "expected"), TYPOS.items(), ids=TYPOS)
def test_typos_beside_the_tickers_of_last_night(typo: str, expected: tuple[str | None, str]) -> None:
    near, odd = expected
    tickers = beside(typo)
    shown = f'"{typo}"' if near is None else f'"{typo}" ≈ "{near}"'
    assert notices(known_of(REAL), tickers) == [
        f"ticker_list.json: [{len(tickers) - 1}] ({shown}): {odd}; is that what you mean?"
    ]


@pytest.mark.parametrize("wrong", ["APLL", "AAPK", "BAPL"])
def test_a_ticker_in_place_of_one_that_is_gone(wrong: str) -> None:
    tickers = [wrong if one == "AAPL" else one for one in REAL]
    (notice,) = notices(known_of(REAL), tickers)
    assert notice.startswith(f'ticker_list.json: [0] ("{wrong}" ≈ "AAPL"): is new, ')


@pytest.mark.parametrize("typo", [typo for typo, (_, odd) in TYPOS.items() if DAY not in odd])
def test_without_a_night_before_the_odd_ones_are_noticed_too(typo: str) -> None:
    (notice,) = notices(None, beside(typo))
    assert f'"{typo}"' in notice


@pytest.mark.parametrize("known", [None, known_of(["MSFT", "600036.SS", "0005.HK"]), known_of(REAL)])
def test_real_ids_and_free_text_are_no_typos(known: Known | None) -> None:
    assert notices(known, REAL, card_targets=FREE) == []


NEW = [
    "NVDA",
    "TSLA",
    "GOOGL",
    "GOOG",
    "AAP",
    "AMAT",
    "MSFT",
    "BF.B",
    "9988.HK",
    "601318.SS",
    "^HSI",
    "ETH-USD",
    "CL=F",
]


def test_new_tickers_of_known_kinds_are_no_typos() -> None:
    assert notices(known_of([*REAL, "GOOG", "AMD"]), [*REAL, *NEW]) == []


def test_no_id_is_noticed_on_its_second_night_whatever_it_is() -> None:
    tickers = [*REAL, *TYPOS]
    assert len(notices(None, tickers)) > 3
    assert notices(known_of(tickers), tickers) == []


def test_what_a_night_missed_is_not_known() -> None:
    plan = make_plan(objects([*REAL, "aapl us"]), None, {})[0]
    assert len(notices(Known.of(DAY, plan, {"aapl us"}), [*REAL, "aapl us"])) == 1


def test_an_oddity_that_known_tickers_have_too_is_none() -> None:
    assert notices(known_of(["600519", "MSFT"]), ["600519", "600036", "MSFT"]) == []


def test_the_suffix_of_a_new_exchange_is_one_notice() -> None:
    found = notices(known_of(REAL), [*REAL, "600036.SH", "601318.SH", "ASML.AS", "MC.PA", "7203.T"])
    shown = 'ticker_list.json: [8] ("600036.SH" ≈ "600036.SS"), [9] ("601318.SH" ≈ "601318.SS"), [10] ("ASML.AS")'
    assert found == [f"{shown} and 2 more: no ticker of {DAY} has this suffix; is that what you mean?"]
    assert notices(known_of(["AAPL"]), ["AAPL", "0700.HK"]) == [], "none had any suffix"


def test_the_suggested_suffix_is_that_of_the_same_number_or_of_similar_ones() -> None:
    known = known_of(["300750.SZ", "300124.SZ", "300059.SZ", "002594.SZ", "600519.SS"])
    found = notices(known, ["600519.SH", "300750.SHE", "601318.SH", "430047.BJ"])
    shown = '[0] ("600519.SH" ≈ "600519.SS"), [1] ("300750.SHE" ≈ "300750.SZ"), [2] ("601318.SH" ≈ "601318.SS")'
    assert found[0].startswith(f"ticker_list.json: {shown} and 1 more: ")
    assert notices(known, ["430047.BJ"])[0].startswith('ticker_list.json: [0] ("430047.BJ"): no ticker of ')


def test_a_twin_is_left_to_its_own_notice() -> None:
    assert notices(known_of(REAL), [*REAL, "Aapl"]) == []
    plan_notices = make_plan(objects([*REAL, "Aapl"]), None, {})[2]
    assert len(plan_notices) == 1


def test_the_place_is_that_of_the_object_that_has_the_ticker() -> None:
    targets = [{"id": "Rates"}, {"id": "tsla", "target_type": "equity"}]
    assert notices(None, ["AAPL", "AAPL", "msft"], card_targets=targets) == [
        'ticker_list.json: [2] ("msft"): has lower-case letters, and tickers are in capitals; is that what you mean?',
        'card_targets.json: [1] ("tsla"): has lower-case letters, and tickers are in capitals; is that what you mean?',
    ]


TYPES: dict[str, Any] = {
    "card_types": [{"name": "news_card"}, {"name": "risk_card"}, {"name": "off_card", "enabled": False}]
}


def test_a_card_type_that_nobody_asks_for() -> None:
    default = [{"id": "equities_default", "card_types": ["news_card"]}]
    said = 'card_types.json: "risk_card" is asked for by no target; add it to "equities_default" in card_targets.json'
    for known in (None, known_of(["AAPL"])):
        (notice,) = notices(known, ["AAPL"], **TYPES, card_targets=default)
        assert notice == said
    for simple in ({"AAPL": ["news_card"]}, [{"id": "AAPL", "card_types": ["news_card"]}]):
        (notice,) = notices(None, ["AAPL"], **TYPES, card_targets=simple)
        assert notice == (
            'card_types.json: "risk_card" is asked for by no target; add it to those that need it in card_targets.json'
        )
    assert notices(None, ["AAPL"], **TYPES) == [], "without card_targets.json every ticker gets it"
    assert notices(known_of(["AAPL"], **TYPES), ["AAPL"], **TYPES, card_targets=default) == [], (
        "it was left out on purpose"
    )


def test_a_card_type_in_place_of_one_that_is_gone() -> None:
    known = known_of(["AAPL"], card_types=["news_card", "outlook_card"])
    assert notices(known, ["AAPL"], card_types=["newz_card", "outlook_card"]) == [
        f'card_types.json: "newz_card" is new, and "news_card" of {DAY} is gone; is that what you mean?'
    ]
    assert notices(known, ["AAPL"], card_types=["news_card", "outlook_card", "news_cards"]) == []


def test_many_new_tickers_take_little_time() -> None:
    known = known_of([f"{number:06}.SS" for number in range(0, 6_000, 2)])
    began = time.process_time()
    found = notices(known, [f"{number:06}.sh" for number in range(1, 6_000, 2)])
    assert time.process_time() - began < 1.0
    assert len(found) == 1
