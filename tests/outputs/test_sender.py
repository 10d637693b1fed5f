"""A message is sent within its time; a failure is retried if that can help, but not if the message may have arrived."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from job.config.environment import Settings, read_settings
from job.config.faults import Fault as FaultOfConfig
from job.config.faults import FaultKind
from job.day.attempt import Severity
from job.day.result import ShutdownReason
from job.execution.shutdown import BUDGETS, MOMENT, Budget, Shutdown
from job.outputs import message as sender
from job.outputs.channels import Hook
from job.outputs.message import Notifier, send
from job.telling.lines import Line, Rank
from job.text.messages import Message, message
from tests.simulators import broken, do, when
from tests.simulators.chat import PLACE, Chat
from tests.simulators.service import Do, Fault
from tests.support.days import SCENES
from tests.support.records import begun

LINES = [Line(message("✓ cards"), Rank.KEPT)]
BUSY = do.body({"code": 11232, "msg": "frequency limited"})


@pytest.fixture
async def chat(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chat]:
    monkeypatch.setattr(sender, "WAITS", [wait / 40 for wait in sender.WAITS])
    chat = Chat([])
    await chat.service.start(nursery)
    yield chat
    await chat.service.stop()


def settings(**variables: str) -> Settings:
    return read_settings({"CONFIG_URI": "x", **variables})[0]


async def tried(chat: Chat, seconds: float = 60.0, **more: str) -> str | None:
    hook = Notifier(settings(**chat.env(**more))).hook
    assert hook is not None
    problem = await send(hook, LINES, dict, seconds)
    return str(problem) if problem else None


async def test_a_message_is_sent_signed(chat: Chat) -> None:
    assert await tried(chat, NOTIFY_SECRET="SEC0") is None
    assert chat.texts == ["✓ cards"]
    (request,) = chat.service.requests
    sent = int(request.json["timestamp"])
    assert abs(sent - time.time()) < 60  # noqa: TID251  a signature's age is real
    assert request.body == Hook(chat.service.url + PLACE, "SEC0").request("✓ cards", {}, sent)[1]
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["user-agent"].startswith("batch-orchestrator/")


@pytest.mark.parametrize("act", [BUSY, do.status(503)])
async def test_a_transient_failure_is_retried(chat: Chat, act: Do) -> None:
    chat.service.script.append(Fault(when.first(2), act))
    assert await tried(chat) is None
    assert len(chat.service.requests) == 3


async def test_a_failure_that_lasts_is_reported_after_the_third_request(chat: Chat) -> None:
    chat.service.script.append(Fault(when.always, do.status(502)))
    assert await tried(chat) == "the message was not sent: Feishu answered HTTP 502"
    assert len(chat.service.requests) == 3


async def test_a_connection_that_is_refused_is_tried_again(
    chat: Chat, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chat.service.stop()
    attempt = sender._try

    async def then_it_is_back(*given: Any) -> object:
        problem = await attempt(*given)
        if problem is not None:
            await chat.service.start(nursery)
        return problem

    place = urlsplit(chat.service.url).netloc
    assert await tried(chat, 0.5) == f"the message was not sent: could not connect ({place})", (
        "host and port, no secret"
    )
    monkeypatch.setattr(sender, "_try", then_it_is_back)
    assert await tried(chat) is None
    assert chat.texts == ["✓ cards"]


@pytest.mark.parametrize("act", [broken.reset_after_work(), broken.truncated(), do.redirect("/else", 307)])
async def test_a_message_that_may_have_arrived_or_never_can_is_not_sent_again(chat: Chat, act: Do) -> None:
    """Nor is it sent elsewhere, where its secrets would go too."""
    chat.service.script.append(Fault(when.always, act))
    reason = await tried(chat)
    assert reason is not None
    assert f" ({urlsplit(chat.service.url).netloc})" in reason or "307" in reason
    assert len(chat.service.requests) == 1


@pytest.mark.parametrize("act", [do.hang(), broken.endless_body(), broken.endless_header()])
async def test_sending_never_takes_longer_than_its_time(chat: Chat, act: Do) -> None:
    chat.service.script.append(Fault(when.always, act))
    begun = time.monotonic()
    reason = await tried(chat, 0.2)
    assert reason is not None
    assert time.monotonic() - begun < 5


async def test_a_bug_in_the_message_is_a_problem_of_the_message_only(chat: Chat) -> None:
    hook = Notifier(settings(**chat.env())).hook
    assert hook is not None

    def fields() -> dict[str, object]:
        raise KeyError("secret-of-the-feishu-bot")

    assert str(await send(hook, LINES, fields, 1.0)) == "the message was not sent: an error in the job: KeyError"


async def sent(given: Settings, scene: str = "busy", shutdown: Shutdown | None = None, **about: Any) -> Message | None:
    return await Notifier(given).send(replace(SCENES[scene](), **about), shutdown or Shutdown())


async def test_nothing_is_sent_without_a_configured_url() -> None:
    assert await sent(settings()) is None


RETRY = {"task_attempt": 1}
SCHEDULED = {"number": 0, "schedule": "0 2 * * *", "started": "2026-11-24T02:00:03+08:00", "arguments": ("run",)}
BY_DATE = SCHEDULED | {"arguments": ("run", "--date=2026-11-24")}
ODD = Message("is odd")
OF_COMMAND = {"faults": (FaultOfConfig(ODD, ODD, ODD, FaultKind.COMMAND),)}
GOOD: Severity = "good"


@pytest.mark.parametrize(
    ("only", "scene", "about", "severity_before", "is_sent"),
    [
        pytest.param("failures", "made with errors", {}, GOOD, True, id="an engine reported an error besides"),
        pytest.param("failures", "all made", {}, None, True, id="it is not known what was before"),
        pytest.param("all", "bad config", OF_COMMAND | {"execution": None}, None, False, id="a command on a laptop"),
        pytest.param("failures", "bad config", OF_COMMAND, None, True, id="a command on Cloud Run"),
        pytest.param("all", "bad config", OF_COMMAND | RETRY, None, False, id="its retry is refused for the same"),
        pytest.param("failures", "all made", SCHEDULED, None, False, id="nothing was left to do, as every night"),
        pytest.param("failures", "all made", BY_DATE, None, True, id="nothing was left; a person asked for a day"),
        pytest.param("failures", "all made", SCHEDULED | RETRY, None, True, id="nothing was left to its retry"),
    ],
)
async def test_who_waits_for_a_message_gets_it(
    chat: Chat, only: str, scene: str, about: dict[str, object], severity_before: Severity | None, is_sent: bool
) -> None:
    faults = about.get("faults", ())
    about = {"execution": "cards-1", **about}
    report = begun(SCENES[scene]().report.model_copy(update={"faults": faults}), **about)
    given = settings(**chat.env(), NOTIFY_ONLY=only)
    assert await sent(given, scene, report=report, severity_before=severity_before) is None
    assert len(chat.texts) == is_sent


async def test_a_signal_ends_the_sending(chat: Chat, nursery: trio.Nursery) -> None:
    chat.service.script.append(Fault(when.always, do.hang()))
    shutdown = Shutdown()

    async def signal() -> None:
        await chat.service.until(lambda requests: len(requests) == 1)
        shutdown.request(ShutdownReason.SIGTERM)

    nursery.start_soon(signal)
    problem = await sent(settings(**chat.env()), shutdown=shutdown)
    assert str(problem) == "the message was not sent: no time was left for it"


async def test_after_a_signal_the_channel_has_the_time_of_that(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUDGETS, ShutdownReason.SIGTERM, Budget(0, 0.2 + MOMENT))
    chat.service.script.append(Fault(when.always, do.hang()))
    shutdown = Shutdown()
    shutdown.request(ShutdownReason.SIGTERM)
    problem = await sent(settings(**chat.env()), shutdown=shutdown)
    assert str(problem) == "the message was not sent: no answer within 0.2 s"
