"""Recorded nights, built from a seed: for pages of runs that never took place."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from job.report.inputs import ConfigObject, RunInputs

from job.config.schema import LlmConfig
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.identity import RunIdentity
from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.planning.plan import Plan
from job.report.outcome import Outcome
from job.report.report import AttemptSummary, RunReport, report_of
from job.text.messages import message
from tests.support.fakes import target
from tests.support.results import tried

START = datetime(2026, 11, 24, 2, 0, 3, tzinfo=UTC)
Fate = Callable[[EngineName, int], tuple[list[str], str | None, str | None, int | None]]
"""Of the call of this number: the answers before its last, then cause, reason and status of its last, if it failed."""


def well(_engine: EngineName, _number: int) -> tuple[list[str], None, None, int]:
    return [], None, None, 200


@dataclass
class Night:
    """A night to build: its targets and card types, how many calls run at a time, and what fails."""

    targets: Sequence[str]
    card_types: Sequence[str]
    concurrency: dict[EngineName, int] = field(
        default_factory=lambda: {"financial": 4, "trading": 4, "news": 8, "qa": 16}
    )
    seconds: dict[EngineName, float] = field(
        default_factory=lambda: {"financial": 21.0, "trading": 34.0, "news": 18.0, "qa": 24.0}
    )
    fate: Fate = well
    run_id: str = "cards-nightly-x7k2p"
    batch: int = 5
    seed: int = 1

    def plan(self) -> Plan:
        targets = [target(name, self.card_types) for name in self.targets]
        return Plan(tuple(targets), LlmConfig(), None, {"financial": self.batch, "trading": self.batch})

    def results(self) -> Iterator[CallResult]:
        """The results of the journal."""
        rng, run, now = random.Random(self.seed), RunIdentity(self.run_id), START.timestamp()
        starts = dict.fromkeys(ALL_ENGINES, now)
        for engine in ALL_ENGINES:
            if engine == "qa":
                starts["qa"] = last = max(starts.values())
            begin = starts[engine]
            free = [begin] * self.concurrency[engine]
            for number, (targets, card_type) in enumerate(self._work(engine)):
                at = heapq.heappop(free)
                result = self._result(engine, number, targets, card_type, at, rng)
                last = result.ended
                span = f"00-{run.trace_id}-{rng.getrandbits(64):016x}-01"
                result = replace(result, traceparent=span)
                heapq.heappush(free, last)
                starts[engine] = max(starts[engine], last)
                yield result

    def _work(self, engine: EngineName) -> Iterator[tuple[list[str], str | None]]:
        if engine == "qa":
            yield from (([target], card) for target in self.targets for card in self.card_types)
        else:
            size = 1 if engine == "news" else self.batch
            for start in range(0, len(self.targets), size):
                yield list(self.targets[start : start + size]), None

    def _result(
        self, engine: EngineName, number: int, targets: list[str], card: str | None, at: float, rng: random.Random
    ) -> CallResult:
        failed_attempts: list[tuple[float, float, str]] = []
        reasons, cause, reason, status = self.fate(engine, number)
        for reason_before in reasons:
            ended = at + rng.uniform(0.1, 0.4) * self.seconds[engine]
            failed_attempts.append((round(at, 3), round(ended, 3), reason_before))
            at = ended + rng.uniform(0.02, 0.1) * self.seconds[engine]
        ended = round(at + rng.lognormvariate(0, 0.4) * self.seconds[engine], 3)
        return CallResult(
            engine=engine,
            targets=tuple(targets),
            card_type=card,
            done=cause is None,
            attempts=len(failed_attempts) + 1,
            retries=len(failed_attempts),
            started=round(at, 3),
            ended=ended,
            status=status,
            cause=cause,
            reason=message(reason) if reason is not None else None,
            failed_attempts=tried(*failed_attempts),
            traceparent="",
            limit=max(1, self.concurrency[engine] - (2 * len(failed_attempts) if number % 3 else 0)),
        )

    def build(
        self, outcome: str = "succeeded", code: int = 0, sentence: str = "", **changes: Any
    ) -> tuple[RunReport, Ledger]:
        """The report and the ledger of the night."""
        plan = self.plan()
        ledger = Ledger(plan)
        for result in self.results():
            ledger.add(result)
        last = max((max(lane.ended) for lane in ledger.lanes.values() if len(lane)), default=0.0)
        ended = datetime.fromtimestamp(last, UTC) if last else START + timedelta(seconds=2)
        planned = len(self.targets) * len(self.card_types)
        made = ledger.counts("qa").done
        text = f"Everything was done: {made:,} of {planned:,} cards are there."
        attempt = AttemptSummary(
            started=START.isoformat(timespec="seconds"),
            ended=ended.isoformat(timespec="seconds"),
            seconds=(ended - START).total_seconds(),
            outcome=Outcome(outcome),
            exit_code=code,
            sentence=message(sentence or text),
        )
        generations = {"ticker_list.json": "1763949603123456", "card_types.json": "1763949603123999"}
        inputs = RunInputs(
            run_id=self.run_id,
            started=attempt.started,
            day="2026-11-24",
            date="2026-11-24",
            batch_sizes={"financial": self.batch, "trading": self.batch},
            config_uri="gs://cards-config/config",
            objects={name: ConfigObject(generation=one, content="") for name, one in generations.items()},
            version="1.0.0",
        )
        report = report_of(inputs, ledger, [attempt], version="1.0.0", commit="0e4f2601c5d9")
        return report.model_copy(update=changes), ledger
