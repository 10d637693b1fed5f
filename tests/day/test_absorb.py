"""After a change of the config the ledger keeps all that happened, but counts only what is still asked for."""

from dataclasses import replace

from job.day.failing import shortest_names
from job.day.ledger import Ledger
from job.engines.calls import ALL_ENGINES
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.results import result_of

BEFORE = plan_of([target("AAPL", ["a", "b"]), target("MSFT", ["a", "b"])])


def test_what_left_the_plan_is_drawn_but_not_counted() -> None:
    ledger = Ledger(replace(BEFORE, targets=BEFORE.targets[:1]))
    no = Failure(Cause.STATUS, message("no"), 422)
    for engine in ALL_ENGINES:
        for call in BEFORE.calls(engine):
            ledger.absorb(result_of(call, no if engine in {"trading", "qa"} else None))
    assert {engine: len(calls) for engine, calls in ledger.calls.items()} == {
        "financial": 1, "trading": 1, "news": 2, "qa": 4,
    }  # fmt: skip
    found = {engine: ledger.counts(engine) for engine in ALL_ENGINES}
    assert {engine: (one.planned, one.done, one.failed) for engine, one in found.items()} == {
        "financial": (1, 1, 0), "trading": (1, 0, 1), "news": (1, 1, 0), "qa": (2, 0, 2),
    }  # fmt: skip
    assert {name for call in ledger.failures for name in call.targets} == {"AAPL"}, "not of the batch's other half"


def test_cards_are_named_as_shortly_as_can_be() -> None:
    cards = list(BEFORE.items("qa"))
    news = [card for card in cards if card.card_type == "a"]
    assert shortest_names(Ledger(BEFORE), news) == ["/a"]
    assert shortest_names(Ledger(BEFORE), [*news, cards[1]]) == ["/a", "AAPL/b"]
    assert shortest_names(Ledger(BEFORE), cards[:2]) == ["AAPL (2)"]
