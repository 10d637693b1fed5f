"""A message is sent within its time; a failure is retried if that can help, but not if the message may have arrived."""

import json
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
from job.outputs.channels import DINGTALK, FEISHU, WECOM, Channel, Hook, judge
from job.outputs.message import Notifier
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
    problem = await Notifier(settings(**chat.env(**more))).send_lines(LINES, dict, seconds)
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
    def fields() -> dict[str, object]:
        raise KeyError("secret-of-the-feishu-bot")

    problem = await Notifier(settings(**chat.env())).send_lines(LINES, fields)
    assert str(problem) == "the message was not sent: an error in the job: KeyError"


async def sent(given: Settings, scene: str = "busy", shutdown: Shutdown | None = None, **about: Any) -> Message | None:
    return await Notifier(given).send(replace(SCENES[scene](), **about), shutdown or Shutdown())


async def test_nothing_is_sent_without_a_configured_url() -> None:
    assert await sent(settings()) is None


RETRY = {"task_attempt": 1}
ODD = Message("is odd")
OF_COMMAND = {"faults": (FaultOfConfig(ODD, ODD, ODD, FaultKind.COMMAND),)}
OF_IMAGE = {"faults": (FaultOfConfig(ODD, ODD, ODD, FaultKind.IMAGE),)}
GOOD: Severity = "good"


@pytest.mark.parametrize(
    ("only", "scene", "about", "severity_before", "is_sent"),
    [
        pytest.param("failures", "made with errors", {}, GOOD, True, id="an engine reported an error besides"),
        pytest.param("failures", "all made", {}, None, True, id="it is not known what was before"),
        pytest.param("all", "bad config", OF_COMMAND | {"execution": None}, None, False, id="a command on a laptop"),
        pytest.param("failures", "bad config", OF_COMMAND, None, True, id="a command on Cloud Run"),
        pytest.param("all", "bad config", OF_IMAGE | RETRY, None, False, id="its retry has the same image"),
        pytest.param("all", "bad config", OF_COMMAND | RETRY, None, False, id="its retry is refused for the same"),
        pytest.param("failures", "all made", {"number": 0}, None, True, id="nothing was left to do"),
        pytest.param("failures", "all made", RETRY, GOOD, True, id="its retry"),
    ],
)
async def test_who_waits_for_a_message_gets_it(
    chat: Chat, only: str, scene: str, about: dict[str, Any], severity_before: Severity | None, is_sent: bool
) -> None:
    about = {"execution": "cards-1", "faults": (), **about}
    report = begun(SCENES[scene]().report.model_copy(update={"faults": about.pop("faults")}), **about)
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


# --- what each channel documents ---

NOW = 1700000000.25
FEISHU_URL = "https://open.feishu.cn/open-apis/bot/v2/hook/0a1b2c3d-1111-2222-3333-444455556666"
DINGTALK_URL = "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef0123456789abcdef"
WECOM_URL = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0a1b2c3d-1111-2222-3333-444455556666"
SLACK_URL = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
FIELDS = {"run": "night", "exit_code": 3, "text": "of a field"}


@pytest.mark.parametrize(
    ("url", "channel"),
    [
        (FEISHU_URL, FEISHU),
        ("https://open.larksuite.com/open-apis/bot/v2/hook/x", FEISHU),
        ("https://OPEN.FEISHU.CN/open-apis/bot/v2/hook/x", FEISHU),
        (DINGTALK_URL, DINGTALK),
        (WECOM_URL, WECOM),
        ("http://127.0.0.1:8080/open-apis/bot/v2/hook/x", FEISHU),
        ("http://localhost/robot/send?access_token=x", DINGTALK),
        ("http://[::1]:1/cgi-bin/webhook/send?key=x", WECOM),
    ],
)
def test_the_host_determines_the_channel_and_on_loopback_the_path(url: str, channel: Channel) -> None:
    assert Hook(url, None).channel is channel


@pytest.mark.parametrize(
    "url", [SLACK_URL, "https://relay.example/robot/send?x", "https://open.feishu.cn.example/open-apis/bot/v2/hook/x"]
)
def test_every_other_host_gets_the_text_and_the_fields(url: str) -> None:
    target, body = Hook(url, None).request("the text", FIELDS, NOW)
    assert target == url
    assert json.loads(body) == {"text": "the text", "run": "night", "exit_code": 3}


# printf '' | openssl dgst -sha256 -hmac "$(printf '1700000000\nSECtest')" -binary | base64
FEISHU_SIGNED = {"timestamp": "1700000000", "sign": "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk="}
# printf '1700000000250\nSECtest' | openssl dgst -sha256 -hmac SECtest -binary | base64
DINGTALK_SIGNED = "&timestamp=1700000000250&sign=rQC2GeGO4iloPeV%2BQeBdpp%2Byk6YnGFRUoHR52crpMio%3D"


