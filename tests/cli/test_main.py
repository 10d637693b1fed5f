"""The command line does what is asked for and nothing else; what it does not understand is a usage error."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from job.cli import main as main_module
from job.cli.main import main
from job.execution.shutdown import SIGNALS
from job.report.outcome import ExitCode
from job.reporting import stdout
from tests.simulators.job import ROOT

NOTICE = "CONFIG_URL: is not a variable of the job, which ignores it; did you mean CONFIG_URI?"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG_URI", "RUN_ID", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_COUNT", "RUN_DATE", "RUN_TIME_ZONE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    """Restores the signal handlers of the tests, as a run leaves its own in place."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("arguments", [[], ["run"], ["plan"], ["plan", "--json"], ["check"]])
def test_every_command_says_what_is_wrong_with_the_configuration(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert "CONFIG_URI: is not set; set it to gs://BUCKET/PREFIX or to a directory" in out + err


@pytest.mark.parametrize(
    ("variables", "is_text"),
    [
        ({}, True),
        ({"LOG_FORMAT": "json"}, False),
        ({"CLOUD_RUN_JOB": "cards"}, False),
        ({"CLOUD_RUN_JOB": "cards", "LOG_FORMAT": "text"}, True),
    ],
)
@pytest.mark.parametrize(
    "asked",
    [("run", "✗ CONFIG_URI: is not set; "), ("verify --date 2026-11-24", "no run of 2026-11-24 is recorded")],
)
def test_off_a_terminal_output_is_text_for_a_person_unless_the_job_is_on_cloud_run(
    asked: tuple[str, str],
    variables: dict[str, str],
    is_text: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    command, shown = asked
    for name, value in ({"RUNS_URI": str(tmp_path)} | variables).items():
        monkeypatch.setenv(name, value)
    assert main(command.split()) != ExitCode.DONE
    first = capfd.readouterr().out.splitlines()[0]
    if is_text:
        assert first.startswith(shown)
    else:
        assert json.loads(first)["message"].startswith(shown.removeprefix("✗ "))


@pytest.mark.parametrize("arguments", [["run"], ["resume", "night"]])
def test_a_misspelt_variable_is_noticed_in_the_log(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONFIG_URL", "/config")
    monkeypatch.setenv("LOG_FORMAT", "json")
    assert main(arguments) == ExitCode.USAGE
    first = json.loads(capfd.readouterr().out.splitlines()[0])
    assert (first["event"], first["severity"]) == ("config.noticed", "NOTICE")
    assert first["message"] == NOTICE


@pytest.mark.parametrize(("arguments", "line"), [(["plan"], NOTICE), (["check"], f"! {NOTICE}")])
def test_a_misspelt_variable_is_noticed_before_the_faults(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONFIG_URL", "/config")
    assert main(arguments) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert (out + err).splitlines()[0] == line


@pytest.mark.parametrize(
    "arguments",
    [
        *(["fly"], ["plan", "--yaml"], ["run", "now"], ["--json"], ["check", "--json"], ["plan", "plan"]),
        ["resume", "night", "--without"],
        ["resume", "night", "--without", "MSFT", "--new-config"],
    ],
)
def test_usage_errors_end_with_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == ExitCode.USAGE
    assert "usage: python -m job" in capfd.readouterr().err


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    for argument, expected in (("--help", "COMMAND"), ("--version", "0.1.0")):
        with pytest.raises(SystemExit) as ended:
            main([argument])
        assert ended.value.code == 0
        assert expected in capfd.readouterr().out


def on_a_terminal(*arguments: str, **variables: str) -> tuple[int, str]:
    """The exit code and the output of the job on a terminal of its own, without the caller's variables."""
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-m", "job", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # a pseudo-terminal ends with an error
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    return done.returncode, shown.decode()


def test_without_a_command_a_person_on_a_terminal_gets_help_and_no_run() -> None:
    code, shown = on_a_terminal()
    assert code == ExitCode.USAGE, "0 would say that the work of the day is done"
    assert shown.startswith("usage: python -m job")
    assert "CONFIG_URI" not in shown


@pytest.mark.parametrize(("arguments", "variables"), [(["run"], {}), ([], {"CLOUD_RUN_JOB": "cards"})])
def test_a_command_starts_a_run_on_a_terminal_and_cloud_run_needs_none(
    arguments: list[str], variables: dict[str, str]
) -> None:
    code, shown = on_a_terminal(*arguments, **variables)
    assert code == ExitCode.USAGE
    assert "CONFIG_URI: is not set" in shown


def test_a_traceback_that_nobody_reads_delays_the_exit_by_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: object) -> ExitCode:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(main_module, "_command", break_down)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    monkeypatch.setattr(stdout, "STDERR", writing)
    started = time.monotonic()
    assert main([]) == ExitCode.UNFORESEEN
    assert time.monotonic() - started < 5.0
    os.close(reading)  # the thread that writes ends
    os.close(writing)


def python(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python in this directory, without the caller's variables."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_dependencies_are_one_line_that_says_how_to_activate_the_environment() -> None:
    done = python("-S", "-m", "job", "runs", directory=ROOT)  # -S: without the installed packages
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    (line,) = done.stderr.splitlines()
    assert " is not installed for " in line
    assert line.endswith("; activate the environment: make .venv/ready && . .venv/bin/activate")


def test_a_module_of_the_job_that_is_missing_is_a_bug(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "job", tmp_path / "job")
    (tmp_path / "job" / "engines" / "identity.py").unlink()
    done = python("-m", "job", "runs", directory=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'job.engines.identity'\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_before_the_run_handles_them_ends_the_process(number: signal.Signals, code: int) -> None:
    """Also one that is PID 1, for which the default action is to ignore it."""
    program = """
import runpy, sys, time, types
def main(arguments):
    print("ready", flush=True)
    time.sleep(30)
sys.modules["job.cli.main"] = module = types.ModuleType("job.cli.main")
module.main = main
runpy.run_module("job", run_name="__main__")
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(10) == code
        assert process.stderr is not None
        assert process.stderr.read() == b""
