"""A recorded day is read whole: its totals are those of its results; a list of nights has a row for each day."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import trio

from job.config.days import Days
from job.config.environment import read_settings
from job.day.attempt import ExitCode, Outcome
from job.day.history import Night, Nights
from job.day.report import Report
from job.records.lease import LEASE
from job.records.objects import RESTORE_IT, RecordError
from job.records.past_nights import PastNights, read_nights
from job.records.record import Listing, Record, read_day, write_document, write_without_lease
from job.telling.sentence import sentence_of
from tests.support.records import DAY, RecordedAttempt, config, lease_of, put, refusal, start_at
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
        (
            ["MSFT"],
            ("cards_missing", 3),
            "cards_missing",
            3,
            "1 card is missing: 2 of 3 cards made; 1 missing: MSFT/news_card",
        ),
        (
            ["MSFT"],
            ("interrupted", 143),
            "interrupted",
            143,
            "Interrupted by SIGTERM: 2 of 3 cards made; 1 missing: MSFT/news_card",
        ),
        (
            ["MSFT"],
            ("data_engine_failed", 1),
            "data_engine_failed",
            1,
            "The financial engine failed: 2 of 3 cards made; 1 missing: MSFT/news_card",
        ),
        ([], ("interrupted", 143), "succeeded", 0, "Done: 3 of 3 cards made"),
    ):
        end = failed.report().model_copy(update={"outcome": Outcome[ended[0].upper()], "exit_code": ExitCode(ended[1])})
        memory.objects.clear()
        put(memory, RecordedAttempt(number=1, outcome=None, failed=added, objects=MORE).record(), failed.record())
        put(memory, {f"{DAY}/ends/000002.json": end.to_json()})
        report, record = await the_day(memory)
        assert (report.outcome, report.exit_code, str(sentence_of(report))) == (outcome, code, sentence)
        assert (report.number, report.cards.done, len(report.missing)) == (2, 3 - len(added), len(added))
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
async def test_results_that_a_report_counts_and_are_gone_are_not_requested_again(memory: Memory, number: int) -> None:
    reports = {1: {1: 1}, 2: {1: 1, 2: 1}}
    for attempt in (RecordedAttempt(), RecordedAttempt(number=2)):
        report = attempt.report().model_copy(update={"journal": reports[attempt.number]})
        put(memory, attempt.record(), {f"{DAY}/ends/{attempt.number:06}.json": report.to_json()})
    del memory.objects[f"{DAY}/results/{number:06}-000000.jsonl"]
    with pytest.raises(RecordError, match=rf"results/00000{number}-000000\.jsonl is missing$"):
        await Record.read(memory, DAY)


# --- documents ---


async def test_a_document_replaces_what_is_there_but_without_the_lease_not_that_of_an_attempt(memory: Memory) -> None:
    put(memory, {"page": b"old"})
    await write_without_lease(memory, DAY, {"page": lambda: b"first"})
    assert memory.objects["page"].data == b"first"
    put(memory, RecordedAttempt(outcome=None).record())
    await write_without_lease(memory, DAY, {"page": lambda: b"second"})
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


# --- the list of nights: each is read from its end alone; one that cannot be read spoils no other ---

DAYS = [f"2026-11-{day}" for day in range(20, 27)]


def fill(store: Memory) -> None:
    """A day of each kind."""
    put(
        store,
        RecordedAttempt(DAYS[0]).record(),
        RecordedAttempt(DAYS[1], outcome="cards_missing", failed=["MSFT"]).record(),
        RecordedAttempt(DAYS[1], number=2).record(),
        RecordedAttempt(DAYS[2], outcome="cards_missing", failed=["MSFT"]).record(),
        RecordedAttempt(DAYS[2], number=2, outcome=None).record(),
        refusal(DAYS[3]),
        RecordedAttempt(DAYS[4]).record() | {f"{DAYS[4]}/ends/000001.json": b"?"},
        {f"{DAYS[5]}/x": b""},
        RecordedAttempt(DAYS[6], outcome=None).record(),
        {LEASE: lease_of(DAYS[6]), "index.html": b""},
        {f"{folder}/attempts/000001.json": b"" for folder in ("other", "2026-1-2", "9999-12-31")},
    )
    store.objects[LEASE] = replace(store.objects[LEASE], updated=1e9)


async def test_each_day_has_a_row_with_its_state(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1e9)
    fill(memory)
    nights = await read_nights(memory)
    assert [(one.day, one.outcome.value) for one in nights.nights] == [
        (DAYS[6], "at work"),
        (DAYS[4], "unreadable"),
        (DAYS[3], "bad_config"),
        (DAYS[2], "killed"),
        (DAYS[1], "succeeded"),
        (DAYS[0], "succeeded"),
    ], "the newest first; a day that was only waited for has not begun"
    assert [str(one.problem) for one in nights.nights if one.problem] == [
        f"{DAYS[4]}/ends/000001.json is not as the job wrote it; {RESTORE_IT}"
    ]
    assert [report.day for report in nights.reports] == [DAYS[3], DAYS[1], DAYS[0]]


async def test_a_day_that_lacks_an_object_of_results_is_not_shown_as_done(memory: Memory) -> None:
    put(memory, {name: data for name, data in RecordedAttempt(DAYS[0]).record().items() if "/results/" not in name})
    (one,) = (await read_nights(memory)).nights
    assert one.outcome is Outcome.UNREADABLE
    assert str(one.problem) == f"{DAYS[0]}/results/000001-000000.jsonl is missing; {RESTORE_IT}"


@pytest.mark.parametrize("gone", [("/attempts/",), ("/attempts/", "/ends/"), ("/attempts/", "-000000.jsonl")])
async def test_a_day_without_its_attempts_is_in_no_list_and_goes_not_on(memory: Memory, gone: tuple[str, ...]) -> None:
    old = RecordedAttempt(DAYS[0]).record()
    old |= {f"{DAYS[0]}/results/000001-000001.jsonl": b""}
    put(memory, {name: data for name, data in old.items() if not any(part in name for part in gone)})
    put(memory, RecordedAttempt(DAYS[1]).record())
    assert [one.day for one in (await read_nights(memory)).nights] == [DAYS[1]]
    with pytest.raises(RecordError, match=r"attempts/000001\.json is missing"):
        await Record.read(memory, DAYS[0])


def test_on_a_laptop_the_latest_start_has_the_schedule_whichever_day_it_was_for() -> None:
    """Also one that is at work; of a variable that is set, the variable counts."""
    later = start_at(DAYS[0], started="2027-01-01T09:00:00+08:00", schedule="0 9 * * *", zone="Europe/London")
    report = RecordedAttempt(DAYS[1]).report()
    nights = Nights([Night(DAYS[1], report.outcome, report), Night(DAYS[0], Outcome.AT_WORK, attempt=later)])
    assert nights.days(read_settings({})[0]) == Days(ZoneInfo("Europe/London"), "0 9 * * *")
    own, _ = read_settings({"RUN_TIME_ZONE": "UTC", "RUN_SCHEDULE": "0 1 * * *"})
    assert nights.days(own) == Days(ZoneInfo("UTC"), "0 1 * * *")
    assert Nights().days(read_settings({})[0]) == Days(ZoneInfo("UTC"))


# --- past nights, read beside an attempt ---


async def test_a_bug_in_reading_past_nights_ends_no_attempt(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    memory.folders = None  # type: ignore[method-assign,assignment]
    past = PastNights(lambda _: None)
    await past.read_beside(memory, "2026-11-30")
    assert "past nights are not read" in caplog.text
    caplog.clear()
    assert past.severity_before(DAYS[3]) is None


async def test_past_nights_can_be_waited_for(memory: Memory) -> None:
    put(memory, RecordedAttempt(DAYS[0]).record())
    memory.seconds, past = 1.0, PastNights(lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(past.read_beside, memory, DAYS[1])
        await past.wait_until_read()
        plan = RecordedAttempt(DAYS[1]).plan
        assert past.before(plan) == (RecordedAttempt(DAYS[0]).report(), plan), "which asks for the same"
