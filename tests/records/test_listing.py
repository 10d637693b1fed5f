"""A day is what the names of its objects say: one that the job does not give, or a gap, is refused."""

import pytest

from job.records.objects import RecordError
from job.records.record import Listing
from tests.support.records import DAY
from tests.support.stores import memory

__all__ = ["memory"]


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
    with pytest.raises(RecordError, match=r"^[ -~٠١]* is not as the job wrote it$"):
        listing("attempts/000001.json", name)


def test_a_folder_that_another_program_made_in_a_bucket_is_no_object() -> None:
    assert listing("attempts/", "results/", "ends/", "attempts/000001.json").latest == 1


@pytest.mark.parametrize("gap", ["000000", "000001"])
def test_results_that_are_missing_are_named(gap: str) -> None:
    names = [f"results/000001-00000{place}.jsonl" for place in range(3)]
    with pytest.raises(RecordError, match=f"^{DAY}/results/000001-{gap}.jsonl is missing$"):
        listing("attempts/000001.json", *(name for name in names if gap not in name.partition("-")[2]))
