"""Recorded runs of cards, built from the result of each card, without a real run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from job.config.schema import LlmConfig
from job.ledger.ledger import Ledger, SetAside
from job.ledger.result import CallResult
from job.planning.plan import Plan
from job.planning.targets import Target
from job.report.outcome import Outcome
from job.report.report import AttemptSummary, RunReport, report_of
from job.text.messages import message
from tests.records.test_record import INPUTS

Fate = Mapping[tuple[str, str], str | None]
"""Of the cards that were requested: why one is missing, `None` if it was made."""


def run(targets: Sequence[tuple[str, str, str]], fates: Fate, set_aside: str = "") -> tuple[RunReport, Ledger]:
    """A run of targets (id, kind, card types, a letter each) and what became of their cards."""
    made = [Target(name, kind, name, None, (), tuple(types)) for name, kind, types in targets]  # type: ignore[arg-type]
    plan = Plan(tuple(made), LlmConfig(), None, {})
    ledger = Ledger(plan)
    for number, ((target, card_type), cause) in enumerate(fates.items()):
        ledger.add(
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
                reason=message("no") if cause else None,
                traceparent="",
                limit=4,
            )
        )
    types = [SetAside(card_type=name, reason=message("it fails"), remedy=message("look")) for name in set_aside]
    attempt = AttemptSummary(
        started=INPUTS.started,
        ended=INPUTS.started,
        seconds=1.0,
        outcome=Outcome.CARDS_MISSING,
        exit_code=3,
        set_aside=tuple(types),
    )
    return report_of(INPUTS, ledger, [attempt]), ledger


def some_runs() -> Iterator[tuple[RunReport, Ledger]]:
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
