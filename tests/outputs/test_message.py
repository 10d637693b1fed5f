"""The text of a message is complete in itself; however long it would be, how the day stands and what to do is sent."""

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.environment import Settings, read_settings
from job.config.faults import Fault
from job.day.attempt import Outcome
from job.day.ending import Ending
from job.outputs.channels import CHANNELS, FEISHU, WECOM, Channel, as_json
from job.outputs.message import cut, run_fields, run_lines, trial_fields, trial_lines
from job.telling.advice import Command, Commands
from job.telling.lines import Line, Rank
from job.telling.view import View
from job.text.messages import Message, listed, message
from tests.support.days import DAY, NULL, SCENES, Day, failing
from tests.support.fakes import target
from tests.support.records import FAULT

NOW = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
CLOUD = {
    "CONFIG_URI": "gs://cards/config",
    "RUNS_URI": "gs://cards/runs",
    "RUN_TIME_ZONE": "Asia/Shanghai",
    "CLOUD_RUN_JOB": "cards",
    "GOOGLE_CLOUD_PROJECT": "our-project",
    "GOOGLE_CLOUD_REGION": "asia-east1",
}
START = Line(message("Now:"), Rank.KEPT, below="the command", is_start=True)


def settings(**changes: str) -> Settings:
    return read_settings(CLOUD | changes)[0]


def lines(view: View, **changes: str) -> list[str]:
    both = ((f"{line.mark} {line.text}".lstrip(), line.below) for line in run_lines(view, settings(**changes)))
    return [text for texts in both for text in texts if text is not None]


def test_the_message_about_a_refused_start_lists_its_faults_and_no_command_for_a_checkout() -> None:
    view = Day(targets=()).view(Ending(Outcome.BAD_CONFIG), faults=[FAULT] * 7)
    look = Line(message("Look."), Rank.ASIDE, below="python -m job report")
    assert lines(replace(view, steps=(START, look)))[1:-1] == [
        "The configuration has 7 faults.",
        "Nothing was called.",
        *["✗ ticker_list.json: is not JSON; correct it"] * 5,
        "and 2 more",
        "Now:",
        "the command",
    ]


def test_of_a_message_that_is_too_long_the_command_for_odd_cards_is_left_out_before_the_page() -> None:
    view = replace(Day(with_error=["NVDA"], start={"qa_attempts": 3}).play().view(), page="https://page")
    ranks = {line.below or str(line.text): line.rank for line in run_lines(view, settings())}
    again = next(rank for text, rank in ranks.items() if "--again=" in text)
    assert again < ranks["Page: https://page"]


def test_the_job_is_that_of_the_start() -> None:
    other, nobody = (Day(start={"job": job}).play().view() for job in ("other", None))
    assert lines(other)[0] == "✓ other, 2026-11-24"
    assert lines(nobody, CLOUD_RUN_JOB="")[0] == "✓ batch-orchestrator, 2026-11-24"
    assert str(next(trial_lines(settings(CLOUD_RUN_JOB=""))).text).startswith("batch-orchestrator: this is a test.")


# --- for programs ---


def test_the_fields_are_those_of_the_last_line() -> None:
    fields: Any = run_fields(SCENES["cards missing"]())
    assert (fields["severity"], fields["event"], fields["day"]) == ("ERROR", "run.finished", DAY)
    assert fields["cards"]["done"] == 52
    assert fields["start_command"].startswith("gcloud run jobs execute cards ")
    assert fields["start_command_until"] == "2026-11-25T01:50:00+08:00"
    for make in SCENES.values():
        said = str(run_fields(make()))
        assert not re.search("the model refused|connection reset|the engine answered null|HTTP 503", said)
    trial = trial_fields()
    assert trial.keys() == fields.keys()
    assert (trial["event"], trial["outcome"], trial["day"]) == ("notification.tested", "test", "test")


# --- the limits of a channel ---


