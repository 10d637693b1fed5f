"""The command line does what is asked for and nothing else; what it does not understand is a usage error."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from job.cli import check as module
from job.cli import main as main_module
from job.cli.main import main, make_parser, options_of
from job.config.environment import Options, read_settings
from job.config.faults import FaultKind
from job.day.attempt import ExitCode
from job.engines.calls import TARGET_ENGINES
from job.outputs.message import Notifier
from job.storage.directory import DirectoryStore
from job.storage.store import UnreachableError
from job.text.messages import Message, message
from tests.cli.conftest import Command
from tests.support.records import URLS, config

NOTICE = "NOTIFY_ONLY: is not one of 'all', 'failures'; write one of these"
NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
HOME = {"CONFIG_URI": "/config", "RUNS_URI": "/runs", "RUN_TIME_ZONE": "Asia/Shanghai"}


def asked(*arguments: str, **variables: str) -> Options:
    """What a command line asks for on 2026-11-24 in Shanghai."""
    settings, faults = read_settings(HOME | variables)
    return options_of(make_parser().parse_args(arguments), settings, faults, NOW, time.monotonic())


# --- what is asked for ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--date=2026-11-20"],
        ["run", "--again=NVDA", "--again=/news_card", "--yes", "--without=MSFT"],
        ["run", "--again=-X", "--without=--yes"],
        ["run", "--again=a b", "--without=美联储"],
    ],
)
def test_the_arguments_of_a_request_ask_for_the_same(arguments: list[str]) -> None:
    options = asked(*arguments)
    assert (list(options.arguments), options.faults) == (arguments, [])


def test_several_names_may_follow_an_option_or_repeat_it() -> None:
    request = asked("run", "--again", "A", "B/c", "--without", "D", "--again", "E")
    assert (request.again, request.without) == (("A", "B/c", "E"), ("D",))


@pytest.mark.parametrize(("date", "shown"), [("2026-02-30", "2026-02-30"), ("\udcff", "\\udcff")])
def test_a_date_that_cannot_be_is_a_fault_of_the_command(date: str, shown: str) -> None:
    request = asked("run", "--date", date)
    assert list(map(str, request.faults)) == [f'--date: "{shown}" is not valid; write "YYYY-MM-DD"']
    assert request.faults[0].kind is FaultKind.COMMAND
    assert request.date is None


def test_a_start_needs_a_place_for_its_record() -> None:
    (unset,) = asked("run", RUNS_URI="").faults
    assert str(unset) == "RUNS_URI: is not set; set it to gs://BUCKET/PREFIX or to a directory"
    assert len(asked("run", RUNS_URI="s3://x").faults) == 1, "a faulty one is not unset as well"


def test_an_argument_that_is_no_unicode_can_be_recorded() -> None:
    """The config has no such name, so it is a fault."""
    for text in asked("run", "--again", "\udcff", "--without", "\udcff").arguments:
        text.encode()


# --- the command line itself ---


@pytest.mark.parametrize(
    "arguments",
    [
        *("fly", "plan --yaml", "run now", "--json", "plan plan", "run --without", "run --again", "report night"),
        *("verify --date x", "plan --date 2026-1-1", "run --a=all --y"),
    ],
)
def test_usage_errors_end_with_2(arguments: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == ExitCode.USAGE
    assert "usage: python -m job" in capfd.readouterr().err


APART = "one word each: run --again NVDA (on Cloud Run --args=run,--again,NVDA)"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["run", "--agin=NVDA"], "unrecognized arguments: --agin=NVDA"),
        (["rnu"], "argument COMMAND: invalid choice: 'rnu'"),
        (["run --again NVDA"], APART),
        (["run,--again,NVDA"], APART),
    ],
)
def test_on_cloud_run_a_usage_error_is_a_fault_of_which_the_chat_is_told(
    arguments: list[str], what: str, command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("job.outputs.message.SEND_SECONDS", 0.1)
    cloud = {"CLOUD_RUN_JOB": "cards", "CLOUD_RUN_EXECUTION": "cards-1", "CONFIG_URI": str(runs)}
    code, out, err = command(*arguments, **cloud, NOTIFY_URL="http://127.0.0.1:9/hook")
    lines = [json.loads(line) for line in out]
    assert (code, err, [*runs.iterdir()]) == (ExitCode.USAGE, [], [])
    (fault,) = (line for line in lines if line.get("where") == "--args")
    assert fault["what"].startswith(what)
    assert fault["remedy"] == "the options of run are --date --again --yes --without"
    assert lines[-1]["event"] == "notification.failed", "nobody listens there"


@pytest.mark.parametrize(("verb", "marks"), [("plan", ["", ""]), ("check", ["! ", "✗ "])])
def test_a_variable_of_the_notifier_is_noticed_before_the_faults(verb: str, marks: list[str], command: Command) -> None:
    code, out, err = command(verb, NOTIFY_ONLY="errors")
    fault = "CONFIG_URI: is not set; set it to gs://BUCKET/PREFIX or to a directory"
    assert (code, out + err) == (ExitCode.USAGE, [marks[0] + NOTICE, marks[1] + fault])


@pytest.mark.parametrize(
    ("variables", "is_text"),
    [({}, True), ({"CLOUD_RUN_JOB": "cards"}, False), ({"CLOUD_RUN_JOB": "cards", "LOG_FORMAT": "text"}, True)],
)
def test_output_is_text_unless_it_is_on_cloud_run(variables: dict[str, str], is_text: bool, command: Command) -> None:
    _, out, _ = command("run", **variables)
    assert out[0].startswith("✗ CONFIG_URI: is not set; ") is is_text
    if not is_text:
        assert json.loads(out[0])["message"].startswith("CONFIG_URI: is not set; ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nights", "RUNS_URI: storage does not answer"),
        ("report 2026-11-24", "RUNS_URI: storage does not answer"),
        ("plan", "CONFIG_URI: storage does not answer; try again later"),
        ("check", "✗ CONFIG_URI: storage does not answer"),
    ],
)
def test_storage_that_does_not_answer_is_neither_an_empty_record_nor_a_faulty_config(
    arguments: str, said: str, runs: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise UnreachableError(message("storage does not answer"))

    for verb in ("folders", "names", "read"):
        monkeypatch.setattr(DirectoryStore, verb, fails)
    code, out, err = command(*arguments.split(), CONFIG_URI=str(runs), **URLS)
    assert (code, out + err) == (ExitCode.TEMPFAIL, [said])


def test_without_a_command_there_is_no_run(capfd: pytest.CaptureFixture[str]) -> None:
    """Off a terminal too: whoever pipes it may not mean to pay."""
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == ExitCode.USAGE, "0 would say that the work of the day is done"
    assert capfd.readouterr().err.startswith("usage: python -m job")


def test_a_bug_prints_a_traceback_and_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    def break_down(_: object) -> ExitCode:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(main_module, "_command", break_down)
    code, out, err = command()
    assert (code, out, err[-1]) == (ExitCode.UNFORESEEN, [], "ZeroDivisionError: unforeseen")


# --- check, and a message for a try ---


def test_config_and_each_engine_have_a_line(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: dict[str, list[Message]] = {}

    async def health_problem(_: str, url: str, audience: str, *__: object) -> list[Message]:
        await trio.lowlevel.checkpoint()
        assert url == audience
        return wrong.get(url.removeprefix("https://").removesuffix(".example"), [])

    monkeypatch.setattr(module, "health_problem", health_problem)
    for name, text in config().items():
        (tmp_path / name).write_text(text)
    shown = {one: f"✓ {one}: https://{one}.example is healthy" for one in (*TARGET_ENGINES, "qa")}
    good = ["✓ CONFIG_URI: 2 targets, 2 cards", *shown.values()]
    assert command("check", CONFIG_URI=str(tmp_path), **URLS) == (ExitCode.DONE, good, [])
    wrong.update(trading=[message("HTTP 503"), message("Where.")], qa=[message("failed")])
    (tmp_path / "engine_control.json").write_text('{"run_news_engine": false}')
    left_behind = "! engine_control.json: the news engine is switched off. Cards without its data: 2"
    code, out, _ = command("check")
    shown |= {"trading": "✗ trading: HTTP 503\n✗ trading: Where.", "qa": "✗ qa: failed"}
    del shown["news"]
    assert (code, out[0], out[2:]) == (ExitCode.FAILED, left_behind, "\n".join(shown.values()).splitlines())
    assert command("check", REPORT_LANGUAGE="zh")[1][-1] == "✗ qa：失败"


def test_a_test_message_needs_a_hook(command: Command) -> None:
    code, out, err = command("notify")
    assert (code, out, len(err)) == (ExitCode.USAGE, [], 1)
    assert err[0].startswith("NOTIFY_URL: is not set; ")
    assert command("notify", NOTIFY_URL="nonsense")[2][0].startswith("NOTIFY_URL: is not an https URL")


@pytest.mark.parametrize(("problem", "code", "mark"), [(None, ExitCode.DONE, "✓ Feishu has"), ("no", 1, "✗ no")])
def test_whether_a_test_message_was_taken(
    problem: str | None, code: int, mark: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send_lines(*_: object) -> str | None:
        await trio.lowlevel.checkpoint()
        return problem

    monkeypatch.setattr(Notifier, "send_lines", send_lines)
    found, out, _ = command("notify", NOTIFY_URL="https://open.feishu.cn/open-apis/bot/v2/hook/x")
    assert (found, out[0].startswith(mark)) == (code, True)
