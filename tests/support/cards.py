"""Recorded runs of cards, built from the result of each card, without a real run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from job.config.schema import LlmConfig
from job.execution.events import CardTypeSetAside
from job.planning.plan import Plan
from job.planning.targets import Target
from job.records.report import AttemptSummary, RunReport, build_report
from job.records.results import CallResult
from job.records.set_aside import set_aside_types
from job.records.timeline import Timeline
from job.text.messages import message
from tests.records.test_record import INPUTS

Fate = Mapping[tuple[str, str], str | None]
"""Of the cards that were requested: why one is missing, `None` if it was made."""


def run(targets: Sequence[tuple[str, str, str]], fates: Fate, set_aside: str = "") -> tuple[RunReport, Timeline]:
    """A run of targets (id, kind, card types, a letter each) and what became of their cards."""
    made = [Target(name, kind, name, None, (), tuple(types)) for name, kind, types in targets]  # type: ignore[arg-type]
    plan = Plan(tuple(made), LlmConfig(), None, {})
    timeline = Timeline(plan)
    for number, ((target, card_type), cause) in enumerate(fates.items()):
        timeline.add(
            CallResult(
                engine="qa",
                targets=(target,),
                card_type=card_type,
                done=cause is None,
                attempts=2,
                started=number,
                ended=number + 1,
                status=200 if cause is None else None,
                cause=cause,
                reason="no" if cause else None,
                failed_attempts=(),
                traceparent="",
                limit=4,
            )
        )
    events = [CardTypeSetAside(name, message("it fails"), message("look")) for name in set_aside]
    attempt = AttemptSummary(
        started=INPUTS.started,
        ended=INPUTS.started,
        seconds=1.0,
        outcome="cards_missing",
        exit_code=3,
        set_aside=set_aside_types(events),
    )
    return build_report(INPUTS, plan, timeline, [attempt], closed=True), timeline


def some_runs() -> Iterator[tuple[RunReport, Timeline]]:
    for seed in range(100):
        chance = random.Random(seed)
        targets = [
            (f"T{number}", chance.choice(["equity", "topic"]), "".join(chance.sample("abcdef", chance.randint(0, 6))))
            for number in range(chance.randint(1, 20))
        ]
        planned = [(name, card) for name, _, cards in targets for card in cards]
        asked = chance.sample(planned, chance.randint(0, len(planned)))
        fates = {item: chance.choice([None, None, "status", "denied", "interrupted", "x"]) for item in asked}
        yield run(targets, fates)
