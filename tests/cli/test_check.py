"""`check` says in a line each whether the config can be used and whether each engine answers."""

from pathlib import Path

import pytest
import trio

from job.cli import check as module
from job.day.attempt import ExitCode
from job.engines.calls import TARGET_ENGINES
from job.outputs.message import Notifier
from tests.cli.conftest import Command
from tests.support.records import URLS, config


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config that can be used, and the URL of each engine."""
    for name, text in config().items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("CONFIG_URI", str(tmp_path))
    for name, url in URLS.items():
        monkeypatch.setenv(name, url)
    return tmp_path


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is wrong with each engine."""
    found: dict[str, str] = {}

    async def health_problem(_: str, url: str, audience: str, *__: object) -> str | None:
        await trio.lowlevel.checkpoint()
        assert url == audience
        return found.get(url.removeprefix("https://").removesuffix(".example"))

    monkeypatch.setattr(module, "health_problem", health_problem)
    return found


def test_the_config_and_each_engine_have_a_line(place: Path, command: Command, wrong: dict[str, str]) -> None:
    shown = {one: f"✓ {one}: https://{one}.example is healthy" for one in (*TARGET_ENGINES, "qa")}
    assert command("check") == (ExitCode.DONE, ["✓ config: 2 targets, 2 cards", *shown.values()], [])
    wrong.update(trading="HTTP 503", qa="no answer")
    (place / "engine_control.json").write_text('{"run_news_engine": false}')
    left_behind = "! engine_control.json: the news engine is switched off. Cards without its data: 2"
    code, out, _ = command("check")
    shown |= {"trading": "✗ trading: HTTP 503", "qa": "✗ qa: no answer"}
    del shown["news"]
    assert (code, out[0], out[2:]) == (ExitCode.FAILED, left_behind, [*shown.values()])


def test_faults_of_the_config_are_told_and_no_engine_is_asked(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "health_problem", None)
    (place / "ticker_list.json").write_text("[]")
    code, out, _ = command("check")
    assert code == ExitCode.USAGE
    assert [line[:2] for line in out] == ["✗ "]


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
