"""A person names a card, a target or a type. A name that the plan lacks is a fault with the nearest names."""

from __future__ import annotations

import pytest

from job.config.schema import LlmConfig
from job.planning.plan import Plan
from job.planning.selection import select_cards
from job.planning.targets import Target

CARDS = {
    "NVDA": ("news_card", "outlook_card"),
    "TSLA": ("outlook_card",),
    "Rate vs Inflation": ("news_card",),
    "a/b": ("news_card",),
    "a": ("b/c", "news_card"),
    "none": (),
}
PLAN = Plan(
    tuple(Target(name, "equity", name, None, (), types) for name, types in CARDS.items()), LlmConfig(), None, {}
)


@pytest.mark.parametrize(
    ("names", "cards"),
    [
        (["NVDA/news_card"], [("NVDA", "news_card")]),
        (["NVDA"], [("NVDA", "news_card"), ("NVDA", "outlook_card")]),
        (["/outlook_card"], [("NVDA", "outlook_card"), ("TSLA", "outlook_card")]),
        (["TSLA", "NVDA/news_card", "TSLA"], [("NVDA", "news_card"), ("TSLA", "outlook_card")]),
        (["Rate vs Inflation/news_card"], [("Rate vs Inflation", "news_card")]),
        (["a/b"], [("a/b", "news_card")]),
        (["a/b/news_card"], [("a/b", "news_card")]),
        (["a/b/c"], [("a", "b/c")]),
    ],
)
def test_cards_are_found_by_name_in_the_order_of_the_plan(names: list[str], cards: list[tuple[str, str]]) -> None:
    assert select_cards(PLAN, names) == (cards, [])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("NVDA/newscard", "the nearest: NVDA/news_card"),
        ("nvda", "the nearest: NVDA"),
        ("NDVA/outlook_card", "the nearest: NVDA/outlook_card"),
        ("/outlok_card", "the nearest: /outlook_card"),
        ("TSLA/news_card", "there are: TSLA/outlook_card"),
        ("none", "there are: NVDA, TSLA"),
        ("", "there are: /news_card"),
    ],
)
def test_a_name_that_the_plan_lacks_is_a_fault_with_the_nearest_names(name: str, remedy: str) -> None:
    cards, [fault] = select_cards(PLAN, ["TSLA", name])
    assert (str(fault.where), cards) == (f'"{name}"', [("TSLA", "outlook_card")])
    assert str(fault.remedy).startswith(remedy)
