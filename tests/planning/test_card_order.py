"""Whatever the order, each card that is not done starts exactly once; the order is not part of the plan."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import islice

from job.planning.card_order import CardOrder, slowest_first
from job.planning.plan import Plan
from tests.support.fakes import plan_of, settings_of, target

PLAN = plan_of([target("A", "xyz"), target("美联储", "zy"), target("C", "x")], settings_of())


def started(order: CardOrder, count: int | None = None) -> list[str]:
    return [f"{call.targets[0]} {call.card_type}" for call in islice(order, count)]


def given(medians: Mapping[str, float]) -> Callable[[], Mapping[str, float]]:
    return lambda: medians


def order(medians: Mapping[str, float], done: frozenset[tuple[str, str | None]] = frozenset()) -> CardOrder:
    return CardOrder(PLAN, done, given(medians))


def test_without_medians_the_order_is_the_configs() -> None:
    assert started(order({})) == ["A x", "A y", "A z", "美联储 z", "美联储 y", "C x"]


def test_the_slowest_types_are_first_and_those_that_are_not_known_last_as_the_config_has_them() -> None:
    assert started(order({"y": 8.0, "z": 20.0, "x": 5.0})) == ["A z", "美联储 z", "A y", "美联储 y", "A x", "C x"]
    assert started(order({"z": 20.0, "gone": 99.0})) == ["A z", "美联储 z", "A x", "A y", "美联储 y", "C x"]
    assert slowest_first("abc", {"c": 1.0, "a": 1.0, "b": 2.0}) == ["b", "a", "c"], "of equal ones the first"


def test_a_card_that_is_done_does_not_start() -> None:
    done = frozenset({("A", "y"), ("美联储", "z")})
    assert started(order({}, done)) == ["A x", "A z", "美联储 y", "C x"]
    assert started(order({"z": 2.0, "y": 3.0}, done)) == ["美联储 y", "A z", "A x", "C x"]


def test_medians_that_come_late_count_from_then_on() -> None:
    medians: dict[str, float] = {}
    found = order(medians)
    assert started(found, 2) == ["A x", "A y"]
    medians |= {"y": 1.0, "x": 2.0, "z": 3.0}
    assert started(found) == ["A z", "美联储 z", "C x", "美联储 y"]


def test_no_card_of_a_left_out_type_starts() -> None:
    found = order({"z": 20.0})
    assert started(found, 1) == ["A z"]
    found.leave_out("z")
    found.leave_out("x")
    assert found.card_types == ["y"]
    assert found.next_of("z") is None
    assert started(found) == ["A y", "美联储 y"]


def random_plan(chance: random.Random) -> Plan:
    targets = [
        target(f"T{number}", chance.sample("abcd", chance.randint(0, 4))) for number in range(chance.randint(1, 9))
    ]
    return plan_of(targets, settings_of())


def test_each_card_starts_exactly_once_whenever_medians_come_and_whatever_is_taken_out_of_turn() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        plan = random_plan(chance)
        planned = list(plan.items("qa"))
        done = set(chance.sample(planned, chance.randint(0, len(planned))))
        medians: dict[str, float] = {}
        found = CardOrder(plan, done, given(medians))
        seen: list[tuple[str, str | None]] = []
        known_from, out_of_turn = chance.randint(0, 20), chance.random() / 2
        while True:
            if len(seen) >= known_from:
                medians.update({name: float(ord(name)) for name in "acd"})
            call = found.next_of(chance.choice("abcd")) if chance.random() < out_of_turn else None
            call = call or next(found, None)
            if call is None:
                break
            seen.append((call.targets[0], call.card_type))
        assert sorted(seen) == sorted(set(planned) - done), f"seed {seed}"


def test_the_order_is_not_part_of_the_plan() -> None:
    before = (PLAN.digest(), list(PLAN.calls("qa")))
    assert {call.fingerprint for call in order({"z": 9.0})} == {call.fingerprint for call in PLAN.calls("qa")}
    assert (PLAN.digest(), list(PLAN.calls("qa"))) == before
