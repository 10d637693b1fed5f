"""What is left out of a run is gone from its config objects, in each of their forms, and nothing else changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from job.planning.left_out import LEFT_OUT_LIMIT, faults_of, leave_out, without
from job.planning.prepare import Prepared, make_plan
from job.storage.store import StoredObject

if TYPE_CHECKING:
    from job.planning.plan import Plan

TICKERS = ["AAPL", "MSFT", "^GSPC", "-X"]
TYPES = ["news_card", "price_card"]
SIZES = {"financial": 2, "trading": 2}


def contents_of(tickers: object = TICKERS, targets: object = None, types: object = TYPES) -> dict[str, bytes]:
    objects = {"ticker_list.json": tickers, "card_types.json": types, "card_targets.json": targets}
    return {name: json.dumps(value).encode() for name, value in objects.items() if value is not None}


def prepared(contents: dict[str, bytes]) -> Prepared:
    plan, faults, notices = make_plan(contents, None, SIZES)  # type: ignore[arg-type]
    assert faults == []
    return Prepared(plan, {name: StoredObject(data, f"{name} 1", 0.0) for name, data in contents.items()}, (*notices,))


def left(contents: dict[str, bytes], *names: str) -> Plan | None:
    """The plan without these targets, and nothing but them."""
    before = prepared(contents)
    targets = [target for target in before.plan.targets if target.id in names]
    assert {target.id for target in targets} == set(names)
    after = leave_out(before, targets)
    if after is None:
        return None
    rest = tuple(target for target in before.plan.targets if target.id not in names)
    assert after.plan.targets == rest, "all others get what they got"
    assert after.plan.left_out == tuple(targets)
    assert set(after.plan.whole.targets) == set(before.plan.targets)
    assert after.plan.digest() != before.plan.digest(), "its barrier is another"
    again, faults, _ = make_plan({name: one.data for name, one in after.objects.items()}, None, SIZES)  # type: ignore[arg-type]
    assert (again.targets, faults) == (rest, [])
    return after.plan


@pytest.mark.parametrize(
    "targets",
    [
        None,
        {"MSFT": ["news_card"]},
        {"MSFT": ["news_card"], "AAPL": ["price_card"]},
        [{"id": "MSFT"}],
        [{"id": "MSFT", "card_types": ["news_card"]}, {"id": "Fed", "category": "macro"}],
        [{"id": "MSFT"}, {"id": "MSFT"}, {"id": "AAPL", "extra_params": {"a": 1.5, "b": 1e3, "c": True}}],
        [{"id": "equities_default", "card_types": ["news_card"]}, {"id": "MSFT", "category": "macro"}],
        [{"id": "equities_default", "run_engines": {"news": False}}],
    ],
)
def test_a_ticker_is_gone_from_the_list_and_from_both_forms_of_the_targets(targets: object) -> None:
    plan = left(contents_of(targets=targets), "MSFT")
    assert plan is not None
    assert plan.count_left_out("qa") + plan.count("qa") == plan.whole.count("qa")


@pytest.mark.parametrize("name", ["^GSPC", "-X", "Fed, rates", "Elon_Musk", "美联储"])
def test_ids_of_every_kind_can_be_left_out(name: str) -> None:
    entries = [{"id": "Fed, rates"}, {"id": "Elon_Musk", "category": "celebrity"}, {"id": "美联储", "topic_key": "fed"}]
    assert left(contents_of(targets=entries), name) is not None


def test_a_ticker_that_is_there_twice_is_gone_twice() -> None:
    assert left(contents_of(["MSFT", "AAPL", "MSFT"]), "MSFT") is not None


def test_what_names_none_of_them_stays_byte_for_byte() -> None:
    contents = contents_of(targets=[{"id": "Fed"}]) | {"ticker_list.json": b'\xef\xbb\xbf[ "AAPL",\n"MSFT"]'}
    assert without(contents, {"TSLA"}) == contents
    after = without(contents, {"MSFT"})
    assert json.loads(after["ticker_list.json"]) == ["AAPL"]
    assert {**after, "ticker_list.json": b""} == {**contents, "ticker_list.json": b""}
    assert without(after, {"MSFT"}) == after
    assert without(contents, {"MSFT", "AAPL"}) == without(after, {"MSFT", "AAPL"})


def test_card_types_and_the_defaults_of_all_tickers_are_no_targets() -> None:
    """Not even if a ticker has the name."""
    entries = [{"id": "equities_default", "card_types": ["news_card"]}, {"id": "news_card"}]
    types = [{"name": "news_card"}, {"name": "price_card", "enabled": False}]
    contents = contents_of(["AAPL", "equities_default"], entries, types)
    after = without(contents, {"equities_default", "news_card"})
    assert json.loads(after["card_targets.json"]) == entries[:1]
    assert json.loads(after["ticker_list.json"]) == ["AAPL"]
    assert after["card_types.json"] == contents["card_types.json"]


@pytest.mark.parametrize(
    "contents",
    [
        contents_of(["MSFT"]),
        contents_of(["MSFT"], [{"id": "Fed"}]),  # the list of tickers needs one
        contents_of(
            ["MSFT", "AAPL"],
            {"AAPL": ["price_card"]},
            [{"name": "news_card"}, {"name": "price_card", "enabled": False}],
        ),
    ],
)
def test_where_nothing_is_left_there_is_no_plan(contents: dict[str, bytes]) -> None:
    assert left(contents, "MSFT") is None


@pytest.mark.parametrize(
    "content", [b"", b"[", b'"MSFT"', b"[[1], {}, null]", b'[{"id": ["MSFT"]}, "MSFT", 7]', b"\xff"]
)
def test_a_present_config_that_was_not_checked_yet_is_compared_as_it_is(content: bytes) -> None:
    assert without({"card_targets.json": content}, {"MSFT"}) == {"card_targets.json": content}


def test_each_wrong_name_is_a_fault_with_the_nearest_names() -> None:
    plan = prepared(contents_of()).plan
    assert faults_of(["MSFT", "TSLA"], plan, {"TSLA"}) == []
    assert [str(fault) for fault in faults_of(["mfst", "mfst", "黄金", "GSPC", "TSLX"], plan, {"TSLA"})] == [
        '--without: "mfst" is no target of the run; the nearest: MSFT',
        '--without: "黄金" is no target of the run; there are: AAPL, MSFT, ^GSPC, -X, TSLA',
        '--without: "GSPC" is no target of the run; the nearest: ^GSPC',
        '--without: "TSLX" is no target of the run; the nearest: TSLA',
    ]


def test_more_than_twenty_are_too_many_together_with_those_that_are_out_already() -> None:
    names = [f"T{number}" for number in range(LEFT_OUT_LIMIT + 1)]
    plan = prepared(contents_of(names)).plan
    assert faults_of(names[1:], plan, set()) == []
    assert faults_of(names[1:], plan, {names[1]}) == []
    (fault,) = faults_of(names[1:], plan, {names[0]})
    assert str(fault).startswith("--without: 21 targets are too many: 20 may be left out; correct the config")
