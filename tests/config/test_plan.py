"""Every target gets exactly what the rules say; the plan holds every call once; its counts are those of its calls."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.config.objects import CARD_TYPE_NAME, LlmConfig, parse_config
from job.config.plan import UNCONFIRMED_LIMIT, Plan, Target, left_out_faults, make_plan, select, topic_key
from job.config.values import ID_LIMIT, TEXT_LIMIT
from job.day.ledger import Ledger
from job.engines.calls import TARGET_ENGINES, Call, EngineName, Item, Kind, card, news
from job.engines.http import HttpClient, Network
from job.engines.tls import tls_context
from tests.support.fakes import plan_of, settings_of, target

DAY = "2026-11-24"
NETWORK = Network(tls_context(None))

targets = st.lists(
    st.builds(
        target,
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
        st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        st.lists(st.sampled_from(TARGET_ENGINES), unique=True),
    ),
    unique_by=lambda made: made.id,
    max_size=12,
)


def test_an_engine_without_targets_is_called_once_whatever_is_left_out_of_the_plan() -> None:
    """No engine of today is one. A target may have its name."""
    plan = plan_of([target("A", engines=()), replace(target("news", engines=()), date="2026-11-20")])
    made = replace(plan, daily=("news",)).without(["news"])
    data = Item("news", "news", None)
    assert (made.engines(), len(made.items("news")), len(plan.items("news"))) == (("news", "qa"), 1, 0)
    assert [(call.items, call.date, call.body) for call in made.calls("news")] == [
        ([data], made.date_of(data), b'{"date":"2026-11-24"}')
    ]
    assert made.digest != plan.digest
    assert data in select(made, ["all"], is_confirmed=True)[0]
    assert not Ledger(made).is_ready


@settings(max_examples=30)
@given(targets, st.integers(1, 5))
def test_counts_are_those_of_the_calls(made: list[Target], size: int) -> None:
    plan = plan_of(made, settings_of({"financial": {"batch_size": size}, "trading": {"batch_size": size}}))
    for engine in TARGET_ENGINES:
        asked = [name for call in plan.calls(engine) for name in call.targets]
        assert asked == [each.id for each in made if engine in each.engines]
        assert len(plan.items(engine)) == len(asked)
        assert all(1 <= len(call.targets) <= (size if engine != "news" else 1) for call in plan.calls(engine))
    cards = [(call.targets[0], call.card_type) for call in plan.calls("qa")]
    assert cards == [(each.id, name) for each in made for name in each.card_types]
    assert len(plan.items("qa")) == len(cards)
    assert all(len(plan.items(engine)) for engine in plan.engines())


def test_the_entrys_date_overrides_the_days() -> None:
    dated = Target("B", "equity", "B", "2026-01-02", TARGET_ENGINES, ("c",))
    plan = plan_of([target("A"), dated])
    assert [json.loads(call.body or b"")["date"] for call in plan.calls("news")] == [DAY, "2026-01-02"]
    assert [parameters(call)["date_str"] for call in plan.calls("qa")] == [DAY, "2026-01-02"]
    for engine in plan.engines():
        dates = {call.targets: call.date for call in plan.calls(engine)}
        expected = {DAY, "2026-01-02"} if engine in {"news", "qa"} else {""}
        assert {plan.date_of(item) for item in plan.items(engine)} == set(dates.values()) == expected


def test_a_plan_with_another_date_model_or_target_is_another_plan() -> None:
    """What it made is held against this one, item by item."""
    small = LlmConfig.model_validate({"default": {"backend": "local", "model_name": "small/1"}})
    large = LlmConfig.model_validate({"default": {"backend": "local", "model_name": "large/1"}})
    one = Plan((target("A"),), small, "2026-11-24", {"financial": 5})
    others = [replace(one, models=large), replace(one, date="2026-11-23"), replace(one, targets=(target("B"),))]
    assert len({plan.digest for plan in (one, *others)}) == 4
    assert replace(one, batch_sizes={"financial": 1}).digest == one.digest, "it is asked otherwise, for the same"


@pytest.mark.parametrize(
    ("task", "own", "sent"),
    [
        ({}, {}, {"preferred_llm_backend": "b", "model_name": "n"}),
        ({"backend": "b"}, {}, {"preferred_llm_backend": "b", "model_name": "n"}),
        ({"backend": "local"}, {}, {"preferred_llm_backend": "local"}),
        ({"backend": "local", "model_name": "m"}, {}, {"preferred_llm_backend": "local", "model_name": "m"}),
        ({"model_name": "m"}, {}, {"preferred_llm_backend": "b", "model_name": "m"}),
        ({}, {"preferred_llm_backend": "local"}, {"preferred_llm_backend": "local"}),
        ({}, {"preferred_llm_backend": "b"}, {"preferred_llm_backend": "b", "model_name": "n"}),
        ({}, {"model_name": "own", "x": "1"}, {"preferred_llm_backend": "b", "model_name": "own", "x": "1"}),
    ],
)
def test_an_entry_overrides_a_task_and_that_the_default_and_a_model_is_for_its_own_backend_only(
    task: dict[str, str], own: dict[str, str], sent: dict[str, str]
) -> None:
    default = {"backend": "b", "model_name": "n"}
    models = LlmConfig.model_validate({"default": default, "tasks": {"c": task}})
    entry = Target("A", "equity", "A", None, (), ("c",), tuple(own.items()))
    assert [parameters(call) for call in Plan((entry,), models, DAY, {}).calls("qa")] == [
        {"ticker": "A", "date_str": DAY, **sent}
    ]


def parameters(call: Call) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(call.path).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "a parameter twice"
    return dict(pairs)


def is_id(text: str) -> bool:
    try:
        CARD_TYPE_NAME.validate_python(text)
    except ValueError:
        return False
    return True


ids = (
    st.text(st.characters(codec=None), min_size=1, max_size=ID_LIMIT)
    | st.text("./\\?#%&=+;:@!$'()*, ~25eEfF{}|^`<>\"\x7f", min_size=1, max_size=12)
    | st.text(".%2eE5", min_size=1, max_size=8)
).filter(is_id)


def as_sent(call: Call, prefix: str = "") -> tuple[list[str], str]:
    """The path's segments and the query as a server reads them, after the library has processed the URL."""
    client = HttpClient(NETWORK, f"https://engine.example{prefix}")
    request = client._request("POST", call.path, {}, call.body or b"")
    raw_path, _, query = request.url.target.decode("ascii").partition("?")
    assert request.url.host == b"engine.example"
    return [unquote(segment, errors="strict") for segment in raw_path.split("/")], query


