"""A rehearsed night goes as the recorded one did whose answers it has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from job.engines.failures import Cause
from job.engines.transport import Response
from job.rehearsal.play import Played, play
from job.rehearsal.recorded import Answer
from job.rehearsal.stand_in import Outage
from tests.rehearsal.recorded import known, lived, night, scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from job.engines.catalog import EngineName
    from tests.rehearsal.recorded import Trouble
    from tests.support.nights import Fate, Night


def played(one: Night, seed: str = "1", every: int = 1) -> Played:
    """The night, rehearsed with its own answers."""
    return play(scenario(one), [known(one)], seed, every)


def once_in(number: int, reasons: list[str], cause: str | None = None, status: int | None = 200) -> Fate:
    """One card in so many has these answers before the last one, and fails with this cause."""

    def fate(engine: EngineName, count: int) -> tuple[list[str], str | None, str | None, int | None]:
        if engine != "qa" or count % number:
            return [], None, None, 200
        return reasons, cause, None if cause is None else "it failed", status

    return fate


def status(code: int) -> Response:
    return Response(code, b"")


def qa_room(limit: Callable[[float], int]) -> Trouble:
    """The QA engine has room for so many calls, by the seconds since its first one."""
    return lambda asked, since, _, busy: status(429) if asked.engine == "qa" and busy >= limit(since) else None


TROUBLES: dict[str, Trouble] = {
    "nothing fails": lambda *_: None,
    "instances that start slowly": qa_room(lambda since: 2 + int(since / 20)),
    "too few instances": qa_room(lambda _: 10),
    "errors": lambda _asked, _since, chance, _busy: status(503) if chance < 0.05 else None,
    "lost connections": lambda _asked, _since, chance, _busy: status(0) if chance < 0.02 else None,
    "a short outage": lambda asked, since, *_: status(503) if asked.engine == "qa" and 50 < since < 60 else None,
}


WITHIN = {"errors": 0.25, "a short outage": 0.35}
"""How far off the less certain ones may be: by how many errors at once the limit was halved is known only roughly."""


@pytest.mark.parametrize("name", TROUBLES)
def test_a_night_with_its_own_answers_takes_as_long_as_it_did(name: str) -> None:
    tonight, night = lived(TROUBLES[name])
    assert night.seconds is not None
    found = play(tonight, [night], "1")
    assert found.ended == pytest.approx(night.seconds, rel=WITHIN.get(name, 0.15))
    assert found.is_complete
    assert found.planned == 180


def test_a_rejection_is_not_paid_for() -> None:
    tonight, night = lived(TROUBLES["too few instances"])
    found = play(tonight, [night], "1")
    assert found.requests["qa"] > found.paid == 180


def test_the_same_seed_plays_the_same_night() -> None:
    one = night(fate=once_in(5, ["HTTP 503"]))
    assert played(one) == played(one)
    assert played(one).ended != played(one, "2").ended


def test_as_many_cards_fail_as_did() -> None:
    reasons = ["HTTP 500"] * 3
    found = played(night(fate=once_in(30, reasons, Cause.STATUS, 500)))
    assert found.planned - len(found.ends) == 6
    assert found.came_to_its_end
    assert found.lacks_some


def test_a_card_that_failed_for_good_fails_however_often_it_is_requested() -> None:
    one = night(fate=once_in(30, ["HTTP 500"] * 3, Cause.STATUS, 500))
    found = play(scenario(one, QA_ENGINE_ATTEMPTS="6"), [known(one)], "1")
    assert found.planned - len(found.ends) == 6
    assert found.requests["qa"] == 174 + 6 * 6
    assert found.paid == 174  # an answer of 500 is not


def test_a_card_whose_answer_denies_it_is_paid_for_twice() -> None:
    found = played(night(fate=once_in(30, ["says {answer}"], Cause.DENIED)))
    assert found.planned - len(found.ends) == 6
    assert found.paid == 180 + 6


def test_a_data_engine_that_failed_fails_and_no_card_is_requested() -> None:
    def fate(engine: EngineName, count: int) -> tuple[list[str], str | None, str | None, int | None]:
        fails = engine == "news" and count == 30
        return (["HTTP 500"] * 3, "status", "HTTP 500", 500) if fails else ([], None, None, 200)

    found = played(night(fate=fate))
    assert found.failed_engine == "news"
    assert (found.paid, len(found.ends), found.most_in_flight.get("qa")) == (0, 0, None)


def test_a_batch_that_failed_is_repeated_in_halves() -> None:
    one = night(20, concurrency={"financial": 1, "trading": 1, "news": 8, "qa": 16})
    base = known(one)
    whole, half = (Answer(9.0, Cause.STATUS, 503, 5),), (Answer(3.0, None, 200, 0),)
    courses = {**base.courses, ("trading", 5): [whole], ("trading", 3): [half], ("trading", 2): [half]}
    found = play(scenario(one), [replace(base, courses=courses)], "1")
    # Once a batch was too large, all further ones are halved before they are sent.
    assert found.requests["trading"] == 1 + 8
    assert found.is_complete


def test_of_a_batch_only_the_ticker_that_failed_is_requested_again() -> None:
    one = night(5)
    base = known(one)
    part, rest = (Answer(9.0, Cause.DENIED, 200, 1),), (Answer(2.0, None, 200, 0),)
    found = play(
        scenario(one), [replace(base, courses={**base.courses, ("trading", 5): [part], ("trading", 1): [rest]})], "1"
    )
    assert found.requests["trading"] == 2
    assert found.is_complete


def test_cards_of_a_type_that_no_night_has_are_like_the_others() -> None:
    base = known(night())
    courses = {kind: found for kind, found in base.courses.items() if kind != ("qa", "price_card")}
    found = play(scenario(night()), [replace(base, courses=courses)], "1")
    assert found.unknown == {"price_card": 60}
    assert found.is_complete


def test_the_answers_of_a_type_are_those_of_another_night_if_the_first_has_none() -> None:
    base, other = known(night()), known(night(seed=2))
    courses = {kind: found for kind, found in base.courses.items() if kind != ("qa", "price_card")}
    found = play(scenario(night()), [replace(base, courses=courses), other], "1")
    assert not found.unknown


def test_a_sample_of_a_large_plan_is_extended_to_the_whole() -> None:
    one = night(500)
    whole, part = played(one), played(one, every=5)
    assert part.planned == 300
    assert part.ended == pytest.approx(whole.ended, rel=0.05)
    assert part.ends[150] == pytest.approx(whole.ends[750], rel=0.1)


def test_in_an_outage_the_run_stops_and_pays_nothing_more() -> None:
    one = night()
    calm = played(one)
    begins = calm.ended - 200
    found = play(replace(scenario(one), outages=[Outage("qa", begins, begins + 600)]), [known(one)], "1")
    assert found.is_down
    assert found.ended == pytest.approx(begins, abs=60)
    assert 0 < len(found.ends) < 180
    assert found.paid < calm.paid


def test_an_outage_that_is_over_before_the_cards_costs_them_nothing() -> None:
    one = night()
    found = play(replace(scenario(one), outages=[Outage("qa", 0.0, 60.0)]), [known(one)], "1")
    assert found.is_complete


def test_a_night_has_no_more_calls_in_flight_than_it_may() -> None:
    found = played(night())
    assert Counter(found.most_in_flight) == {"financial": 4, "trading": 4, "news": 8, "qa": 16}
