"""A process loads what it needs when it needs it: a large library that is wanted late or never delays no first call."""

import json
import subprocess
import sys
from pathlib import Path

from tests.simulators.job import ROOT

LATE = {"google.auth", "google.cloud", "httpx", "jinja2", "requests", "rich"}
AT_HELP = """
import sys
from job.cli.main import main
try:
    main(["--help"])
finally:
    print(*sys.modules, file=sys.stderr)
"""
AT_THE_FIRST_TOKEN = """
import os, sys
sys.modules["click"] = None  # as in the image: with it, httpx loads its own command line
from job.cli.main import main
from job.engines.id_tokens import IdTokens
async def get(self, audience, rejected=None):
    print(*sys.modules, file=sys.stderr, flush=True)
    os._exit(0)
IdTokens.get = get
main(["run"])
"""


def loaded(program: str, **env: str) -> set[str]:
    """The modules that a process has loaded when it ends."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": "", **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stderr.split())


def test_help_loads_no_library_of_a_command() -> None:
    found = loaded(AT_HELP)
    assert "pydantic" in found
    assert found & LATE == set()


def test_a_recorded_run_has_loaded_nothing_for_its_end_when_it_wants_its_first_token(tmp_path: Path) -> None:
    config = {"ticker_list.json": ["AAPL"], "card_types.json": ["news_card"]}
    for name, value in config.items():
        (tmp_path / name).write_text(json.dumps(value))
    urls = {f"{engine}_ENGINE_URL": "https://127.0.0.1:1" for engine in ("FINANCIAL", "TRADING", "NEWS", "QA")}
    hook = "http://127.0.0.1:1/robot/send"
    places = {"CONFIG_URI": str(tmp_path), "RUNS_URI": str(tmp_path / "runs")}
    found = loaded(AT_THE_FIRST_TOKEN, LOG_FORMAT="json", NOTIFY_URL=hook, **places, **urls)
    assert found & LATE == {"httpx"}