@pytest.mark.parametrize(
    ("url", "secret", "in_url", "body"),
    [
        (FEISHU_URL, None, "", {"msg_type": "text", "content": {"text": "图卡"}}),
        (FEISHU_URL, "SECtest", "", {"msg_type": "text", "content": {"text": "图卡"}, **FEISHU_SIGNED}),
        (DINGTALK_URL, None, "", {"msgtype": "text", "text": {"content": "图卡"}}),
        (DINGTALK_URL, "SECtest", DINGTALK_SIGNED, {"msgtype": "text", "text": {"content": "图卡"}}),
        (WECOM_URL, "of no use", "", {"msgtype": "markdown", "markdown": {"content": "图卡"}}),
    ],
)
def test_a_request_is_as_documented_signed_or_not(url: str, secret: str | None, in_url: str, body: object) -> None:
    target, content = Hook(url, secret).request("图卡", {}, NOW)
    assert (target, json.loads(content)) == (url + in_url, body)
    assert "图卡".encode() in content, "escaped it would take twice the room"


def said(url: str, status: int, answer: object, secret: str | None = None) -> tuple[str, bool] | None:
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    problem = judge(Hook(url, secret), status, content)
    return (str(problem.reason), problem.is_passing) if problem else None


INVALID = "the address is not valid any more; an owner gives it anew"


@pytest.mark.parametrize(
    ("url", "status", "answer", "reason", "is_passing"),
    [
        (FEISHU_URL, 200, {"code": 19021, "msg": "sign"}, "Feishu refused it with code 19021: sign", False),
        (FEISHU_URL, 200, {"code": 11232, "msg": "busy"}, "Feishu refused it with code 11232: busy", True),
        (FEISHU_URL, 400, {"code": 11232, "msg": "busy"}, "Feishu refused it with code 11232: busy", True),
        (FEISHU_URL, 200, {"code": 0, "StatusCode": 9}, None, False),
        (FEISHU_URL, 200, {"Extra": None, "StatusCode": 0, "StatusMessage": "success"}, None, False),
        (DINGTALK_URL, 200, {"errcode": 0, "errmsg": "ok"}, None, False),
        (WECOM_URL, 200, {"errcode": 0, "errmsg": "ok"}, None, False),
        (SLACK_URL, 200, b"", None, False),
        (FEISHU_URL, 200, {"msg": "ok"}, "the answer is not from Feishu", False),
        (FEISHU_URL, 200, {"code": "0"}, "the answer is not from Feishu", False),
        (FEISHU_URL, 200, {"code": False}, "the answer is not from Feishu", False),
        (FEISHU_URL, 200, b"[" * 100_000, "the answer is not from Feishu", False),
        (FEISHU_URL, 200, b"[]", "the answer is not from Feishu", False),
        (FEISHU_URL, 404, {"code": 0}, f"Feishu refused it (HTTP 404): {INVALID}", False),
        (DINGTALK_URL, 200, {"errcode": 310000, "errmsg": "no"}, "DingTalk refused it with code 310000: no", False),
        (DINGTALK_URL, 200, {"errcode": -1, "errmsg": "系统繁忙"}, "DingTalk refused it with code -1: 系统繁忙", True),
        (WECOM_URL, 200, {"errcode": 93000, "errmsg": None}, "WeCom refused it with code 93000: ", False),
        (WECOM_URL, 429, b"", "WeCom answered HTTP 429", True),
        (WECOM_URL, 502, b"<html>", "WeCom answered HTTP 502", True),
        (SLACK_URL, 403, b"invalid_token", f"hooks.slack.com refused it (HTTP 403): {INVALID}", False),
    ],
)  # fmt: skip
def test_whether_it_was_accepted(url: str, status: int, answer: object, reason: str | None, is_passing: bool) -> None:
    assert said(url, status, answer) == (reason and (reason, is_passing))


@pytest.mark.parametrize("url", [FEISHU_URL, DINGTALK_URL, WECOM_URL])
def test_an_answer_that_echoes_the_request_shows_no_secret(url: str) -> None:
    hook, secret = Hook(url, "SECtest"), url.rpartition("/" if "?" not in url else "=")[2]
    sent, body = hook.request("text", {}, NOW)
    path = f"{urlsplit(sent).path}?{urlsplit(sent).query}"
    for echo in (sent, f"token {secret} is not exist", path, urlsplit(sent).path, body.decode(), "signed with SECtest"):
        for said_so in (echo, echo.upper(), echo.lower()):
            answer = {"code": 1, "errcode": 1, "msg": f"no {said_so}", "errmsg": f"no {said_so}"}
            shown = said(url, 200, answer, "SECtest")
            assert shown is not None
            for hidden in (secret, urlsplit(url).path, "SECtest"):
                assert hidden.lower() not in shown[0].lower()
