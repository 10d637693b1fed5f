"""Each result is written soon, once, and in few requests; what was written is read back complete or refused."""

from collections.abc import Callable

import pytest
import trio

from job.config.plan import Plan
from job.day.ledger import Ledger
from job.day.result import CallResult
from job.records.objects import RecordError, results_name
from job.records.record import WRITE_RESULTS, WRITE_SECONDS, Journal, read_journal
from job.text.messages import Message
from tests.support.records import DAY, put
from tests.support.stores import Memory, memory

__all__ = ["memory"]
EMPTY = Plan.empty(DAY)


def numbered(number: int) -> CallResult:
    return CallResult(
        engine="news", targets=(str(number),), card_type=None, done=True, tries=1, started=1.0, ended=2.0,
        status=200, cause=None, traceparent="",
    )  # fmt: skip


class Notes:
    """A journal, and the results that were added to it, with their times."""

    def __init__(self, store: Memory, number: int = 1, plan: str = EMPTY.digest) -> None:
        self.troubles: list[Message | None] = []
        self.journal = Journal(store, DAY, number, plan, self.troubles.append)
        self.store = store
        self.times: list[float] = []
        self.written: dict[str, int] = {}

    def note(self, count: int = 1) -> None:
        for _ in range(count):
            self.journal.append(numbered(len(self.times)))
            self.times.append(trio.current_time())

    async def note_evenly(self, seconds: float, rate: float, look: Callable[[], None] = lambda: None) -> None:
        for _ in range(int(seconds * rate)):
            self.note()
            await trio.sleep(1 / rate)
            look()

    def lost(self) -> list[float]:
        """The age of each result that a SIGKILL would lose now."""
        for name, stored in list(self.store.objects.items())[len(self.written) :]:
            self.written[name] = stored.data.count(b"\n") - 1
        return [trio.current_time() - time for time in self.times[sum(self.written.values()) :]]


class Numbers(Ledger):
    """A ledger that only lists the numbers of the results, in their order."""

    def __init__(self) -> None:
        super().__init__(EMPTY)
        self.found: list[int] = []
        self.of_other_plans: list[int] = []

    def add(self, result: CallResult, *, is_of_plan: bool = True) -> None:
        (self.found if is_of_plan else self.of_other_plans).append(int(result.targets[0]))


async def read(store: Memory, counts: dict[int, int] | None = None) -> Numbers:
    """The numbers of the results."""
    numbers = Numbers()
    await read_journal(store, DAY, counts or {1: len(store.objects)}, numbers)
    return numbers


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, 3), (0.1, 300), (0.3, 100), (1.4, 10)])
async def test_a_kill_loses_at_most_three_seconds_and_200_results_at_a_request_every_second(
    memory: Memory, seconds: float, rate: float
) -> None:
    memory.seconds = seconds
    notes = Notes(memory)
    ages, counts = [0.0], [0]

    def look() -> None:
        lost = notes.lost()
        ages.append(max(lost, default=0.0))
        counts.append(len(lost))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.journal.run)
        await trio.sleep(10)
        assert memory.asked == [], "there is nothing to write"
        await notes.note_evenly(600 / rate if rate > 200 else 20, rate, look)
        nursery.cancel_scope.cancel()
    assert max(ages) < 3
    assert max(counts) <= 200
    assert max(counts) > 0, "the test must see what it looks for"
    took = trio.current_time() - 10
    assert memory.count("create") == len(memory.asked) <= took / WRITE_SECONDS + len(notes.times) / WRITE_RESULTS + 1


async def test_everything_is_read_back_and_what_is_of_another_plan_is_known(memory: Memory) -> None:
    for number, plan in ((1, "another"), (2, EMPTY.digest)):
        notes = Notes(memory, number, plan)
        for count in (1, 250, 3):
            notes.note(count)
            await notes.journal.flush()
        assert (notes.journal.objects, notes.journal.unwritten) == (3, [])
    memory.seconds, began = 1.0, trio.current_time()
    numbers = await read(memory, {2: 3, 1: 1})
    assert (sorted(numbers.found), sorted(numbers.of_other_plans)) == ([*range(254)], [0])
    assert (trio.current_time() - began, memory.count("read")) == (1.0, 4), "a request for each, all at a time"


async def test_a_flush_ends_though_more_is_noted_meanwhile(memory: Memory) -> None:
    memory.seconds = 0.5
    notes = Notes(memory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.note_evenly, 60, 100)
        await trio.sleep(0.1)
        noted = len(notes.times)
        await notes.journal.flush()
        assert trio.current_time() < 2
        assert len(notes.times) - len(notes.lost()) >= noted
        nursery.cancel_scope.cancel()


async def test_a_write_whose_answer_is_lost_is_sent_again_as_it_was(memory: Memory) -> None:
    """New results wait for the next object: otherwise the one in storage would look like another's."""
    left = [3]

    def lose(_verb: str, _name: str) -> bool:
        left[0] -= 1
        return left[0] >= 0

    memory.lose = lose
    notes = Notes(memory)
    notes.note(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.note_evenly, 5, 7)
        await notes.journal.flush()
    await notes.journal.flush()
    assert sorted((await read(memory)).found) == list(range(40))
    assert [trouble is None for trouble in notes.troubles][:2] == [False, True]


async def test_results_that_cannot_be_written_are_kept_and_written_later(memory: Memory) -> None:
    notes = Notes(memory)
    memory.refuse = lambda verb, _name: verb == "create" and 10 <= trio.current_time() < 40
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.journal.run)
        await notes.note_evenly(60, 30)
        await notes.journal.flush()
        nursery.cancel_scope.cancel()
    assert sorted((await read(memory)).found) == list(range(1800))
    wrong = [trouble for trouble in notes.troubles if trouble]
    assert len(wrong) == pytest.approx(30, abs=2), "it is tried again once a second"
    name = results_name(DAY, 1, 9)
    assert str(wrong[0]) == f"could not write {name}: 503 from the fake"
    assert notes.troubles[-1] is None


async def filled(store: Memory) -> list[str]:
    """A journal of three objects; their names."""
    notes = Notes(store)
    for _ in range(3):
        notes.note(2)
        await notes.journal.flush()
    return sorted(store.objects)


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "its last line was cut": lambda data: data[:-1],
    "its last line is gone": lambda data: data[: data[:-1].rindex(b"\n") + 1],
    "it is no JSON": lambda _data: b"\xff\xfe",
    "it is deep": lambda _data: b"[" * 100_000,
    "its header is no object": lambda data: b"[]\n" + data,
    "its header lacks something": lambda data: b"{}\n" + data,
    "it was copied": lambda data: data.replace(b"000001-000001", b"000001-000009"),
    "it has another format": lambda data: data.replace(b'"format":2', b'"format":1'),
    "it is gone": lambda _data: b"",
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_a_journal_that_was_tampered_with_or_is_not_whole_is_refused(memory: Memory, how: str) -> None:
    names = await filled(memory)
    data, words = TAMPERED[how](memory.objects.pop(names[1]).data), "is not as the job wrote it"
    if how == "it is gone":
        words = "is missing"
    else:
        put(memory, {names[1]: data})
    if how == "it has another format":
        words = "in format 1; this one knows 2"
    with pytest.raises(RecordError, match=f"{names[1]},? {words}"):
        await read(memory, {1: 3})


async def test_a_result_that_its_plan_lacks_is_refused(memory: Memory) -> None:
    await filled(memory)
    with pytest.raises(RecordError, match=r"^\S+ has a result that its attempt did not plan$"):
        await read_journal(memory, DAY, {1: 3}, Ledger(EMPTY))
