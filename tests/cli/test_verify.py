"""`verify` says whether a day is done, needs nothing but its record, and tells whoever reads messages."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import trio

from job.day.attempt import ExitCode
from job.outputs.message import Notifier
from job.telling.lines import Line
from job.text.messages import Message, message
from tests.cli.conftest import TODAY, At, Command
from tests.cli.test_past import HALF, KILLED, SHANGHAI, THREE, USELESS
from tests.support.records import DAY, RecordedAttempt, lease_of, write

WITHOUT = RecordedAttempt(objects=THREE, about={"without": ["TSLA"]})
MORE = RecordedAttempt(number=2, objects=THREE, failed=["TSLA"], outcome="cards_missing")


@pytest.mark.parametrize(
    ("attempts", "code", "words"),
    [
        ([RecordedAttempt()], ExitCode.DONE, f"{DAY} is done: 2 of 2 cards made"),
        ([WITHOUT], ExitCode.DONE, f"{DAY} is done: 2 of 2 cards made; 1 left out: TSLA"),
        ([HALF], ExitCode.FAILED, f"{DAY} is not done: 1 card is missing"),
        ([RecordedAttempt(outcome=None)], ExitCode.DONE, f"{DAY} is done: 2 of 2 cards made"),
        ([KILLED], ExitCode.FAILED, f"{DAY} is not done: the record breaks off"),
        ([RecordedAttempt(), MORE], ExitCode.FAILED, f"{DAY} is not done: 1 card is missing"),
        ([], ExitCode.FAILED, f"No start of {DAY} has begun. Is the schedule paused?"),
    ],
    ids=["done", "without one", "a card missing", "killed, all there", "killed", "more", "none"],
)
def test_whether_the_work_of_a_day_is_done(
    attempts: list[RecordedAttempt], code: ExitCode, words: str, runs: Path, command: Command
) -> None:
    write(runs, *(attempt.record() for attempt in attempts))
    found, (verdict, *steps), errors = command("verify", f"--date={DAY}", **USELESS)
    assert (found, verdict, errors) == (code, words, [])
    config, yes = ("gs://cards/config", "") if attempts else ("gs://BUCKET/PREFIX", " --yes")
    start = f"RUNS_URI={runs} CONFIG_URI={config} python -m job run --date={DAY}{yes}"
    assert [line.strip() for line in steps if "python -m job" in line] == ([start] if code else [])


@pytest.mark.parametrize(("clock", "day"), [("06:29", "2026-11-24"), ("06:30", "2026-11-25")])
def test_the_latest_night_that_began_is_verified(clock: str, day: str, runs: Path, command: Command, at: At) -> None:
    at(f"2026-11-25T{clock}")
    code, out, _ = command("verify", RUN_SCHEDULE="30 6 * * 1-5", **SHANGHAI)
    assert (code, out[0]) == (ExitCode.FAILED, f"No start of {day} has begun. Is the schedule paused?")
    write(runs, RecordedAttempt(day).record())
    assert command("verify")[0] == ExitCode.DONE


@pytest.mark.parametrize(
    ("day", "answer", "is_offered"),
    [
        ("2026-11-27", "The night of 2026-11-27 is still to come", False),
        ("2026-11-26", "The night of 2026-11-26 is still to come", False),
        ("2026-11-25", "No start of 2026-11-25 has begun. Is the schedule paused?", True),
        ("2026-10-25", "No start of 2026-10-25 has begun. Is the schedule paused?", True),
        ("2026-03-29", "No start of 2026-03-29 has begun: the clocks left out 02:30 on that day", True),
        ("2026-03-26", "The record begins with 2026-03-27: nothing is known of 2026-03-26", False),
    ],
)
def test_why_nothing_is_there_of_a_day(
    day: str, answer: str, is_offered: bool, runs: Path, command: Command, at: At
) -> None:
    """At 08:00 in Berlin, of a schedule whose next time is an hour later; the price is that of the night before."""
    at(f"{TODAY}T15:00")
    write(runs, RecordedAttempt("2026-03-27", about={"qa_attempts": 3}).record())
    berlin = {"RUN_SCHEDULE": "30 2 * * *", "RUN_TIME_ZONE": "Europe/Berlin"}
    if day == TODAY:
        berlin["RUN_SCHEDULE"] = "0 9 * * *"
    code, (said, *steps), _ = command("verify", f"--date={day}", **berlin)
    assert (code, said) == (ExitCode.FAILED, answer)
    assert bool(steps) is is_offered
    if steps:
        assert "(makes 2 cards; charges at most 6 tries; at any time):" in steps[0]
        assert steps[1].endswith(f"python -m job run --date={day} --yes")
    assert command("report", day)[2] == [f"RUNS_URI: {answer}"]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the latest message, which was not sent."""
    found: list[str] = []

    async def send_lines(self: object, lines: Iterable[Line], fields: Callable[[], dict[str, object]]) -> Message:
        await trio.lowlevel.checkpoint()
        found[:] = [text for line in lines for text in (f"{line.mark} {line.text}".strip(), line.below) if text]
        assert fields() == {"event": "run.verified", "done": False}
        return message("the message was not sent")

    monkeypatch.setattr(Notifier, "send_lines", send_lines)
    return found


@pytest.mark.parametrize("log", ["text", "json"])
def test_who_is_told_of_a_late_day_and_if_that_fails(log: str, runs: Path, command: Command, told: list[str]) -> None:
    write(runs, HALF.record())
    code, out, err = command("verify", f"--date={DAY}", LOG_FORMAT=log)
    assert code == ExitCode.FAILED
    assert told[0].startswith(f"✗ batch-orchestrator, {DAY}: not done by ")
    if log == "text":
        assert err == ["the message was not sent"]
    else:
        found = [json.loads(line) for line in out]
        assert [line["event"] for line in found] == ["run.verified", "notification.failed"]
        assert (found[0]["severity"], found[0]["done"]) == ("ERROR", False)
        assert found[0]["message"].startswith(f"{DAY} is not done: ")
    write(runs, RecordedAttempt(number=2).record())
    told.clear()
    code, (line,), _ = command("verify", f"--date={DAY}")
    assert (code, told) == (ExitCode.DONE, [])
    assert log == "text" or json.loads(line)["severity"] == "INFO"


def test_of_a_night_at_work_verify_says_when_it_ends(runs: Path, command: Command, told: list[str], at: At) -> None:
    """It has not failed: the message is no alarm, and has where to look."""
    at(f"{DAY}T03:00")
    about = {"job": "cards", "region": "asia-east1", "project": "p", "deadline": 10_740.0}
    write(runs, RecordedAttempt(outcome=None, failed=["MSFT"], about=about).record(), {"_lease.json": lease_of(DAY)})
    code, out, _ = command("verify", f"--date={DAY}")
    executions = "https://console.cloud.google.com/run/jobs/details/asia-east1/cards/executions?project=p"
    sentence, numbers = "work since 02:00 UTC+08:00", "1 of 2 cards made; 1 missing: MSFT/news_card."
    steps = ["This start ends by 05:00 UTC+08:00 at the latest.", "All executions of the job"]
    assert code == ExitCode.FAILED
    assert out[:2] == [f"{DAY} is not done: at {sentence}", numbers]
    assert out[-3:] == [*steps, f"  {executions}"]
    assert told[:2] == [f"! cards, {DAY}: not done by 03:00 UTC+08:00", f"At {sentence}."]
    assert told[2] == numbers
    assert told[-3:] == [*steps, executions]
