"""What only a process shows: how it ends before there is a command, and that it loads no library early."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from job.day.attempt import ExitCode
from tests.simulators.job import ROOT
from tests.support.environment import bare
from tests.support.records import URLS, config


def python(*arguments: str, directory: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in this directory, without the caller's variables."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=directory, env=bare(**env), capture_output=True, text=True, check=False
    )


def test_a_module_of_the_job_that_is_missing_is_a_bug(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "job", tmp_path / "job")
    (tmp_path / "job" / "engines" / "identity.py").unlink()
    done = python("-m", "job", "nights", directory=tmp_path)
    assert done.returncode == ExitCode.UNFORESEEN
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'job.engines.identity'\n")


def test_a_system_without_time_zones_has_those_of_a_dependency() -> None:
    done = python("-m", "job", "--version", directory=ROOT, PYTHONTZPATH="")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_connection_gives_away_its_session_keys(tmp_path: Path) -> None:
    """Neither one to an engine or a chat, nor one of Google's libraries."""
    program = """
import job.cli.main
from job.engines.tls import tls_context
from urllib3.util.ssl_ import create_urllib3_context
tls_context(None)
create_urllib3_context()
"""
    done = python("-c", program, directory=ROOT, SSLKEYLOGFILE=str(tmp_path / "keys"))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


LATE = {"google.auth", "google.cloud", "httpcore", "httpx", "jinja2", "requests", "rich"}


def test_help_loads_no_library_of_a_command() -> None:
    program = """
import sys
from job.cli.main import main
try:
    main(["--help"])
finally:
    print(*sys.modules, file=sys.stderr)
"""
    found = set(python("-c", program, directory=ROOT).stderr.split())
    assert "pydantic" in found
    assert found & LATE == set()


def test_a_recorded_run_has_loaded_nothing_for_its_end_when_it_wants_its_first_token(tmp_path: Path) -> None:
    program = """
import os, sys
from job.cli.main import main
from job.engines.id_tokens import IdTokens
async def get(self, audience, rejected=None):
    print(*sys.modules, file=sys.stderr, flush=True)
    os._exit(0)
IdTokens.get = get
main(["run"])
"""
    for name, text in config().items():
        (tmp_path / name).write_text(text)
    places = {"CONFIG_URI": str(tmp_path), "RUNS_URI": str(tmp_path / "runs")}
    hook = "http://127.0.0.1:1/robot/send"
    done = python("-c", program, directory=ROOT, LOG_FORMAT="json", NOTIFY_URL=hook, **places, **URLS)
    assert set(done.stderr.split()) & LATE == {"httpcore"}


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
        assert process.wait(60) == code
        assert process.stderr is not None
        assert process.stderr.read() == b""