@given(st.lists(st.sampled_from(Rank), max_size=12), st.integers(20, 120))
def test_lines_go_by_their_rank_and_the_last_or_longest_first(ranks: list[Rank], limit: int) -> None:
    lines = [Line(message(f"line {at} {'x' * (at * 5 % 7)}"), rank) for at, rank in enumerate(ranks)]
    text = cut(lines, replace(FEISHU, limit=limit))
    whole = [str(line.text) for line in lines]
    shown = [whole.index(line) for line in text.splitlines() if line in whole]
    gone = set(range(len(ranks))) - set(shown)
    for at in gone:
        for other in shown:
            assert ranks[other] >= ranks[at]
            if ranks[other] is ranks[at]:
                assert len(whole[other]) <= len(whole[at]) if ranks[at] is Rank.KEPT else other < at
    counts = [line for line in text.splitlines() if line not in whole]
    assert counts == ([f"… and {len(gone)} more line{'' if len(gone) == 1 else 's'}"] if gone else [])
    assert len(as_json(text)) - 2 <= limit


def test_what_is_odd_about_the_config_is_told_the_first_of_it() -> None:
    day = Day()
    day.ledger.plan = replace(day.plan, notices=tuple(message(f"odd {number}") for number in range(5)))
    shown = lines(day.play().view())
    assert shown[3:-1] == ["! odd 0", "! odd 1", "! odd 2", "! and 2 more"]


LONG = [f"{number:03}" + "名" * 61 for number in range(120)]
"""Names as long as any may be."""


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("without", [0, 20, 100])
def test_the_longest_text_of_a_run_fits_every_channel(channel: Channel, without: int) -> None:
    """It says how the day stands, and has the command that starts it again if that fits."""
    names = tuple(LONG[:without])
    day = Day(targets=[target(name, "abc") for name in LONG], start={"without": names, "job": "j" * 63})
    day.play(failing(NULL, "trading"))
    faults = [Fault("card_targets.json: [3]", Message("图" * 300), Message("改" * 300))] * 50
    view = replace(day.view(faults=faults), page="https://storage.cloud.google.com/" + "%E5%90%8D" * 40)
    again = Line(message("Or without {names}:", names=listed(LONG)), Rank.KEPT, below=shlex.join(LONG[:20]))
    view = replace(view, steps=(*view.steps, again))
    text = cut(list(run_lines(view, settings())), channel)
    assert len(as_json(text)) - 2 <= channel.limit
    named = f"{3 * without} left out: {', '.join(LONG[:3])} and {without - 3} more" if without else ""
    assert text.splitlines()[:2] == [f"✗ {'j' * 63}, {DAY}", "The trading engine failed."]
    assert named in text
    assert ("gcloud run jobs execute " in text) is (without == 0 or (channel is not WECOM and without == 20))


def test_nothing_in_an_id_addresses_people_or_leads_elsewhere() -> None:
    def shown(name: str) -> str:
        return cut([Line(message("{name}", name=name), Rank.KEPT)], FEISHU)

    assert shown('<at user_id="all">all</at>\n<!channel>') == '＜at user_id="all"＞all＜/at＞ ＜!channel＞'
    assert shown("\u202e") == "\ufffd"
    assert shown("@all @channel(@here) @所有人 <@all>") == "＠all ＠channel(＠here) ＠所有人 ＜＠all＞"
    assert shown("_@all _＠ Fed_@channel") == "_＠all _＠ Fed_＠channel", "Mattermost reads these as mentions"
    assert shown("[pay here](https://x.example)") == "[pay here］(https://x.example)"
    assert shown('card_targets.json: [3] ("GC=F").card_types[1]') == 'card_targets.json: [3] ("GC=F").card_types[1]'
    assert shown("job@my-project.iam.gserviceaccount.com") == "job@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    "name", ["@openai", "<@all>", '<at user_id="all">', "[pay](https://x.example)", "it's@all", "a@b"]
)
@pytest.mark.parametrize("start_with", [None, "make run-local ARGS="])
def test_a_command_addresses_nobody_and_stays_the_same_for_a_shell(name: str, start_with: str | None) -> None:
    commands = Commands(Day(start={"start_with": start_with}).start_of(), "", Day().start_of().days, NOW)
    command = commands.line(message("x"), Command(DAY, [f"--without={name}"])).below
    assert command is not None
    shown = cut([Line(message("Now:"), below=command)], FEISHU).removeprefix("Now:\n")
    assert shlex.split(shown) == shlex.split(command)
    assert not re.search(r"(?<!\w)@\w|<[@a]|\]\(", shown)
