"""A recorded day is read whole: its totals are those of its results, and its state that of its latest attempt."""

import pytest

from job.day.attempt import ExitCode, Outcome
from job.day.ending import Ending
from job.day.report import Report
from job.records.earlier import end_json
from job.records.objects import RecordError
from job.records.record import Listing, Record, read_day, write_document, write_without_lease
from job.telling.sentence import sentence_of
from tests.support.records import DAY, RecordedAttempt, config, put
from tests.support.stores import Memory, memory

__all__ = ["memory"]
MORE = config(["AAPL", "MSFT", "TSLA"])


async def the_day(memory: Memory) -> tuple[Report, Record]:
    """How the day stands, and its record."""
    found = await read_day(memory, DAY)
    assert found is not None
    return found


async def test_what_a_paused_attempt_has_added_since_the_end_is_in_sentence_and_lists_alike(memory: Memory) -> None:
    """Its results came after the end of a later one."""
    failed = RecordedAttempt(outcome="cards_missing", failed=["MSFT", "TSLA"], number=2, objects=MORE)
    for added, ended, outcome, code, sentence in (
        (["MSFT"], ("cards_missing", 3), "cards_missing", 3, "1 of 3 cards is missing"),
        (["MSFT"], ("interrupted", 143), "interrupted", 143, "Interrupted by SIGTERM: 1 of 3 cards is missing"),
        (["MSFT"], ("data_engine_failed", 1), "data_engine_failed", 1, "A data engine failed: 1 of 3 cards is missing"),
        ([], ("interrupted", 143), "succeeded", 0, "All 3 cards are made"),
    ):
        ending = Ending(Outcome[ended[0].upper()], signal=ExitCode(ended[1]))
        end = failed.report().model_copy(update={"ending": ending})
        memory.objects.clear()
        put(memory, RecordedAttempt(number=1, outcome=None, failed=added, objects=MORE).record(), failed.record())
        put(memory, {f"{DAY}/ends/000002.json": end_json(end)})
        report, record = await the_day(memory)
        assert (report.outcome, report.exit_code, str(sentence_of(report))) == (outcome, code, sentence)
        assert (report.start.number, report.cards.done, len(report.missing)) == (2, 3 - len(added), len(added))
        assert record.ledger.is_complete is not bool(added)
        assert report.ended == end.ended


async def test_only_the_latest_attempt_counts(memory: Memory) -> None:
    """An attempt and its results that a lifecycle rule has removed, and what is left of another config."""
    first, last = RecordedAttempt(objects=config(["AAPL", "TSLA"])), RecordedAttempt(number=3)
    put(memory, first.record(), last.record())
    del memory.objects[f"{DAY}/attempts/000001.json"]
    report, _ = await the_day(memory)
    assert (report.cards.planned, report.cards.done, report.cards.calls) == (2, 2, 4)


@pytest.mark.parametrize("number", [1, 2])
async def test_results_that_a_report_counts_and_that_are_gone_are_not_requested_again(
    memory: Memory, number: int
) -> None:
    reports = {1: {1: 1}, 2: {1: 1, 2: 1}}
    for attempt in (RecordedAttempt(), RecordedAttempt(number=2)):
        report = attempt.report().model_copy(update={"journal": reports[attempt.number]})
        put(memory, attempt.record(), {f"{DAY}/ends/{attempt.number:06}.json": end_json(report)})
    del memory.objects[f"{DAY}/results/{number:06}-000000.jsonl"]
    with pytest.raises(RecordError, match=rf"results/00000{number}-000000\.jsonl is missing$"):
        await Record.read(memory, DAY)


# --- documents ---


async def test_a_document_replaces_what_is_there_but_without_the_lease_not_that_of_an_attempt(memory: Memory) -> None:
    put(memory, {"page": b"old"})
    assert await write_without_lease(memory, DAY, {"page": lambda: b"first"})
    assert memory.objects["page"].data == b"first"
    put(memory, RecordedAttempt(outcome=None).record())
    assert not await write_without_lease(memory, DAY, {"page": lambda: b"second"})
    assert memory.objects["page"].data == b"first"
    await write_document(memory, "page", lambda: b"third")
    assert memory.objects["page"].data == b"third"


# --- a day is what the names of its objects say ---


def listing(*names: str) -> Listing:
    return Listing.from_names(DAY, sorted(f"{DAY}/{name}" for name in names))


def test_what_a_day_has() -> None:
    found = listing(
        "attempts/000001.json", "attempts/000002.json", "results/000001-000000.jsonl",
        "results/000001-000001.jsonl", "ends/000001.json", "report.html", "cards.csv", "report.json",
    )  # fmt: skip
    assert (set(found.attempts), dict(found.results), set(found.ends)) == ({1, 2}, {1: 2}, {1})
    assert found.documents == {"report.html", "cards.csv"}
    assert (found.latest, found.is_refused) == (2, False)


@pytest.mark.parametrize(
    ("names", "latest", "is_refused"),
    [
        ([], 0, False),
        (["x", "ends/000000.json"], 0, True),
        (["ends/000000.json", "attempts/000003.json"], 3, False),
        (["attempts/000001.json", "results/000002-000000.jsonl"], 2, False),
        (["attempts/000001.json", "ends/000004.json"], 4, False),
    ],
)
def test_the_latest_attempt_is_the_highest_number_in_any_name(names: list[str], latest: int, is_refused: bool) -> None:
    """If an attempt was removed, results under its number would collide for ever."""
    assert (listing(*names).latest, listing(*names).is_refused) == (latest, is_refused)


@pytest.mark.parametrize(
    "name",
    [
        *("attempts/x", "attempts/٠٠٠٠٠١.json", "attempts/000001.json.bak", "ends/000001 (1).json"),
        *("results/000001-00000.jsonl", "results/000001-000000.jsonl~"),
    ],
)
def test_a_name_that_the_job_does_not_give_is_refused(name: str) -> None:
    """A terminal is shown no control characters."""
    with pytest.raises(RecordError, match=r"^[ -~٠١]* is not as the job wrote it$"):
        listing("attempts/000001.json", name)


def test_a_folder_that_another_program_made_in_a_bucket_is_no_object() -> None:
    assert listing("attempts/", "results/", "ends/", "attempts/000001.json").latest == 1


@pytest.mark.parametrize("gap", ["000000", "000001"])
def test_results_that_are_missing_are_named(gap: str) -> None:
    names = [f"results/000001-00000{place}.jsonl" for place in range(3)]
    with pytest.raises(RecordError, match=f"^{DAY}/results/000001-{gap}.jsonl is missing$"):
        listing("attempts/000001.json", *(name for name in names if gap not in name.partition("-")[2]))
