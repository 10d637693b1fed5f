"""A record is closed and its lease released in bounded time, whatever storage does; what was not done is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from job.config.environment import Settings, read_settings
from job.engines.calls import card
from job.execution.shutdown import Budget, Shutdown, ShutdownReason
from job.ledger.ledger import Ledger
from job.page.render import render_page
from job.records.lease import LASTS_SECONDS, LEASE, TRUSTED_SECONDS, acquire
from job.records.session import Document, RecordSession, StorageAlarm, acquire_if, lease_holder
from job.report.format import PAGE, SUMMARY
from job.report.outcome import Ending, ExitCode, Outcome
from job.report.report import AttemptSummary, report_of
from job.storage.store import StorageError
from job.text.messages import Message, message
from tests.records.test_record import DATA, INPUTS, PLAN, entry_of, finished, note
from tests.support.stores import Memory, memory

__all__ = ["memory"]


def settings() -> Settings:
    return read_settings({"CONFIG_URI": "/config"}, datetime.now(UTC))[0]


@dataclass
class Held:
    """A run that holds its lease, and what is reported of it."""

    store: Memory
    said: list[str] = field(default_factory=list)
    shutdown: Shutdown = field(default_factory=Shutdown)
    until: float | None = None

    def say(self, text: Message, _is_fault: bool) -> None:
        self.said.append(str(text))

    async def open_session(self, *, fresh: bool = True) -> RecordSession:
        lease = await acquire(
            self.store, lease_holder(settings(), INPUTS, "work"), lambda notice: self.said.append(str(notice))
        )
        async with trio.open_nursery() as helpers:
            helpers.start_soon(lease.renew_forever, self.shutdown, StorageAlarm(self.say))
            session = RecordSession.of(lease, Ledger(PLAN), INPUTS, self.say)
            try:
                await session.open(entry_of(lease.holder.owner), new=fresh)
            finally:
                helpers.cancel_scope.cancel()
        note(session.record, finished(card("A", "news_card", None, [])))
        return session

    async def close(self, session: RecordSession, *, at_once: bool, documents: Sequence[Document] = ()) -> float:
        """Closes the session; returns how long that took. Sets `until`, the time until which more may be written."""
        begun = trio.current_time()
        async with trio.open_nursery() as helpers:
            helpers.start_soon(session.lease.renew_forever, self.shutdown, StorageAlarm(self.say))
            helpers.start_soon(session.record.journal.run)
            await trio.testing.wait_all_tasks_blocked()
            report = report_of(INPUTS, Ledger(PLAN), state=Outcome.KILLED)
            page = Document(PAGE, partial(render_page, report, steps=()), "{error}")
            self.until = await session.close(report, lambda _: [*documents, page], self.shutdown, at_once=at_once)
            helpers.cancel_scope.cancel()
        return trio.current_time() - begun

    @property
    def incomplete(self) -> bool:
        return any("the record is not complete: 1 results and the report are not written" in text for text in self.said)


@pytest.fixture
def held(memory: Memory) -> Held:
    return Held(memory)


@pytest.mark.parametrize("at_once", [False, True])
async def test_all_is_written_and_the_lease_given_back(held: Held, at_once: bool, autojump_clock: MockClock) -> None:
    session = await held.open_session()
    assert session.unrecorded == 1
    took = await held.close(session, at_once=at_once)
    assert took < 0.1
    assert held.said == []
    assert session.has_page
    assert session.unrecorded is None
    assert LEASE not in held.store.objects
    assert {"run/report.json", "run/report.html"} <= held.store.objects.keys()
    assert sum(name.startswith("run/results/") for name in held.store.objects) == 1


@pytest.mark.parametrize("at_once", [False, True])
async def test_more_may_be_written_for_a_bounded_time_when_the_lease_is_given_back(
    held: Held, at_once: bool, autojump_clock: MockClock
) -> None:
    held.store.seconds = 0.1
    session = await held.open_session()
    began = trio.current_time()
    took = await held.close(session, at_once=at_once)
    assert held.until is not None
    assert held.until - began == pytest.approx(Budget.CLOSING if at_once else took + Budget.AFTERWARDS)


async def test_nothing_more_is_written_if_the_record_is_not_closed(held: Held, autojump_clock: MockClock) -> None:
    session = await held.open_session()
    held.store.refuse = lambda _verb, _name: True
    await held.close(session, at_once=True)
    assert held.until is None


async def test_a_document_that_cannot_be_made_does_not_prevent_the_others(
    held: Held, autojump_clock: MockClock
) -> None:
    def no_summary(_: Ledger) -> bytes:
        raise ValueError("odd")

    broken = Document(SUMMARY, no_summary, "the summary of the run is not written: {error}")
    await held.close(await held.open_session(), at_once=False, documents=[broken])
    assert held.said == ["the summary of the run is not written: odd"]
    assert "run/report.html" in held.store.objects
    assert LEASE not in held.store.objects


async def test_a_document_for_which_no_time_is_left_is_reported(held: Held, autojump_clock: MockClock) -> None:
    session = await held.open_session()
    held.store.seconds = 0.3
    others = [Document(f"{number}", lambda _: b"x", f"{number}: {{error}}") for number in range(9)]
    assert await held.close(session, at_once=True, documents=others) <= Budget.CLOSING + 0.1
    written = [one.name for one in others if f"run/{one.name}" in held.store.objects]
    assert 0 < len(written) < 9
    left = [f"{number}: storage took too long" for number in range(len(written), 9)]
    assert held.said == [*left, "storage took too long"], "the last one is the page"
    assert not session.has_page
    assert "run/report.json" in held.store.objects


@pytest.mark.parametrize("how", ["hangs", "refuses"])
async def test_a_run_that_was_cut_short_waits_three_seconds_at_most(
    held: Held, how: str, autojump_clock: MockClock
) -> None:
    session = await held.open_session()
    if how == "hangs":
        held.store.seconds = 1e6
    else:
        held.store.refuse = lambda _verb, _name: True
    assert await held.close(session, at_once=True) <= Budget.CLOSING + 0.1
    assert held.incomplete
    assert session.unrecorded == 1
    assert sum("the lease is not released" in text for text in held.said) == 1


async def test_a_run_that_was_not_cut_short_waits_for_storage(held: Held, autojump_clock: MockClock) -> None:
    session = await held.open_session()
    held.store.refuse = lambda _verb, _name: trio.current_time() < 20
    assert 19 < await held.close(session, at_once=False) < 23
    assert LEASE not in held.store.objects
    assert "run/report.json" in held.store.objects
    assert not held.incomplete


async def test_closing_waits_no_longer_than_the_lease_is_valid(held: Held, autojump_clock: MockClock) -> None:
    session = await held.open_session()
    held.store.refuse = lambda _verb, _name: True
    took = await held.close(session, at_once=False)
    assert TRUSTED_SECONDS - 1 < took <= TRUSTED_SECONDS + Budget.CLOSING + 0.1
    assert held.incomplete


@pytest.mark.parametrize(
    ("reason", "seconds"), [(ShutdownReason.SIGTERM, 0.0), (ShutdownReason.DEADLINE, Budget.DEADLINE_CLOSING)]
)
@pytest.mark.parametrize("at", [0.0, 10.0])
async def test_closing_waits_no_longer_than_its_budget_from_the_request_to_shut_down(
    held: Held, reason: ShutdownReason, seconds: float, at: float, autojump_clock: MockClock
) -> None:
    session = await held.open_session()
    held.store.refuse = lambda _verb, _name: True

    async def shutdown() -> None:
        await trio.sleep(at)
        held.shutdown.request(reason, 5.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shutdown)
        took = await held.close(session, at_once=False)
    assert at + seconds < took <= at + seconds + Budget.CLOSING + 0.1
    assert held.incomplete


async def test_a_lease_that_another_run_has_taken_is_not_released(held: Held, autojump_clock: MockClock) -> None:
    session = await held.open_session()
    held.store.objects[LEASE] = held.store._write("replace", LEASE, b"another's")
    await held.close(session, at_once=True)
    assert held.store.objects[LEASE].data == b"another's"
    assert held.said == []


async def test_a_run_that_lost_its_lease_leaves_report_and_page_of_the_one_that_took_over(
    held: Held, autojump_clock: MockClock
) -> None:
    paused = await held.open_session()
    held.store.objects[LEASE] = held.store._write("replace", LEASE, b"another's")
    await trio.sleep(TRUSTED_SECONDS)
    page, report = (held.store._write("create", f"run/report.{kind}", b"another's") for kind in ("html", "json"))
    held.store.objects |= {"run/report.html": page, "run/report.json": report}
    await held.close(paused, at_once=True)
    assert held.shutdown.reason is ShutdownReason.LEASE_LOST
    assert held.store.objects["run/report.json"].data == b"another's"
    assert held.store.objects["run/report.html"].data == b"another's"


@pytest.mark.parametrize("answer", [True, False, StorageError(Message("names: 503"))])
async def test_the_lease_is_kept_only_if_what_was_known_of_the_record_is_still_true(
    held: Held, answer: bool | StorageError, autojump_clock: MockClock
) -> None:
    """Before it acquires the lease, another attempt may have recorded another config and done its work."""

    async def is_current() -> bool:  # noqa: ASYNC124  it is awaited
        assert LEASE in held.store.objects, "it is asked under the lease"
        if isinstance(answer, StorageError):
            raise answer
        return answer

    lease = await acquire(held.store, lease_holder(settings(), INPUTS, "work"), lambda _notice: None)
    if isinstance(answer, StorageError):
        with pytest.raises(StorageError):
            await acquire_if(is_current, lease)
    else:
        assert await acquire_if(is_current, lease) is answer
    assert (LEASE in held.store.objects) is (answer is True)


async def test_a_record_in_which_everything_is_done_is_not_touched_and_the_lease_is_given_back(
    held: Held, autojump_clock: MockClock
) -> None:
    session = await held.open_session()
    for call in [*DATA, *PLAN.calls("qa")]:
        note(session.record, finished(call))
    ended = AttemptSummary.of(Ending(Outcome.SUCCEEDED, ExitCode.DONE, message("x")), INPUTS, datetime.now(UTC), 1.0)
    report = report_of(INPUTS, session.record.ledger, (ended,))
    await session.close(report, lambda _: [], held.shutdown, at_once=True)
    before = dict(held.store.objects)
    lease = await acquire(held.store, lease_holder(settings(), INPUTS, "work"), lambda _notice: None)
    again = RecordSession.of(lease, Ledger(PLAN), INPUTS, held.say)
    assert not await again.open(entry_of(lease.holder.owner), new=False)
    assert held.store.objects == before
    assert LEASE not in held.store.objects


async def test_a_lease_whose_release_takes_too_long_is_reported(held: Held, autojump_clock: MockClock) -> None:
    session = await held.open_session()

    def hang(verb: str, name: str) -> bool:
        if (verb, name) == ("delete", LEASE):
            held.store.seconds = 1e6
        return False

    held.store.refuse = hang
    assert await held.close(session, at_once=False) <= Budget.CLOSING + 0.1
    assert held.said == ["storage: the lease is not released in time; other runs have to wait for a minute"]
    assert session.unrecorded is None


async def test_trouble_with_storage_is_reported_when_it_begins_and_when_it_ends(
    held: Held, autojump_clock: MockClock
) -> None:
    session = await held.open_session()
    held.store.refuse = lambda verb, _name: verb == "create" and trio.current_time() < 30
    with trio.move_on_after(60):
        await session.record.journal.run()
    assert len(held.said) == 2
    assert held.said[0].startswith("storage: 1 results are not written yet: ")
    assert held.said[1] == "storage works again"


async def test_the_lease_is_renewed_while_the_record_is_read(held: Held, autojump_clock: MockClock) -> None:
    held.store.seconds = 14.0
    await held.open_session()
    assert trio.current_time() > LASTS_SECONDS
    assert held.store.count("replace", LEASE) >= 2
    assert held.shutdown.reason is None


@pytest.mark.parametrize("verb", ["create", "read", "names"])
async def test_a_run_that_cannot_begin_gives_its_lease_back(held: Held, verb: str, autojump_clock: MockClock) -> None:
    held.store.refuse = lambda asked, name: asked == verb and name.startswith("run/")
    with pytest.RaisesGroup(StorageError):
        await held.open_session()
    assert LEASE not in held.store.objects


async def test_a_run_that_is_stopped_at_its_beginning_gives_its_lease_back(
    held: Held, autojump_clock: MockClock
) -> None:
    held.store.seconds = 1.0
    for moment in (1.3, 1.9, 2.5, 3.5, 4.5):
        held.store.objects.clear()
        with trio.move_on_after(moment):
            await held.open_session()
        assert LEASE not in held.store.objects, moment
