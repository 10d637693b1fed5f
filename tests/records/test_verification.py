"""A day is verified only by a run that did what the config asks for, not by a trial or a run of another config."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from job.config.faults import Fault
from job.records import verification
from job.records.verification import verify
from job.report.summary import RunSummary, pack_summary
from job.storage.uri import open_store
from job.text.messages import Message
from tests.support.records import Recorded, refused, write

DAY = "2026-11-24"
EARLY = datetime(2026, 11, 23, 17, tzinfo=UTC)
TICKERS = ("AAPL", "MSFT", "NVDA")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where the config is, as the run of the night had it."""
    place = tmp_path / "config"
    change(place, TICKERS)
    return place


def change(config: Path, tickers: tuple[str, ...]) -> None:
    """Changes the config."""
    write(config, **{name: text.encode() for name, text in Recorded(tickers=tickers).contents.items()})


def run(config: Path, run_id: str, hour: int, tickers: tuple[str, ...] = TICKERS, **more: Any) -> Recorded:
    started = f"2026-11-24T{hour:02}:00:00+08:00"
    return Recorded(run_id, tickers, started=started, config_uri=str(config), **more)


def judged(tmp_path: Path, config: Path | str, *runs: Recorded) -> tuple[bool, str]:
    write(tmp_path / "runs", *runs)
    verified = trio.run(verify, open_store(str(tmp_path / "runs")), DAY, str(config))
    return verified.done, verified.known


def test_the_latest_run_of_the_day_is_named_whatever_started_after_it(tmp_path: Path, config: Path) -> None:
    failed = [run(config, name, hour, outcome="cards_missing") for name, hour in (("first", 1), ("second", 2))]
    of_the_day_before = run(config, "by-hand", 9, outcome="cards_missing", day="2026-11-23")
    elsewhere = Recorded("trial", TICKERS, started="2026-11-24T08:00:00+08:00", config_uri="gs://other/config")
    write(tmp_path / "runs", *failed, of_the_day_before, elsewhere)
    store = open_store(str(tmp_path / "runs"))
    assert trio.run(verify, store, DAY, str(config)).run_id == "second"
    assert trio.run(verify, store, DAY, "").run_id == "trial"
    assert trio.run(verify, store, "2026-11-22", str(config)).run_id is None


def test_a_run_that_did_all_its_work_counts(tmp_path: Path, config: Path) -> None:
    change(config, ("edited", "for", "the", "next", "day"))
    assert judged(tmp_path, config, run(config, "night", 2)) == (True, "run night of 2026-11-24 did all its work")


def test_the_place_of_the_config_may_end_with_a_slash(tmp_path: Path, config: Path) -> None:
    assert judged(tmp_path, f"{config}/", run(config, "night", 2))[0]


@pytest.mark.parametrize("outcome", ["cards_missing", "interrupted", None])
def test_a_run_that_did_not_do_all_its_work_does_not_count(tmp_path: Path, config: Path, outcome: str | None) -> None:
    done, known = judged(tmp_path, config, run(config, "night", 2, outcome=outcome))
    assert not done
    assert known.startswith(f"no run of 2026-11-24 did all its work: run night: {outcome or 'killed'}")


def test_a_trial_with_another_config_does_not_count(tmp_path: Path, config: Path) -> None:
    trial = run(tmp_path / "trial", "trial", 9, ("AAPL",))
    done, known = judged(tmp_path, config, run(config, "night", 2, outcome="cards_missing"), trial)
    assert not done
    assert f"run trial did all its work, but with the config of {tmp_path}/trial" in known
    assert "run night: cards_missing. How it ended" in known


@pytest.mark.parametrize("hour", [1, 9])
@pytest.mark.parametrize("outcome", ["cards_missing", None])
def test_a_trial_with_the_same_place_does_not_count_once_the_config_is_restored(
    tmp_path: Path, config: Path, hour: int, outcome: str | None
) -> None:
    """This holds whether the trial came before or after the run of the night."""
    trial = run(config, "trial", hour, ("AAPL",))
    done, known = judged(tmp_path, config, run(config, "night", 2, outcome=outcome), trial)
    assert not done
    assert "run trial did all its work, but run night planned more (12 items, not 4)" in known
    assert f"the config at {config} is another by now" in known


def test_a_run_of_a_corrected_config_counts_though_it_planned_less(tmp_path: Path, config: Path) -> None:
    change(config, TICKERS[:2])
    corrected = run(config, "corrected", 9, TICKERS[:2])
    done, known = judged(tmp_path, config, run(config, "night", 2, outcome="cards_missing"), corrected)
    assert (done, known) == (
        True, f"run corrected of 2026-11-24 did all its work, which is what {config} asks for now",
    )  # fmt: skip


