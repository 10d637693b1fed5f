"""Days as the job records them, for tests of what reads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from job.config.faults import Fault, FaultKind
from job.config.objects import parse_config
from job.config.plan import Plan, make_plan
from job.config.read import PlannedConfig
from job.day.attempt import Attempt, ExitCode, Outcome, Start
from job.day.ending import Ending
from job.day.ledger import Ledger, Rerun
from job.day.report import Report
from job.day.result import CallResult
from job.day.summary import report_of
from job.engines.calls import ALL_ENGINES, BATCHES, Item
from job.engines.failures import Cause, Failure
from job.records.lease import Holder
from job.records.objects import attempt_name, end_name
from job.records.record import Journal, Listing, Record
from job.storage.store import StoredObject
from job.text.messages import message
from tests.support.results import result_of
from tests.support.stores import Memory

DAY = "2026-11-24"
NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
"""The morning after."""
TRACE_ID = f"{1:032x}"
SIZES = {engine: 2 if engine in BATCHES else 1 for engine in ALL_ENGINES}
FAULT = Fault("ticker_list.json", message("is not JSON"), message("correct it"), FaultKind.OBJECT)
REFUSED = Failure(Cause.STATUS, message("HTTP 422"), 422)


URLS = {f"{engine.upper()}_ENGINE_URL": f"https://{engine}.example" for engine in ALL_ENGINES}
"""The variables that name the engines."""


def config(tickers: Sequence[str] = ("AAPL", "MSFT"), types: Sequence[str] = ("news_card",)) -> dict[str, str]:
    """The contents of the config objects."""
    return {"ticker_list.json": json.dumps(list(tickers)), "card_types.json": json.dumps(list(types))}


def plan_from(objects: Mapping[str, str], day: str = DAY) -> Plan:
    """The plan of config objects."""
    plan, faults = make_plan(parse_config({name: text.encode() for name, text in objects.items()}), day, SIZES)
    assert not faults
    return plan


def prepared(objects: Mapping[str, str] | None = None, again: Sequence[Item] = ()) -> PlannedConfig:
    """What a start has prepared."""
    objects = config() if objects is None else objects
    stored = {name: StoredObject(text.encode(), "7", 0.0) for name, text in objects.items()}
    return PlannedConfig(plan_from(objects), stored, again=again)


SCHEDULE = "0 2 * * *"


def start_at(day: str = DAY, **changes: Any) -> Start:
    """The first start of a day, on a laptop, at two in the morning."""
    moment = f"{day}T02:00:03+08:00"
    known: dict[str, Any] = {
        "day": day,
        "number": 1,
        "began": moment,
        "started": moment,
        "zone": "Asia/Shanghai",
        "schedule": SCHEDULE,
        "trace_id": TRACE_ID,
        "arguments": ("run",),
        "config_uri": "gs://cards/config",
        "version": "1",
    }
    return Start(**(known | changes))


def report_at(
    ending: Ending, ledger: Ledger | None = None, start: Start | None = None, seconds: float = 1500.0, **more: Any
) -> Report:
    """The report of an attempt that ended like this. It called nothing unless it has a ledger."""
    start = start or start_at()
    return report_of(start, ledger or Ledger(Plan.empty(start.day)), ending, seconds=seconds, **more)


def begun(report: Report, **changes: Any) -> Report:
    """The same report of a start that began otherwise."""
    return report.model_copy(update=changes)


@dataclass
class RecordedAttempt:
    """An attempt that is recorded: what it was made of, and how it ended; `None` if it has not ended."""

    day: str = DAY
    number: int = 1
    objects: Mapping[str, str] = field(default_factory=config)
    """The contents of its config objects."""
    outcome: str | None = "succeeded"
    failed: Sequence[str] = ()
    """The targets whose cards failed."""
    with_error: Sequence[str] = ()
    """The targets whose cards are done with an error besides."""
    seconds: float = 1500.0
    again: Sequence[Rerun] = ()
    asked_by: Sequence[str] = ()
    before: "RecordedAttempt | None" = None
    """That at the night before."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is special about its start."""

    @property
    def start(self) -> Start:
        return start_at(self.day, number=self.number, **self.about)

    @property
    def plan(self) -> Plan:
        return plan_from(self.objects, self.day).without(self.start.without)

    @property
    def stored(self) -> Attempt:
        return Attempt(
            **dict(self.start),
            batch_sizes=SIZES,
            objects=dict(self.objects),
            plan=self.plan.digest,
            again=tuple(self.again),
            asked_by=tuple(self.asked_by),
        )

    def results(self) -> list[CallResult]:
        """A result for each call, two seconds after another."""
        at, found = datetime.fromisoformat(self.start.started).timestamp(), list[Any]()
        for engine in self.plan.engines():
            for call in self.plan.calls(engine):
                at += 2.0
                failure = REFUSED if engine == "qa" and call.targets[0] in self.failed else None
                odd = message("odd") if engine == "qa" and call.targets[0] in self.with_error else None
                found.append(result_of(call, failure, started=at, ended=at + 2.0, warning=odd))
        return found

    def ledger(self) -> Ledger:
        """The ledger of these results."""
        ledger = Ledger(self.plan, self.again)
        for result in self.results():
            ledger.add(result)
        return ledger

    def report(self) -> Report:
        """The report with which it ended."""
        (outcome,) = (one for one in Outcome if one == (self.outcome or "killed"))
        ending = Ending(outcome, signal=ExitCode.SIGTERM if outcome is Outcome.INTERRUPTED else None)
        before = None if self.before is None else (self.before.report(), self.before.plan)
        made = report_of(self.start, self.ledger(), ending, seconds=self.seconds, before=before)
        return made.model_copy(update={"journal": {self.number: 1}})

    def record(self) -> dict[str, bytes]:
        """The objects of its record, as the job writes them."""
        journal = Journal(Memory(), self.day, self.number, self.plan.digest, lambda _: None)
        for result in self.results():
            journal.append(result)
        found = {
            attempt_name(self.day, self.number): self.stored.to_json(),
            **dict([journal.next_chunk()]),
        }
        if self.outcome is not None:
            found[end_name(self.day, self.number)] = self.report().to_json()
        return found


