"""A person names a card, a target or a type. A name that the plan lacks is a fault with the nearest names."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from job.config.plan import UNCONFIRMED_LIMIT, Plan, Target, left_out_faults, select
from job.engines.calls import TARGET_ENGINES
from tests.support.fakes import plan_of, target

CARDS = {
    "NVDA": ("news_card", "outlook_card"),
    "TSLA": ("outlook_card",),
    "Rate vs Inflation": ("news_card",),
    "none": (),
}


def plan_with(*more: str) -> Plan:
    cards = CARDS | dict.fromkeys(more, ("news_card",))
    targets = (Target(name, "equity", name, None, (), types) for name, types in cards.items())
    return replace(Plan.empty("2026-11-24"), targets=tuple(targets))


def chosen(plan: Plan, *names: str) -> list[str]:
    """The cards and data that these names stand for."""
    found, faults = select(plan, names, is_confirmed=True)
    assert faults == []
    return [f"{name}/{card}" if engine == "qa" else f"{engine} {name}" for engine, name, card in found]


@pytest.mark.parametrize(
    ("names", "cards"),
    [
        (["NVDA/news_card"], ["NVDA/news_card"]),
        (["NVDA"], ["NVDA/news_card", "NVDA/outlook_card"]),
        (["/outlook_card"], ["NVDA/outlook_card", "TSLA/outlook_card"]),
        (["TSLA", "NVDA/news_card", "TSLA"], ["NVDA/news_card", "TSLA/outlook_card"]),
    ],
)
def test_cards_are_found_by_name_in_the_order_of_the_plan(names: list[str], cards: list[str]) -> None:
    assert chosen(plan_with(), *names) == cards


def test_a_target_stands_for_its_data_too_and_all_for_everything() -> None:
    plan = plan_of([target("A"), target("B", engines=["news"])])
    assert chosen(plan, "B") == ["news B", "B/news_card"]
    everything = [*(f"{engine} A" for engine in TARGET_ENGINES), "news B", "A/news_card", "B/news_card"]
    assert chosen(plan, "all") == everything
    assert chosen(plan, "/news_card") == ["A/news_card", "B/news_card"], "the cards alone"
    assert chosen(plan_with("all"), "all") == ["all/news_card"], "unless a target has this name"


@pytest.mark.parametrize("name", ["NVDA/newscard", "nvda", "/outlok_card", ""])
def test_a_name_that_the_plan_lacks_is_a_fault_that_says_how_names_are_written(name: str) -> None:
    _, [fault] = select(plan_with(), ["TSLA", name], is_confirmed=True)
    assert str(fault).startswith(f'--again: "{name}" names nothing that this start makes; write NVDA/news_card for a ')


def test_many_cards_are_made_again_only_if_that_is_confirmed() -> None:
    few, many = (plan_of([target(f"T{n}") for n in range(UNCONFIRMED_LIMIT + more)]) for more in (0, 1))
    assert select(few, ["all"], is_confirmed=False)[1] == []
    assert select(many, ["all"], is_confirmed=True)[1] == []
    (fault,) = select(many, ["all"], is_confirmed=False)[1]
    assert str(fault) == "--again: makes 21 cards again, which are paid for again; add --yes if that is meant"


@pytest.mark.parametrize(
    ("names", "faults"),
    [
        (["NVDA", "none"], []),
        (["nvda"], ['--without: "nvda" is no target of the config; write it as the config does']),
        (list(CARDS), ["--without: leaves nothing to do; name fewer"]),
    ],
)
def test_targets_to_leave_out_are_those_of_the_config_and_not_all(names: list[str], faults: Sequence[str]) -> None:
    found = left_out_faults(plan_with(), names)
    assert len(found) == len(faults)
    assert all(str(one).startswith(start) for one, start in zip(found, faults, strict=True))


def test_no_number_of_names_takes_long_among_many_targets() -> None:
    """The loop is blocked meanwhile, on which the lease is renewed."""
    began = time.process_time()
    plan = plan_of([target(f"T{number:05}") for number in range(50_000)])
    numbers = [str(number) for number in range(500)]
    right = [f"T{number:05}" for number in range(49_000, 50_000)]
    _, faults = select(plan, numbers, is_confirmed=True)
    assert len(faults) == 500
    assert len(select(plan, [f"/{number}" for number in numbers], is_confirmed=True)[1]) == 500
    assert len(select(plan, right, is_confirmed=True)[0]) == 4000
    assert len(left_out_faults(plan, numbers)) == 500
    assert left_out_faults(plan, right) == []
    assert time.process_time() - began < 5
