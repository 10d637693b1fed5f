"""The record of a run: what it was to do, what finished, how it ended. A later attempt at the run continues from it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import trio

from job.engines.catalog import ALL_ENGINES, DATA_ENGINES
from job.execution.events import CallFinished, Event
from job.planning.plan import Plan
from job.records.format import FORMAT, PAGE, STARTED, RecordError, sealed, unsealed
from job.records.inputs import RunInputs, pack, unpack
from job.records.journal import Journal, read_journal
from job.records.report import AttemptSummary, earlier_attempts
from job.records.results import UNKNOWN_RESULT, DoneItems, add_done
from job.records.timeline import Timeline
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, in_thread

RETRY_SECONDS = 1.0


class Record:
    """The record of one run, as one attempt at it reads and writes it."""

    def __init__(self, store: ObjectStore, run_id: str, owner: str, on_outage: Callable[[str | None], None]) -> None:
        self._store = store
        self._run_id = run_id
        self._on_outage = on_outage
        self._crossed = False
        self._report: StoredObject | None = None
        self.timeline = Timeline()
        """What all attempts at the run have done, for its page."""
        self._epoch = time.time() - trio.current_time()  # once: a jump of the clock must not reorder what is stamped
        self.journal = Journal(store, self._name("results/"), run_id, owner, on_outage)

    async def create(self, inputs: RunInputs) -> None:
        """Makes the inputs durable. Raises `StorageError`, also where the run has a record already."""
        await in_thread(lambda: self._store.create(self._name("inputs.json"), pack(inputs)))

    async def announce(self, inputs: RunInputs) -> None:
        """Puts the run where the latest runs are looked for. Raises `StorageError`."""
        stamp = f"{datetime.fromisoformat(inputs.started).astimezone(UTC):%Y%m%dT%H%M%SZ}"
        await in_thread(lambda: self._store.create(f"{STARTED}{stamp}_{self._run_id}", b"{}\n"))

    async def load(self, plan: Plan) -> DoneItems:
        """What has been done of the plan. Raises `StorageError`, and `RecordError` where that does not go together."""
        done: DoneItems = {engine: set() for engine in ALL_ENGINES}

        def take(result: dict[str, object]) -> None:
            add_done(done, result)
            try:
                self.timeline.add(result)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise RecordError(UNKNOWN_RESULT) from error

        await read_journal(self._store, self._name("results/"), self._run_id, take)
        for engine, items in done.items():
            if not items <= set(plan.items(engine)):
                raise RecordError(f"{self._name('results/')} has results that are not of this run's plan")
        barrier = await in_thread(lambda: self._store.read(self._name("barrier.json")))
        self._report = await in_thread(lambda: self._store.read(self._name("report.json")))
        if barrier is not None:
            name = self._name("barrier.json")
            owner = unsealed(name, barrier.data).get("run_id")
            if owner != self._run_id:
                raise RecordError(f"{name} belongs to run {owner}")
            if any(set(plan.items(engine)) - done[engine] for engine in DATA_ENGINES):
                raise RecordError(f"{self._name('results/')} lacks data that were there when the barrier was crossed")
            self._crossed = True
        return done

    def on_event(self, event: Event) -> None:
        """Notes a call that has finished; it is written within seconds."""
        if isinstance(event, CallFinished):
            result = self._result(event)
            self.journal.append(result)
            self.timeline.add(result)

    async def mark_barrier(self) -> None:
        """Makes everything that was noted, and the crossing of the barrier, durable, however long that takes."""
        await self.journal.flush()
        barrier = sealed({"format": FORMAT, "run_id": self._run_id})
        while not self._crossed:
            try:
                await in_thread(lambda: self._store.create(self._name("barrier.json"), barrier))
            except StorageError as error:
                self._on_outage(f"the crossing of the barrier is not written yet: {error}")
                await trio.sleep(RETRY_SECONDS)
            else:
                self._on_outage(None)
                self._crossed = True

    async def write_report(self, report: Mapping[str, object], has_lease: Callable[[], bool]) -> bool:
        """Writes what is still unwritten, then the report, however long that takes; whether the record is this one's.

        One that was paused and lost its lease leaves the report of a later attempt as it is; whoever has the lease
        writes over what such a one has left meanwhile.
        """
        await self.journal.flush()
        data = json.dumps(report, ensure_ascii=False, indent=1).encode()
        while True:  # noqa: ASYNC913  storage is awaited in every turn
            try:
                await in_thread(lambda: self._write("report.json", data, self._report))
            except ConflictError:
                if not has_lease():
                    return False
                await self._look_again()
            except StorageError as error:
                self._on_outage(f"the report is not written yet: {error}")
                await trio.sleep(RETRY_SECONDS)
            else:
                return True

    async def _look_again(self) -> None:
        """Learns which report is there, not at every moment: the next write may be refused as well."""
        await trio.sleep(RETRY_SECONDS)
        try:
            self._report = await in_thread(lambda: self._store.read(self._name("report.json")))
        except StorageError as error:
            self._on_outage(f"the report is not written yet: {error}")

    async def write_page(self, page: Callable[[Timeline], bytes]) -> None:  # noqa: ASYNC910  storage was awaited
        """Writes the page of the run, made in a thread: it takes time. Raises `StorageError`, and what `page` does."""

        def make() -> None:
            data = page(self.timeline)
            self._write(PAGE, data, self._store.read(self._name(PAGE), 1))

        with suppress(ConflictError):  # a later attempt at the run has written its own
            await in_thread(make)

    @property
    def attempts(self) -> Sequence[AttemptSummary]:
        """The attempts at the run that have closed before this one."""
        return earlier_attempts(self._report.data if self._report else None)

    def _write(self, name: str, data: bytes, there: StoredObject | None) -> None:
        if there is None:
            self._store.create(self._name(name), data)
        else:
            self._store.replace(self._name(name), data, there.generation)

    def _result(self, event: CallFinished) -> dict[str, object]:
        failure = event.failure
        return {
            "engine": event.call.engine,
            "targets": event.call.targets,
            "card_type": event.call.card_type,
            "done": failure is None,
            "attempts": event.attempts,
            "started": self._stamp(event.started),
            "ended": self._stamp(event.ended),
            "status": event.status,
            "cause": failure.cause if failure else None,
            "reason": failure.text if failure else None,
            "failed_attempts": [
                [self._stamp(item.started), self._stamp(item.ended), item.reason] for item in event.failed_attempts
            ],
            "traceparent": event.traceparent,
            "limit": event.limit,
        }

    def _stamp(self, time: float) -> float:
        """Seconds since 1970."""
        return round(self._epoch + time, 3)

    def _name(self, name: str) -> str:
        return f"{self._run_id}/{name}"


async def find_inputs(store: ObjectStore, run_id: str) -> RunInputs | None:
    """The inputs of a run that has a record. Raises `RecordError` and `StorageError`."""
    name = f"{run_id}/inputs.json"
    stored = await in_thread(lambda: store.read(name))
    return None if stored is None else unpack(name, stored.data, run_id)
