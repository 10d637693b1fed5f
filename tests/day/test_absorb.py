"""After a change of the config the ledger keeps all that happened, but counts only what is still asked for."""

from dataclasses import replace

from job.config.objects import LlmConfig
from job.config.plan import Plan
from job.day.ending import ending_of
from job.day.failing import shortest_names
from job.day.ledger import Ledger
from job.day.result import Counts
from job.engines.calls import ALL_ENGINES, Call, EngineName, Item
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.results import result_of

BEFORE = plan_of([target("AAPL", ["a", "b"]), target("MSFT", ["a", "b"])])
LARGE = LlmConfig.model_validate({"default": {"model_name": "large"}})
NO = Failure(Cause.STATUS, message("no"), 422)


def absorbed(plan: Plan, *failed: EngineName) -> Ledger:
    """The ledger of a plan after an attempt with the one before, in which the calls of these engines failed."""
    ledger = Ledger(plan)
    for engine in ALL_ENGINES:
        for call in BEFORE.calls(engine):
            ledger.absorb(result_of(call, NO if engine in failed else None))
    return ledger


def call_of(plan: Plan, engine: EngineName, name: str) -> Call:
    return next(call for call in plan.calls(engine) if name in call.targets)


def counts(ledger: Ledger) -> dict[str, tuple[int, int, int]]:
    found = {engine: ledger.counts(engine) for engine in ALL_ENGINES}
    return {engine: (one.planned, one.done, one.failed) for engine, one in found.items()}


def test_what_left_the_plan_is_drawn_but_not_counted() -> None:
    ledger = absorbed(replace(BEFORE, targets=BEFORE.targets[:1]), "trading", "qa")
    assert {engine: len(calls) for engine, calls in ledger.calls.items()} == {
        "financial": 1, "trading": 1, "news": 2, "qa": 4,
    }  # fmt: skip
    assert counts(ledger) == {"financial": (1, 1, 0), "trading": (1, 0, 1), "news": (1, 1, 0), "qa": (2, 0, 2)}
    assert {name for call in ledger.failures for name in call.targets} == {"AAPL"}, "not of the batch's other half"


def test_what_joined_the_plan_is_left() -> None:
    ledger = absorbed(replace(BEFORE, targets=(*BEFORE.targets, target("NVDA", ["a"]))))
    assert [ledger.counts(engine).missing for engine in ALL_ENGINES] == [1, 1, 1, 1]
    assert not ledger.is_ready


def test_a_card_of_another_date_is_another_card_and_so_are_its_news() -> None:
    dated = replace(BEFORE, targets=tuple(replace(one, date="2026-01-02") for one in BEFORE.targets))
    assert counts(absorbed(dated)) == {"financial": (2, 2, 0), "trading": (2, 2, 0), "news": (2, 0, 0), "qa": (4, 0, 0)}


def test_a_card_of_another_model_counts_as_made_and_is_named_until_it_is_made_again() -> None:
    plan = replace(BEFORE, models=LARGE)
    ledger = absorbed(plan)
    assert ledger.counts("qa") == Counts(planned=4, done=4)
    assert ledger.outdated_cards == list(plan.items("qa"))
    ledger.add(result_of(call_of(plan, "qa", "AAPL"), ended=99.0))
    assert ledger.outdated_cards == [Item("qa", "AAPL", "b"), Item("qa", "MSFT", "a"), Item("qa", "MSFT", "b")]


def test_a_failure_of_another_model_is_a_failure_of_the_card() -> None:
    ledger = absorbed(replace(BEFORE, models=LARGE), "qa")
    assert ledger.counts("qa").failed == 4
    assert ledger.outdated_cards == []


def test_news_of_another_key_are_other_news() -> None:
    moved = replace(BEFORE, targets=(replace(BEFORE.targets[0], key="apple"), BEFORE.targets[1]))
    assert absorbed(moved).counts("news") == Counts(planned=2, done=1, not_attempted=1)


def test_cards_are_named_as_shortly_as_can_be() -> None:
    cards = list(BEFORE.items("qa"))
    news = [card for card in cards if card.card_type == "a"]
    assert shortest_names(Ledger(BEFORE), news) == ["/a"]
    assert shortest_names(Ledger(BEFORE), [*news, cards[1]]) == ["/a", "AAPL/b"]
    assert shortest_names(Ledger(BEFORE), cards[:2]) == ["AAPL (2)"]


def test_what_is_outdated_is_named_as_shortly() -> None:
    (note,) = ending_of(absorbed(replace(BEFORE, models=LARGE)), None).notes
    assert str(note) == "4 cards were made with another model or other parameters than the last attempt wants: /a, /b"