@pytest.mark.parametrize("prefix", ["", "/base"])
@given(name=ids, kind=st.sampled_from(("equity", "topic", "person")))
def test_a_news_id_never_leaves_its_segment(prefix: str, name: str, kind: Kind) -> None:
    segments, query = as_sent(news(name, kind, name, DAY), prefix)
    base = {
        "equity": ["", "batch", "process_ticker"],
        "topic": ["", "batch", "process_topic", "dynamic"],
        "person": ["", "batch", "process_person", "dynamic"],
    }[kind]
    assert segments == [*prefix.split("/"), *base[1:], name]
    assert query == ""


@given(name=ids, card_type=ids, extra=st.dictionaries(ids, st.text(st.characters(codec="utf-8"))))
def test_a_cards_ids_never_leave_segment_or_parameter(name: str, card_type: str, extra: dict[str, str]) -> None:
    for own in ("ticker", "date_str"):
        extra.pop(own, None)
    segments, query = as_sent(card(name, card_type, DAY, extra.items()))
    assert segments == ["", "card", card_type]
    assert parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict") == [
        ("ticker", name),
        ("date_str", DAY),
        *extra.items(),
    ]


def test_what_is_done_is_not_called_and_batches_stay_as_they_were() -> None:
    """Else a batch of a later attempt would have another key than the one whose answer was lost."""
    plan = plan_of([target(name) for name in "ABCDE"], settings_of({"trading": {"batch_size": 2}}))
    done = {Item(engine, name, None) for engine in ("trading", "news") for name in "ACDE"} | {
        Item("qa", "B", "news_card")
    }

    def left(engine: EngineName) -> list[tuple[str, ...]]:
        return [tuple(item.target for item in items) for items in plan.work(engine, done.__contains__)]

    assert [call.targets for call in plan.calls("trading")] == [("A", "B"), ("C", "D"), ("E",)]
    assert left("trading") == [("B",)]
    assert [call.targets for call in plan.without(["B"]).calls("trading")] == [("A",), ("C", "D"), ("E",)]
    assert left("news") == [("B",)]
    assert left("qa") == [("A",), ("C",), ("D",), ("E",)]


# --- what a person names ---

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
    assert len(chosen(plan_with("all"), "all")) == len(chosen(plan_with(), "all")) + 1, "also if a target has this name"


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
    plan = plan_of([target(f"T{number:05}") for number in range(20_000)])
    numbers = [str(number) for number in range(500)]
    right = [f"T{number:05}" for number in range(19_000, 20_000)]
    _, faults = select(plan, numbers, is_confirmed=True)
    assert len(faults) == 500
    assert len(select(plan, [f"/{number}" for number in numbers], is_confirmed=True)[1]) == 500
    assert len(select(plan, right, is_confirmed=True)[0]) == 4000
    assert len(left_out_faults(plan, numbers)) == 500
    assert left_out_faults(plan, right) == []
    assert time.process_time() - began < 2


# --- what a target gets: nothing is added, nothing lost, the order of the lists is kept ---

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
def test_the_kind_is_by_target_type_then_by_category(category: str | None, target_type: str | None, kind: str) -> None:
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


def test_a_ticker_that_is_a_card_type_is_a_fault() -> None:
    """That file was probably uploaded as the other; or the day would have few cards, and end well."""
    types = [{"name": "news_card", "enabled": False}, {"name": "price_card"}]
    objects = {"ticker_list": ["news_card", "AAPL", "price_card"], "card_types": types}
    config = parse_config({f"{name}.json": json.dumps(value).encode() for name, value in objects.items()})
    places = '[0] ("news_card"), [2] ("price_card")'
    assert [str(one) for one in make_plan(config, "2026-11-24", {})[1]] == [
        f"ticker_list.json: {places}: is a card type of card_types.json; check that this is the right object"
    ]
