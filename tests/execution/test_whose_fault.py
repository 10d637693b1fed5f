"""What fails for a reason of its own costs nobody else a card, and an outage costs time: whatever fails, in any way.

The rows are pairs of what is bad, how it fails, and how many calls may be in flight.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import pytest
import trio
from trio.testing import MockClock

from job.config.plan import Target
from job.day.ending import Ending, ending_of
from job.day.result import EngineFailedError, ShutdownReason
from job.engines.calls import EngineName
from tests.execution.test_outages import FOR_GOOD, How, Strike, striking
from tests.support.fakes import Asked, stage, target
from tests.support.results import result_of

SECONDS: Mapping[EngineName, float] = {"financial": 0.1, "trading": 0.1, "news": 8.0, "qa": 20.0}
TYPES = "abcde"
IsBad = Callable[[str, str], bool]
"""Whether the card of a target and a type always fails."""


def tickers(count: int, card_types: str = TYPES, begin: int = 0) -> list[Target]:
    return [target(f"T{number}", card_types, ()) for number in range(begin, begin + count)]


def card_of(asked: Asked) -> tuple[str, str]:
    return asked.tickers[0], asked.path.rpartition("/")[2]


def failing(is_bad: IsBad, how: How, *outages: tuple[How, float, float]) -> Strike:
    """Cards that always fail, and outages of QA."""

    def strike(asked: Asked, now: float) -> How:
        if how == 422 and asked.engine == "qa" and is_bad(*card_of(asked)):
            return how
        for outage, begin, end in outages:
            if asked.engine == "qa" and begin <= now < end:
                return outage
        return how if asked.engine == "qa" and is_bad(*card_of(asked)) else None

    return strike


class Played:
    """A night that was played, by its cards."""

    def __init__(
        self,
        targets: Sequence[Target],
        strike: Strike,
        at_a_time: int,
        *,
        deadline: float = 10_740.0,
        left: int | None = None,
        **qa: object,
    ) -> None:
        """Of the cards, all but the first `left` are made already."""
        changes: dict[EngineName, dict[str, object]] = {
            "qa": {"concurrency": at_a_time} | qa,
            "news": {"concurrency": 8},
        }
        self.made = stage(targets, striking(strike, SECONDS), changes, random.Random(1).random)
        for card in islice(self.made.ledger.plan.items("qa"), left, None) if left else ():
            self.made.ledger.add(result_of(self.made.ledger.plan.call([card]), ended=1.0))
        self.error: EngineFailedError | None = None
        trio.run(self._play, deadline, left is not None, clock=MockClock(autojump_threshold=0))

    async def _play(self, deadline: float, is_begun: bool) -> None:
        try:
            await (self.made.phases.generate() if is_begun else self.made.play((deadline, ShutdownReason.DEADLINE)))
        except EngineFailedError as error:
            self.error = error
        self.ending: Ending = ending_of(self.made.ledger, self.made.shutdown.reason, self.error)
        self.seconds = trio.current_time()

    @property
    def done(self) -> set[tuple[str, str | None]]:
        return {(one.targets[0], one.card_type) for one in self.made.world.finished if one.done and one.engine == "qa"}

    def lost(self, is_bad: IsBad) -> set[tuple[str, str]]:
        """The good cards that were not made."""
        good = {
            (one.id, name)
            for one in self.made.ledger.plan.targets
            for name in one.card_types
            if not is_bad(one.id, name)
        }
        return good - self.done

    @property
    def wasted(self) -> int:
        """Requests of cards that made none."""
        return len(self.made.world.of("qa")) - self.made.cards.done


def number(name: str) -> int:
    return int(name[1:])


def of_type(bad: str) -> IsBad:
    return lambda _, card_type: card_type == bad


def scattered(share: float) -> IsBad:
    return lambda name, card_type: random.Random(f"{name}/{card_type}").random() < share


TOPICS = [*tickers(45, "x"), *tickers(30, begin=45)]
FIVE_AND_A_TYPE: IsBad = lambda name, card_type: number(name) < 5 or card_type == "c"  # noqa: E731
THIRTY_FIRST: IsBad = lambda name, _: number(name) < 30  # noqa: E731
THIRTY_WITHIN: IsBad = lambda name, _: 15 <= number(name) < 45  # noqa: E731

ROWS: dict[str, tuple[Sequence[Target], IsBad, Sequence[tuple[How, int]]]] = {
    "45 topics first, with the only type that is bad": (
        TOPICS, of_type("x"), [(500, 1), (503, 4), ("denied", 16), (500, 64), ("hang", 16), (403, 16)],
    ),
    "the first type": (tickers(24), of_type("a"), [(500, 1), ("lost", 16), (503, 64), ("hang", 4), (422, 4)]),
    "five tickers first and a type": (
        tickers(40), FIVE_AND_A_TYPE, [(500, 1), (503, 4), ("lost", 16), ("denied", 64), ("hang", 16), (401, 16)],
    ),
    "30 tickers first": (tickers(60), THIRTY_FIRST, [(500, 1), ("denied", 4), (503, 16), ("lost", 64), ("hang", 16)]),
    "30 tickers in the middle": (tickers(60), THIRTY_WITHIN, [(500, 4), (403, 16), ("hang", 64)]),
    "10 % of the cards": (tickers(60), scattered(0.1), [(503, 4), (500, 16), ("hang", 16)]),
    "60 % of the cards": (tickers(60), scattered(0.6), [(500, 4), (503, 16), ("lost", 64)]),
    "80 % of the cards": (tickers(60), scattered(0.8), [(500, 16), (422, 4), ("denied", 64)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "how", "at_a_time"), [(what, how, size) for what, (_, _, pairs) in ROWS.items() for how, size in pairs]
)
def test_what_fails_for_its_own_reason_costs_nobody_else_a_card(what: str, how: How, at_a_time: int) -> None:
    targets, is_bad, _ = ROWS[what]
    played = Played(targets, failing(is_bad, how), at_a_time)
    assert not played.lost(is_bad)
    assert (played.ending.outcome, played.ending.exit_code) == ("cards_missing", 3)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "wasted", "seconds"), [(500, 110, 2_900), (503, 1_000, 2_900), ("hang", 100, 7_500)])
def test_of_five_types_the_one_that_fails_once_forty_of_it_are_made_costs_little(
    how: How, wasted: int, seconds: float
) -> None:
    begun = list[float]()

    def strike(asked: Asked, now: float) -> How:
        if card_of(asked)[1] != "e":
            return None
        if sum(one + SECONDS["qa"] <= now for one in begun) >= 40:
            return how
        begun.append(now)
        return None

    played = Played(tickers(400), strike, 16)
    assert (played.ending.outcome, played.ending.exit_code) == ("cards_missing", 3)
    assert played.made.cards.done >= 4 * 400 + 40
    assert played.wasted <= wasted
    assert played.seconds <= seconds
    assert played.made.cards.not_attempted > 250, "the rest is not requested"


@pytest.mark.parametrize("how", [500, 503])
def test_a_second_of_503_as_the_cards_begin_costs_no_card_though_the_first_type_is_bad(how: How) -> None:
    is_bad = of_type("a")
    played = Played(tickers(48), failing(is_bad, how, (503, 0.0, 1.0)), 16)
    assert not played.lost(is_bad)
    assert played.ending.outcome == "cards_missing"


def test_few_cards_of_which_one_is_bad_survive_an_outage() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        count, seconds, at_a_time = chance.randint(2, 6), chance.uniform(90, 560), chance.choice((1, 4, 16))
        bad, begin = f"T{chance.randrange(count)}", chance.uniform(0, 30)
        outage: How = chance.choice((500, "denied", "lost", 503))
        strike = failing(lambda name, _, bad=bad: name == bad, 500, (outage, begin, begin + seconds))  # type: ignore[misc]
        played = Played(tickers(count, "a"), strike, at_a_time)
        assert not played.lost(lambda name, _, bad=bad: name == bad), seed  # type: ignore[misc]


@pytest.mark.parametrize("how", [500, 503, "lost"])
def test_a_data_engine_that_is_out_two_or_three_times_with_calls_done_in_between_loses_no_night(how: How) -> None:
    """Each time shorter than the patience; in all longer."""
    for times in (2, 3):
        outages = [(10.0 + 680.0 * number, 570.0 + 680.0 * number) for number in range(times)]

        def strike(asked: Asked, now: float, outages: Sequence[tuple[float, float]] = outages) -> How:
            return how if asked.engine == "news" and any(begin <= now < end for begin, end in outages) else None

        targets = [target(f"T{number}", (), ("news",)) for number in range(130)]
        assert Played(targets, strike, 16).error is None


def test_a_second_outage_in_which_only_retries_are_left_opens_the_breaker_too() -> None:
    def strike(asked: Asked, now: float) -> How:
        return 503 if asked.engine == "news" and (now < 200 or 210 <= now < 600) else None

    played = Played([target(f"T{number}", (), ("news",)) for number in range(8)], strike, 16)
    times = [asked.time for asked in played.made.world.of("news")]
    assert played.error is None
    assert len(times) <= 80
    assert max(sum(begin <= time < begin + 60 for time in times) for begin in times) <= 30


def test_of_a_day_that_is_mostly_done_the_draw_is_over_what_is_left() -> None:
    """Not over the plan, and not in its order: the first half of what is left is bad."""
    is_bad: IsBad = lambda name, _: number(name) < 20  # noqa: E731
    played = Played(tickers(2_000), failing(is_bad, 500), 4, left=200)
    assert not {card for card in played.lost(is_bad) if number(card[0]) < 40}
    assert played.wasted <= 320


def test_six_calls_a_minute_and_a_deadline_close_by_cost_no_card_that_could_be_made() -> None:
    is_bad = of_type("a")
    assert not Played(tickers(12), failing(is_bad, 500), 4, per_minute=6).lost(is_bad)
    hurried = Played(tickers(20, "b"), failing(is_bad, 500, (500, 20.0, 60.0)), 4, deadline=420.0)
    assert not hurried.lost(is_bad)


def test_retries_that_hang_do_not_hold_the_places_of_good_calls() -> None:
    """Eight hanging topics hold all places for one timeout, and not for all of their patience."""
    is_bad: IsBad = lambda name, _: number(name) < 8  # noqa: E731
    played = Played(tickers(60, "a"), failing(is_bad, "hang"), 8)
    good = [one for one in played.made.world.finished if one.done]
    assert len(good) == 52
    assert max(one.ended for one in good) <= 300 + 52 * 20 / 8 + 60


def test_a_429_while_a_call_hangs_holds_up_the_others_for_a_minute_at_most() -> None:
    def strike(asked: Asked, now: float) -> How:
        name = asked.tickers[0]
        return "hang" if name == "T0" and now < 1 else 429 if name == "T1" and now < 1 else None

    played = Played(tickers(2, "a"), strike, 2)
    assert len(played.done) == 2
    assert min(one.ended for one in played.made.world.finished) <= 100


@pytest.mark.parametrize("how", [503, 403, 429])
def test_a_last_try_that_cost_nothing_is_not_used_up(how: How) -> None:
    """All cards have one try left, and it meets another outage."""
    strike = failing(lambda *_: False, None, (500, 0.0, 20.0), (how, 600.0, 640.0))
    played = Played(tickers(4), strike, 16, attempts=2)
    assert (played.made.cards.done, played.ending.outcome) == (20, "succeeded")


def test_refusals_in_an_outage_do_not_end_it() -> None:
    """The calls after each would be paid for in vain."""
    is_refused = of_type("b")
    played = Played(tickers(60, "ab"), failing(is_refused, 422, (500, 20.0, 520.0)), 16)
    assert not played.lost(is_refused)
    paid = [asked for asked in played.made.world.of("qa") if card_of(asked)[1] == "a" and 20 <= asked.time < 520]
    assert len(paid) <= 45


# --- how it ends ---


def test_a_type_is_given_up_and_then_the_engine_goes_down() -> None:
    is_bad = of_type("a")
    played = Played(tickers(60), failing(is_bad, 500, (500, 200.0, FOR_GOOD)), 16)
    assert played.ending.outcome == "qa_engine_down"
    alone = Played(tickers(60), failing(is_bad, 500), 16)
    assert alone.ending.outcome == "cards_missing"
    assert alone.made.cards.not_attempted > 20
    assert alone.wasted <= 90


def test_a_start_in_which_no_card_was_made_says_that_qa_is_down_unless_the_day_has_cards_of_other_types() -> None:
    """A later start has only the bad type left."""
    targets = tickers(60, "a")
    assert Played(targets, failing(of_type("a"), 500), 16).ending.outcome == "qa_engine_down"
    targets = [*targets, *tickers(1, "b", 60)]
    assert Played(targets, failing(of_type("a"), 500), 16, left=60).ending.outcome == "cards_missing"


def test_cards_that_failed_with_nothing_untried_are_missing_and_nothing_is_down() -> None:
    played = Played(tickers(3, "ab"), failing(of_type("a"), 500), 16)
    assert (played.ending.outcome, played.made.cards.done, played.made.cards.failed) == ("cards_missing", 3, 3)