def test_a_run_of_the_config_as_it_was_does_not_count_if_a_later_one_planned_more(tmp_path: Path, config: Path) -> None:
    more = (*TICKERS, "0700.HK")
    change(config, more)
    done, known = judged(tmp_path, config, run(config, "night", 2), run(config, "more", 5, more, outcome=None))
    assert not done
    assert "run night did all its work, but run more planned more (16 items, not 12)" in known


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("gone", "CONFIG_URI cannot be read: {config} is not a directory"),
        ("no URI", "CONFIG_URI is not set, so it is not known which plan counts"),
        ("slow", "CONFIG_URI cannot be read: there was no answer within 0.1 s"),
    ],
)
def test_success_is_not_claimed_if_the_config_cannot_be_read(
    tmp_path: Path, config: Path, how: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = (run(config, "night", 2, outcome="cards_missing"), run(config, "corrected", 9, TICKERS[:2]))
    change(config, TICKERS[:2])
    uri = str(config)
    if how == "gone":
        config.rename(tmp_path / "elsewhere")
    elif how == "no URI":
        uri = ""
    else:

        async def read(_: object) -> dict[str, object]:
            await trio.sleep_forever()
            return {}

        monkeypatch.setattr(verification, "COMPARE_SECONDS", 0.1)
        monkeypatch.setattr(verification, "read_objects", read)
    done, known = judged(tmp_path, uri, *runs)
    assert not done
    assert f"but run night planned more (12 items, not 8), and {words.format(config=config)}" in known


def test_without_a_place_no_trial_counts_wherever_its_config_was(tmp_path: Path, config: Path) -> None:
    trial = run(tmp_path / "trial", "trial", 9, ("AAPL",))
    assert not judged(tmp_path, "", run(config, "night", 2, outcome="cards_missing"), trial)[0]
    assert judged(tmp_path, "", run(config, "night", 2))[0]


def test_a_run_with_a_faulty_config_is_listed_and_hides_no_other_run(tmp_path: Path, config: Path) -> None:
    refused(tmp_path / "runs", "broken", [Fault("a.json", Message("is not JSON"), Message("correct it"))], EARLY)
    done, known = judged(tmp_path, config)
    assert not done
    assert known.endswith("run broken: bad_config. The configuration has 1 fault: nothing was called")
    assert judged(tmp_path, config, run(config, "night", 2))[0]


def test_an_unreadable_record_is_named(tmp_path: Path, config: Path) -> None:
    write(tmp_path / "runs", run(config, "night", 2))
    write(tmp_path / "runs", **{"night/inputs.json": b"{}"})
    done, known = judged(tmp_path, config)
    assert not done
    assert "is recorded: run night: unreadable. night/inputs.json is not what a run writes" in known


SUMMARY_OF_NIGHT = {
    "run_id": "night",
    "day": "2026-11-24",
    "date": "2026-11-24",
    "config_uri": "gs://cards/config",
    "started": "2026-11-24T02:00:03+08:00",
    "ended": "2026-11-24T02:25:03+08:00",
    "outcome": "succeeded",
    "exit_code": 0,
    "attempt": 0,
    "journal": {"owner": 1},
}


def test_a_summary_alone_does_not_count(tmp_path: Path, config: Path) -> None:
    write(tmp_path / "runs", run(config, "night", 2))
    summary = RunSummary.model_validate(SUMMARY_OF_NIGHT)
    write(tmp_path / "runs", **{"night/summary.json": pack_summary(summary), "night/inputs.json": b"{}"})
    done, known = judged(tmp_path, config)
    assert not done
    assert "run night: unreadable. night/inputs.json is not what a run writes" in known


def test_a_run_whose_summary_is_damaged_counts_by_its_record(tmp_path: Path, config: Path) -> None:
    write(tmp_path / "runs", run(config, "night", 2))
    write(tmp_path / "runs", **{"night/summary.json": b"damaged"})
    assert judged(tmp_path, config)[0]


def test_a_run_whose_later_config_is_not_done_does_not_count(tmp_path: Path, config: Path) -> None:
    """It succeeded, was resumed with a config that asks for more, and was killed."""
    later = run(config, "night", 2, (*TICKERS, "0700.HK"), generation="8", number=1)
    write(tmp_path / "runs", **{"night/inputs-000001.json": later.objects()["night/inputs.json"]})
    done, known = judged(tmp_path, config, run(config, "night", 2))
    assert not done
    assert "run night: killed" in known


@pytest.mark.parametrize("corrected", [False, True])
def test_a_run_whose_results_are_gone_does_not_count(tmp_path: Path, config: Path, corrected: bool) -> None:
    """It counts neither directly nor as a run of a corrected config."""
    night = run(config, "night", 2, TICKERS[:2] if corrected else TICKERS)
    write(tmp_path / "runs", night, *([run(config, "mistaken", 1)] if corrected else []))
    change(config, tuple(night.tickers))
    assert judged(tmp_path, config)[0]
    for journal in (tmp_path / "runs/night/results").iterdir():
        journal.unlink()
    if corrected:
        for journal in (tmp_path / "runs/mistaken/results").iterdir():
            journal.unlink()
    done, known = judged(tmp_path, config)
    assert not done
    assert "run night: unreadable. night/results/owner-000000.jsonl is missing, but the report counts" in known
