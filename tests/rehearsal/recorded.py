"""Recorded nights, built from a seed, and their records as runs leave them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock

from job.config.environment import read_settings
from job.engines.transport import Response, TransportError
from job.ledger.ledger import Ledger
from job.records.attempts import AttemptEntry
from job.records.journal import Journal
from job.records.past import PastRun
from job.rehearsal.play import Scenario
from job.rehearsal.recorded import RecordedNight, night_of
from job.report.format import INPUTS, SUMMARY, entry_of, name_of
from job.report.inputs import ConfigObject, RunInputs, pack
from job.report.outcome import Ending, ExitCode, Outcome
from job.report.report import AttemptSummary, report_of, summary_of
from job.report.summary import pack_summary
from job.text.messages import message
from tests.support.fakes import Asked, plan_of, settings_of, stage, target, well
from tests.support.nights import START, Night
from tests.support.results import tried
from tests.support.stores import Memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from job.engines.catalog import EngineName
    from job.ledger.result import CallResult

URI = "gs://cards/config"
EPOCH = datetime.fromtimestamp(0, UTC)
TYPES = ("news_card", "price_card", "outlook_card")


def tickers(count: int) -> list[str]:
    return [f"T{number:03}" for number in range(count)]


def night(count: int = 60, seed: int = 1, pace: float = 1.0, **more: Any) -> Night:
    """A night of so many tickers, whose engines take so many times as long."""
    seconds = {"financial": 21.0 * pace, "trading": 34.0 * pace, "news": 18.0 * pace, "qa": 24.0 * pace}
    return Night(tickers(count), TYPES, seconds=seconds, seed=seed, **more)  # type: ignore[arg-type]


def known(one: Night, results: Iterable[CallResult] | None = None, day: str = "2026-11-24") -> RecordedNight:
    """What a rehearsal knows of a night."""
    found = list(one.results() if results is None else results)
    run = PastRun("night", START, day, Outcome.SUCCEEDED, attempts=1)
    entry = AttemptEntry(owner="a", started=START.isoformat(), concurrency=dict(one.concurrency))
    made = night_of(run, day, START, one.plan(), entry, found)
    assert made is not None
    return replace(made, seconds=max(result.ended for result in found) - START.timestamp())


Trouble = Callable[[Asked, float, float, int], Response | None]
"""What an engine answers instead, given the seconds since its first call, a number from 0 to 1, and how many calls it
works on."""
SECONDS = {
    "financial": 21.0,
    "trading": 34.0,
    "news": 18.0,
    "news_card": 40.0,
    "price_card": 20.0,
    "outlook_card": 10.0,
}
CHANGES: dict[EngineName, dict[str, int]] = {
    "financial": {"batch_size": 5},
    "trading": {"batch_size": 5},
    "news": {"concurrency": 8},
    "qa": {"concurrency": 16},
}


def lived(trouble: Trouble, seed: int = 1) -> tuple[Scenario, RecordedNight]:
    """A night of the job among engines with a trouble: what it was, and what its record says."""
    chance, began = random.Random(seed), dict[str, float]()

    async def script(asked: Asked) -> Response:
        time = trio.current_time()
        since = time - began.setdefault(asked.engine, time)
        kind = asked.path.rpartition("/")[2] if asked.engine == "qa" else asked.engine
        took = chance.lognormvariate(0.0, 0.4) * SECONDS[kind]
        answer = trouble(asked, since, chance.random(), at_work[asked.engine])
        if answer is not None:
            await trio.sleep(0.05 if answer.status == 429 else took / 3)
            if answer.status == 0:
                raise TransportError(message("connection reset"))
            return answer
        at_work[asked.engine] += 1
        await trio.sleep(took)
        at_work[asked.engine] -= 1
        return well(asked)

    at_work = Counter[str]()
    targets = [target(name, TYPES) for name in tickers(60)]
    played = stage(targets, script, CHANGES, chance.random)
    trio.run(played.play, clock=MockClock(autojump_threshold=0))
    settings = settings_of(CHANGES)
    plan = plan_of(targets, settings)
    entry = AttemptEntry(
        owner="a", started=EPOCH.isoformat(), concurrency={name: one.concurrency for name, one in settings.items()}
    )
    run = PastRun("night", EPOCH, "1970-01-01", Outcome.SUCCEEDED, attempts=1)
    known = night_of(run, "1970-01-01", EPOCH, plan, entry, played.world.finished)
    assert known is not None
    return Scenario(plan, settings), replace(known, seconds=max(one.ended for one in played.world.finished))


def scenario(one: Night, **variables: str) -> Scenario:
    """What is rehearsed, with the settings of a night."""
    most = {f"{engine.upper()}_ENGINE_CONCURRENCY": str(count) for engine, count in one.concurrency.items()}
    settings, _ = read_settings(most | variables, START)
    return Scenario(one.plan(), settings.engines)


def record(one: Night, number: int, config_uri: str = URI) -> dict[str, bytes]:
    """The objects of the record of a night: so many nights ago, a success."""
    begun = START.astimezone(UTC) - timedelta(days=number)
    run_id, day = f"night-{number}", f"{begun:%Y-%m-%d}"
    inputs = RunInputs(
        run_id=run_id,
        started=begun.isoformat(),
        day=day,
        date=day,
        batch_sizes={"financial": one.batch, "trading": one.batch},
        config_uri=config_uri,
        objects={name: ConfigObject(generation="1", content=text) for name, text in contents(one).items()},
        version="1",
    )
    ledger, journal = Ledger(inputs.plan()), Journal(Memory(), run_id, "owner", lambda _: None)
    for result in moved(one.results(), begun - START):
        ledger.add(result)
        journal.append(result)
    chunk = journal._next_chunk()
    ended = max(max(lane.ended) for lane in ledger.lanes.values() if len(lane))
    ending = Ending(Outcome.SUCCEEDED, ExitCode.DONE, message("Done."))
    attempt = AttemptSummary.of(ending, inputs, begun, ended - begun.timestamp())
    report = report_of(inputs, ledger, [attempt]).model_copy(update={"attempt": 1, "journal": {"owner": 1}})
    entry = AttemptEntry(
        number=1, owner="owner", started=inputs.started, run_date="today", zone="UTC", concurrency=dict(one.concurrency)
    )
    return {
        entry_of(run_id, inputs.started): b"{}\n",
        name_of(run_id, INPUTS): pack(inputs),
        name_of(run_id, SUMMARY): pack_summary(summary_of(report, ledger, None)),
        name_of(run_id, "attempts/000001.json"): entry.model_dump_json().encode(),
        chunk.name: chunk.data,
    }


def contents(one: Night) -> dict[str, str]:
    """The config of a night."""
    return {"ticker_list.json": json.dumps(one.targets), "card_types.json": json.dumps(one.card_types)}


def moved(results: Iterable[CallResult], by: timedelta) -> Iterable[CallResult]:
    seconds = by.total_seconds()
    for one in results:
        before = [(was.started + seconds, was.ended + seconds, str(was.reason)) for was in one.failed_attempts]
        yield replace(one, started=one.started + seconds, ended=one.ended + seconds, failed_attempts=tried(*before))
