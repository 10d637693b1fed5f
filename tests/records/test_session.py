"""A day is gone on with where its record ends; a record is closed and its lease released, whatever storage does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import pytest
import trio

from job.config.faults import ConfigError, FaultKind
from job.config.read import PlannedConfig
from job.day.attempt import Attempt
from job.day.ledger import Rerun
from job.day.report import Report
from job.day.result import ShutdownReason
from job.engines.calls import Item
from job.execution.shutdown import BUDGETS, DOCUMENTS_SHARE, RECORD_SHARE, Expiry, Shutdown
from job.records.lease import LEASE, TRUSTED_SECONDS, BusyError, acquire
from job.records.objects import RecordError, attempt_name, read_report
from job.records.record import Documents, Record
from job.records.session import RELEASE_SECONDS, Session, StorageAlarm, decide, faults_of_record
from job.storage.store import StoredObject, UnusableError
from job.text.messages import Message, message
from tests.records.test_lease import holder, there
from tests.support.records import DAY, RecordedAttempt, prepared, put, record_of, start_at
from tests.support.stores import Memory, memory
from tests.support.virtual_time import MachineClock, machine_clock

__all__ = ["machine_clock", "memory"]


@dataclass
class Desk:
    """Where a start opens its session, and what is said of storage."""

    store: Memory
    said: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Those of these that are faults."""
    shutdown: Shutdown = field(default_factory=Shutdown)

    def __post_init__(self) -> None:
        self.alarm = StorageAlarm(self.say)

    def say(self, text: Message, is_fault: bool) -> None:
        self.said.append(str(text))
        self.faults += [str(text)] * is_fault

    @asynccontextmanager
    async def open(self, **about: Any) -> AsyncIterator[Session]:
        """A start that opens its session, with the lease."""
        async with acquire(self.store, holder("me"), lambda *_: None, waits=True) as lease:
            work = prepared()
            record = await Record.read(self.store, DAY, work.plan)
            attempt = decide(record, record.continued_by(start_at(number=0, **about)), work)
            assert attempt is not None
            yield await Session.begin(lease, attempt, record, self.alarm)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A first attempt, whose lease is renewed, with one result that is not written yet."""
        async with self.open() as session, trio.open_nursery() as helpers:
            helpers.start_soon(session.lease.renew_forever, self.shutdown, partial(self.alarm, "lease"))
            session.journal.append(RecordedAttempt().results()[0])
            yield session
            helpers.cancel_scope.cancel()

    async def close(
        self, session: Session, reason: ShutdownReason | None = None, documents: Documents | None = None
    ) -> tuple[Report, float]:
        """Closes the record; returns the report and how long that took."""
        if reason is not None:
            self.shutdown.request(reason)
        self.shutdown.begin_closing()
        begun = trio.current_time()
        report = await session.close(
            RecordedAttempt().report(), {**(documents or {}), PAGE: lambda: b"page"}, self.shutdown
        )
        return report, trio.current_time() - begun

    @property
    def incomplete(self) -> bool:
        return "storage: the record is not complete: 1 results and the end are not written" in self.faults


PAGE = f"{DAY}/report.html"
END = f"{DAY}/ends/000001.json"


@pytest.fixture
def desk(memory: Memory) -> Desk:
    return Desk(memory)


# --- opening ---


async def test_a_later_attempt_goes_on_with_the_days_trace_id_and_begin(desk: Desk) -> None:
    put(desk.store, RecordedAttempt(outcome="cards_missing", failed=["MSFT"]).record())
    async with desk.open(trace_id=f"{2:032x}", began="2026-11-24T09:00:00+08:00") as session:
        start = session.attempt
        assert (start.number, start.trace_id, start.began) == (2, start_at().trace_id, start_at().began)
        assert session.record.severity == "bad"


async def test_a_day_that_is_done_with_an_error_besides_was_not_good(desk: Desk) -> None:
    put(desk.store, RecordedAttempt(with_error=["MSFT"]).record())
    record = await Record.read(desk.store, DAY)
    assert record.severity == "warn"


async def test_a_start_that_slept_beyond_its_lease_makes_no_attempt(desk: Desk, machine_clock: MachineClock) -> None:
    def sleep(verb: str, _name: str) -> bool:
        machine_clock.slept += TRUSTED_SECONDS * (verb == "names")
        return False

    desk.store.refuse = sleep
    with pytest.raises(BusyError, match=r"^this one was paused for longer than its lease lasts$"):
        async with desk.open():
            pass
    assert [*desk.store.objects] == [LEASE]
    assert there(desk.store).begun == ()


async def test_an_attempt_that_another_start_has_made_meanwhile_is_left_to_it(desk: Desk) -> None:
    """It has taken the lease over while this one was paused."""

    def make(verb: str, name: str) -> bool:
        if verb == "create" and "/attempts/" in name:
            put(desk.store, {name: b"another's"})
        return False

    desk.store.refuse = make
    with pytest.raises(BusyError):
        async with desk.open():
            pass
    assert desk.store.objects.pop(attempt_name(DAY, 1)).data == b"another's"
    assert [*desk.store.objects] == [LEASE]


# --- closing ---


@pytest.mark.parametrize("reason", [None, ShutdownReason.BUG])
async def test_all_is_written_the_end_last_and_the_lease_released(desk: Desk, reason: ShutdownReason | None) -> None:
    async with desk.session() as session:
        report, took = await desk.close(session, reason)
        assert (took, report.not_written) == (0.0, ())
    assert (desk.said, session.is_ended, session.journal.unwritten) == ([], True, [])
    written = [name for verb, name in desk.store.asked if verb == "create" and name.startswith(DAY)]
    assert written[1:] == [f"{DAY}/results/000001-000000.jsonl", PAGE, END]
    assert read_report(DAY, 1, desk.store.objects[END].data).journal == {1: 1}
    assert there(desk.store).is_released


async def test_a_document_that_cannot_be_made_does_not_prevent_the_others(desk: Desk) -> None:
    def broken() -> NoReturn:
        raise ValueError("odd")

    async with desk.session() as session:
        report, _ = await desk.close(session, documents={"index.html": broken})
    assert report.not_written == ("index.html",)
    assert PAGE in desk.store.objects
    assert read_report(DAY, 1, desk.store.objects[END].data) == report
    assert desk.said == ["could not write index.html: odd"]


async def test_a_page_of_its_own_that_comes_late_is_not_the_last_one(desk: Desk) -> None:
    """It was given up, as storage hung, and has its effect just before the last one."""

    def come_late(verb: str, name: str) -> bool:
        if verb == "create" and name == PAGE and PAGE not in desk.store.objects:
            put(desk.store, {PAGE: b"at work"})
        return False

    async with desk.session() as session:
        desk.store.refuse = come_late
        report, _ = await desk.close(session)
    assert (desk.store.objects[PAGE].data, report.not_written) == (b"page", ())


@pytest.mark.parametrize("taken_over_at", ["read", "replace"])
async def test_a_start_that_has_lost_its_lease_writes_no_page_over_that_of_another(
    desk: Desk, taken_over_at: str
) -> None:
    put(desk.store, {PAGE: b"yesterday"})
    async with desk.session() as session:

        def take_over(verb: str, name: str) -> bool:
            if (verb, name) == (taken_over_at, PAGE):
                session.lease.expiry = Expiry.after(0.0)
                desk.store.objects[PAGE] = StoredObject(b"another's", "9", 0.0)
            return False

        desk.store.refuse = take_over
        await session.show({PAGE: lambda: b"at work"})
    assert desk.store.objects[PAGE].data == b"another's"
    assert desk.said == []


@pytest.mark.parametrize("reason", [None, ShutdownReason.DEADLINE, ShutdownReason.SIGTERM])
@pytest.mark.parametrize("is_refused", [True, False])
async def test_documents_that_cannot_be_written_leave_the_end_half_of_the_time(
    desk: Desk, reason: ShutdownReason | None, is_refused: bool
) -> None:
    """Each request is refused after the 20 s for which it was repeated; or none is answered."""
    others = dict.fromkeys("1234", lambda: b"x")
    async with desk.session() as session:
        desk.store.takes = lambda _verb, name: (20.0 if is_refused else 1e6) * (name in {*others, PAGE})
        desk.store.refuse = lambda _verb, name: is_refused and name in {*others, PAGE}
        report, took = await desk.close(session, reason, others)
    assert took == BUDGETS[reason].closing * DOCUMENTS_SHARE
    assert report.not_written == (*others, PAGE)
    assert read_report(DAY, 1, desk.store.objects[END].data) == report
    assert (session.is_ended, there(desk.store).is_released) == (True, True)


async def test_an_attempt_that_was_not_cut_short_waits_for_storage(desk: Desk) -> None:
    async with desk.session() as session:
        desk.store.refuse = lambda _verb, _name: trio.current_time() < 20
        _, took = await desk.close(session)
    assert 19 < took < 23
    assert there(desk.store).is_released
    assert END in desk.store.objects
    assert not desk.incomplete
    assert desk.said[-1] == "storage works again"


@pytest.mark.parametrize("reason", [ShutdownReason.SIGTERM, ShutdownReason.DEADLINE])
@pytest.mark.parametrize("at", [0.0, 10.0])
async def test_closing_waits_no_longer_than_the_shutdown_lets_it(desk: Desk, reason: ShutdownReason, at: float) -> None:
    async def shutdown() -> None:
        await trio.sleep(at)
        desk.shutdown.request(reason)

    async with desk.session() as session, trio.open_nursery() as nursery:
        desk.store.refuse = lambda _verb, _name: True
        nursery.start_soon(shutdown)
        _, took = await desk.close(session)
    assert at <= took - BUDGETS[reason].closing * RECORD_SHARE <= at + RELEASE_SECONDS
    assert desk.incomplete


@pytest.mark.parametrize("part", ["/results/", PAGE, "/ends/"])
async def test_a_request_that_hangs_when_a_signal_comes_costs_nothing_else(desk: Desk, part: str) -> None:
    """What the record needs is written again then: to wait on for this one request would lose the end."""

    async def signal() -> None:
        await trio.sleep(10)
        desk.store.seconds = 0.0
        desk.shutdown.request(ShutdownReason.SIGTERM)

    async with desk.session() as session, trio.open_nursery() as nursery:
        desk.store.hang("", part)
        nursery.start_soon(signal)
        report, took = await desk.close(session)
    lost = (PAGE,) if part == PAGE else ()
    assert took == 10 + BUDGETS[ShutdownReason.SIGTERM].closing * DOCUMENTS_SHARE * len(lost)
    assert (report.not_written, session.journal.unwritten) == (lost, [])
    assert read_report(DAY, 1, desk.store.objects[END].data) == report
    assert f"{DAY}/results/000001-000000.jsonl" in desk.store.objects
    assert there(desk.store).is_released


async def test_without_the_lease_results_and_the_end_alone_are_written(desk: Desk, machine_clock: MachineClock) -> None:
    """They have its own number, and are true; the page is that of the start which took over."""
    async with desk.session() as session:
        desk.store.objects[LEASE] = desk.store._write("replace", LEASE, b"another's")
        machine_clock.slept += TRUSTED_SECONDS
        report, _ = await desk.close(session, ShutdownReason.BUG)
    assert report.not_written == (PAGE,)
    assert desk.said == [f"could not write {PAGE}: the lease is lost"]
    assert PAGE not in desk.store.objects
    assert {END, f"{DAY}/results/000001-000000.jsonl"} <= desk.store.objects.keys()
    assert desk.store.objects[LEASE].data == b"another's"


async def test_an_end_that_is_there_already_is_kept(desk: Desk) -> None:
    async with desk.session() as session:
        put(desk.store, {END: b"another's"})
        await desk.close(session)
    assert desk.store.objects[END].data == b"another's"
    assert not session.is_ended
    assert desk.said[0] == f"{END} was changed by another process or person"


async def test_a_lease_whose_release_takes_too_long_is_given_up(desk: Desk) -> None:
    async with desk.session() as session:
        desk.store.hang("replace", LEASE)
        assert (await desk.close(session))[1] == RELEASE_SECONDS
    assert not desk.said
    assert session.is_ended


# --- what a start adds to the record of its day, without storage ---

CARD = Item("qa", "AAPL", "news_card")
ASKED = Rerun("qa", "AAPL", "news_card", DAY, 2)
INTERRUPTED = RecordedAttempt(outcome="interrupted")
MADE_AGAIN = RecordedAttempt(number=2, again=[ASKED], asked_by=["x"])


def decided(*attempts: RecordedAttempt, work: PlannedConfig | None = None, **about: Any) -> Attempt | None:
    """What a start decides on a day with these attempts."""
    work = work or prepared()
    return decide(record_of(*attempts, plan=work.plan), start_at(**{"number": 0, **about}), work)


def test_a_day_is_for_one_config() -> None:
    assert decided(INTERRUPTED, config_uri="gs://cards/config/") is not None
    with pytest.raises(ConfigError) as error:
        decided(INTERRUPTED, config_uri="gs://cards/other")
    assert str(error.value) == (
        "CONFIG_URI: the day began with the config of gs://cards/config, but this start has that of gs://cards/other; "
        "if this start is wrong, give it its own RUNS_URI: nothing is lost. "
        "Only if the day is wrong, move its folder out of runs/, and name it with --yes: the whole day is then made, "
        "and paid for, again"
    )
    assert error.value.faults[0].kind is FaultKind.STORAGE


@pytest.mark.parametrize(
    ("error", "kind"),
    [(RecordError(message("odd")), FaultKind.RECORD), (UnusableError(message("odd")), FaultKind.STORAGE)],
)
def test_what_is_wrong_where_days_are_recorded_is_in_no_variable(error: Exception, kind: FaultKind) -> None:
    with pytest.raises(ConfigError) as found, faults_of_record():
        raise error
    assert [(fault.where, fault.kind) for fault in found.value.faults] == [("RUNS_URI", kind)]


@pytest.mark.parametrize(
    ("attempts", "asked_by"),
    [
        pytest.param([RecordedAttempt()], ("x",), id="a first try"),
        pytest.param([RecordedAttempt(asked_by=["y"])], ("y", "x"), id="after another execution"),
        pytest.param([RecordedAttempt(), MADE_AGAIN], ("x",), id="a first try that is delivered twice"),
    ],
)
def test_who_asks_for_it_again_is_recorded_with_it(attempts: list[RecordedAttempt], asked_by: tuple[str, ...]) -> None:
    attempt = decided(*attempts, work=prepared(again=[CARD]), execution="x", task_attempt=0)
    assert attempt is not None
    assert (attempt.again, attempt.asked_by) == ((ASKED,), asked_by)


@pytest.mark.parametrize("attempts", [[], [RecordedAttempt(asked_by=["y"])]])
def test_a_retry_whose_first_try_is_not_recorded_stands_back(attempts: list[RecordedAttempt]) -> None:
    with pytest.raises(BusyError) as error:
        decided(*attempts, work=prepared(again=[CARD]), execution="x", task_attempt=1)
    assert (
        str(error.value.why)
        == f"The first try recorded nothing to make again on {DAY}, so this retry makes nothing again"
    )
