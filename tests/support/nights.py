"""Nights as their records would tell of them, made up from a seed: for pages that no run has to be made for."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from job.engines.catalog import ALL_ENGINES, EngineName
from job.execution.progress import CardTotals, EngineTotals
from job.identity import RunIdentity
from job.records.report import AttemptSummary, RunReport
from job.records.timeline import Timeline

START = datetime(2026, 11, 24, 2, 0, 3, tzinfo=UTC)
Result = dict[str, Any]
Fate = Callable[[EngineName, int], tuple[list[str], str | None, str | None, int | None]]
"""Of the call of this number: the answers before its last, then the cause, reason and status of its last, if it failed."""


def well(_engine: EngineName, _number: int) -> tuple[list[str], None, None, int]:
    return [], None, None, 200


@dataclass
class Night:
    """What is played: how many targets and cards, with how many calls at a time, and what goes wrong."""

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

    def results(self) -> Iterator[Result]:
        """The lines of the journal."""
        rng, run, now = random.Random(self.seed), RunIdentity(self.run_id), START.timestamp()
        starts = dict.fromkeys(ALL_ENGINES, now)
        for engine in ALL_ENGINES:
            if engine == "qa":
                starts["qa"] = last = max(starts.values())
            begin = starts[engine]
            free = [begin] * self.concurrency[engine]
            for number, (targets, card_type) in enumerate(self._work(engine)):
                at = heapq.heappop(free)
                result, last = self._result(engine, number, targets, card_type, at, rng)
                result["traceparent"] = f"00-{run.trace_id}-{rng.getrandbits(64):016x}-01"
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
    ) -> tuple[Result, float]:
        failed_attempts, (reasons, cause, reason, status) = [], self.fate(engine, number)
        for told in reasons:
            ended = at + rng.uniform(0.1, 0.4) * self.seconds[engine]
            failed_attempts.append([round(at, 3), round(ended, 3), told])
            at = ended + rng.uniform(0.02, 0.1) * self.seconds[engine]
        ended = round(at + rng.lognormvariate(0, 0.4) * self.seconds[engine], 3)
        result = {
            "engine": engine,
            "targets": targets,
            "card_type": card,
            "done": cause is None,
            "attempts": len(failed_attempts) + 1,
            "started": round(at, 3),
            "ended": ended,
            "status": status,
            "cause": cause,
            "reason": reason,
            "failed_attempts": failed_attempts,
            "limit": max(1, self.concurrency[engine] - (2 * len(failed_attempts) if number % 3 else 0)),
        }
        return result, ended

    def told(
        self, outcome: str = "succeeded", code: int = 0, sentence: str = "", **changes: Any
    ) -> tuple[RunReport, Timeline]:
        """The report and the timeline of the night."""
        timeline = Timeline()
        made: dict[EngineName, list[int]] = {engine: [0, 0, 0, 0] for engine in ALL_ENGINES}
        for result in self.results():
            timeline.add(result)
            counts = made[result["engine"]]
            counts[0 if result["done"] else 1] += len(result["targets"])
            counts[2] += 1
            counts[3] += len(result["failed_attempts"])
        planned = {name: len(self.targets) for name in ALL_ENGINES} | {"qa": len(self.targets) * len(self.card_types)}
        engines = {
            name: EngineTotals(
                planned=planned[name],
                done=done,
                skipped=0,
                failed=failed,
                not_attempted=planned[name] - done - failed,
                calls=calls,
                retries=retries,
                p50_seconds=None,
                p95_seconds=None,
            )
            for name, (done, failed, calls, retries) in made.items()
        }
        qa = engines["qa"]
        cards = CardTotals(planned=qa.planned, generated=qa.done, failed=qa.failed, not_attempted=qa.not_attempted)
        last = max(max(lane.ended, default=0.0) for lane in timeline.lanes.values())
        ended = datetime.fromtimestamp(last, UTC) if last else START + timedelta(seconds=2)
        seconds = (ended - START).total_seconds()
        stamps = START.isoformat(timespec="seconds"), ended.isoformat(timespec="seconds")
        sentence = sentence or f"Everything was done: {cards.generated:,} of {cards.planned:,} cards are there."
        attempt = AttemptSummary(started=stamps[0], ended=stamps[1], seconds=seconds, outcome=outcome, exit_code=code)
        report = RunReport(
            run_id=self.run_id,
            day="2026-11-24",
            date="2026-11-24",
            started=stamps[0],
            ended=stamps[1],
            seconds=seconds,
            outcome=outcome,
            exit_code=code,
            sentence=sentence,
            cards=cards,
            engines=engines,
            attempts=(attempt,),
            config_uri="gs://cards-config/config",
            config_generations={"ticker_list.json": "1763949603123456", "card_types.json": "1763949603123999"},
            version="1.0.0",
            commit="0e4f2601c5d9",
            trace_id=RunIdentity(self.run_id).trace_id,
        )
        return report.model_copy(update=changes), timeline
