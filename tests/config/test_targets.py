"""Every target gets exactly what the rules say: nothing is added, nothing lost, the order of the lists is kept."""

import json
from typing import Any

import pytest

from job.config.objects import parse_config
from job.config.plan import Target, make_plan, topic_key
from job.config.values import TEXT_LIMIT
from job.engines.calls import TARGET_ENGINES

TYPES = ["news_card", "earnings_card", "old_card"]


def resolved(**objects: Any) -> tuple[dict[str, Target], list[str]]:
    given = {"ticker_list": ["AAPL", "MSFT"], "card_types": TYPES} | objects
    config = parse_config({f"{name}.json": json.dumps(v).encode() for name, v in given.items()})
    plan, faults = make_plan(config, "2026-11-24", {})
    assert faults == []
    assert len(plan.by_id) == len(plan.targets)
    return dict(plan.by_id), [str(notice) for notice in plan.notices]


def entry(**given_entry: Any) -> Target:
    """The one entry of the config that is added to the tickers or overrides one."""
    targets, _ = resolved(card_targets=[given_entry])
    return targets[given_entry["id"]]


@pytest.mark.parametrize(
    ("category", "target_type", "kind"),
    [
        ("celebrity", None, "person"),
        ("person", None, "person"),
        (" People", None, "person"),
        ("equity", None, "equity"),
        ("macro", None, "topic"),
        (None, None, "topic"),
        ("celebrity", "topic", "topic"),
    ],
)
def test_the_kind_comes_from_target_type_then_from_category(
    category: str | None, target_type: str | None, kind: str
) -> None:
    given_entry = {"id": "Elon_Musk", "category": category, "target_type": target_type}
    target = entry(**{key: value for key, value in given_entry.items() if value is not None})
    assert target.kind == kind
    assert target.engines == (TARGET_ENGINES if kind == "equity" else ("news",))


def test_equities_default_is_not_a_target_but_the_default_of_all_tickers() -> None:
    default = {"id": "equities_default", "card_types": ["news_card"], "run_engines": {"trading": False}}
    others = [{"id": "MSFT", "run_engines": {"news": False}}, {"id": "Topic"}, {"id": "Elon", "target_type": "person"}]
    targets, _ = resolved(card_targets=[others[0], default, *others[1:]])
    assert {name: (list(target.card_types), target.engines) for name, target in targets.items()} == {
        "AAPL": (["news_card"], tuple(name for name in TARGET_ENGINES if name != "trading")),
        "MSFT": (["news_card"], tuple(name for name in TARGET_ENGINES if name not in {"trading", "news"})),
        "Topic": (TYPES, ("news",)),
        "Elon": (TYPES, ("news",)),
    }


def test_empty_card_types_mean_all_enabled_ones() -> None:
    assert entry(id="Topic", card_types=[]).card_types == tuple(TYPES)


@pytest.mark.parametrize(("topic", "key"), [("AI & Chips", "ai__chips"), ("a_B-9", "a_b9"), ("Zürich", "zrich")])
def test_topic_keys_are_those_of_the_news_engine(topic: str, key: str) -> None:
    assert topic_key(topic) == key


def test_keys_are_overridden_for_topics_and_never_derived_for_others() -> None:
    assert entry(id="美联储", topic_key="fed").key == "fed"
    assert entry(id="Elon_Musk", target_type="person").key == "Elon_Musk"
    assert entry(id="^GSPC", target_type="equity").key == "^GSPC"


def test_parameters_are_written_as_the_engine_reads_them() -> None:
    longest = "x" * TEXT_LIMIT
    given = {"h": longest, "g": "", "a": "x y", "b": 3, "c": 0.5, "d": True, "e": False, "f": 1e22}
    target = entry(id="Topic", extra_params=given)
    written = {"a": "x y", "b": "3", "c": "0.5", "d": "true", "e": "false", "f": "1e+22", "g": "", "h": longest}
    assert target.parameters == tuple(written.items()), "sorted: in another order they ask for the same"


def test_an_entry_that_becomes_a_topic_by_default_is_a_notice() -> None:
    """It may be a ticker that was removed from the list."""
    others = [{"id": "AAPL"}, {"id": "Macro", "category": "macro"}]
    targets, notices = resolved(
        ticker_list=["AAPL", "TSLA"], card_targets=[{"id": "APPL"}, {"id": "META"}, {"id": "META"}, *others]
    )
    assert "".join(notices[1:]) == (
        'card_targets.json: [0] ("APPL") (AAPL?), [1] ("META"): is not a ticker of ticker_list.json and has no '
        "target_type: it becomes a topic; correct it, add it to ticker_list.json, or give it a target_type"
    )
    assert [target.kind for target in targets.values()] == ["equity", "equity", "topic", "topic", "topic"]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_ticker_that_is_a_card_type_is_a_fault(enabled: bool) -> None:
    """That file was probably uploaded as the other; or the day would have few cards, and end well."""
    types = [{"name": "news_card", "enabled": enabled}, {"name": "price_card"}]
    objects = {"ticker_list": ["news_card", "AAPL", "price_card"], "card_types": types}
    config = parse_config({f"{name}.json": json.dumps(value).encode() for name, value in objects.items()})
    places = '[0] ("news_card"), [2] ("price_card")'
    assert [str(one) for one in make_plan(config, "2026-11-24", {})[1]] == [
        f"ticker_list.json: {places}: is a card type of card_types.json; check that this is the right object"
    ]