def record_of(*attempts: RecordedAttempt, plan: Plan | None = None) -> Record:
    """What is recorded of the day of these attempts, as a start with this plan reads it."""
    names = sorted(name for attempt in attempts for name in attempt.record())
    latest = attempts[-1] if attempts else None
    plan = plan or prepared().plan
    ledger = Ledger(plan, latest.again if latest else ())
    for attempt in attempts:
        for result in attempt.results():
            ledger.add(result, is_of_plan=attempt.plan.digest == plan.digest)
    ended = {attempt.number: attempt.report() for attempt in attempts if attempt.outcome is not None}
    return Record(Listing.from_names(DAY, names), None if latest is None else latest.stored, ended, ledger)


def refusal(day: str) -> dict[str, bytes]:
    """The record of a day of which nothing is there but a start whose config has a fault."""
    return {
        end_name(day, 0): report_at(
            Ending(Outcome.BAD_CONFIG), start=start_at(day, number=0), seconds=0.4, faults=[FAULT]
        ).to_json()
    }


def lease_of(day: str, execution: str | None = None) -> bytes:
    """A lease that a start for this day holds."""
    holder = Holder(owner="x", day=day, since=f"{day}T02:00:03+08:00", execution=execution, task_attempt=0)
    return holder.model_dump_json().encode()


def put(store: Memory, *records: Mapping[str, bytes]) -> None:
    """Puts records into a store as if the job had written them."""
    for record in records:
        for name, data in record.items():
            store.objects[name] = StoredObject(data, "1", 0.0)


def write(place: Path, *records: Mapping[str, bytes]) -> None:
    """Writes records into a directory."""
    for record in records:
        for name, data in record.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
