"""Each channel gets what its vendor documents, and its answer is judged by its code."""

import json
from urllib.parse import urlsplit

import pytest

from job.outputs.channels import DINGTALK, FEISHU, WECOM, Channel, Hook, judge

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
def test_a_request_is_as_documented_and_signed_if_there_is_a_secret(
    url: str, secret: str | None, in_url: str, body: object
) -> None:
    target, content = Hook(url, secret).request("图卡", {}, NOW)
    assert (target, json.loads(content)) == (url + in_url, body)
    assert "图卡".encode() in content, "escaped it would take twice the room"


def said(url: str, status: int, answer: object, secret: str | None = None) -> tuple[str, bool] | None:
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    problem = judge(Hook(url, secret), status, content)
    return (str(problem.reason), problem.is_passing) if problem else None


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
        (FEISHU_URL, 404, {"code": 0}, "Feishu answered HTTP 404", False),
        (DINGTALK_URL, 200, {"errcode": 310000, "errmsg": "no"}, "DingTalk refused it with code 310000: no", False),
        (DINGTALK_URL, 200, {"errcode": -1, "errmsg": "系统繁忙"}, "DingTalk refused it with code -1: 系统繁忙", True),
        (WECOM_URL, 200, {"errcode": 93000, "errmsg": None}, "WeCom refused it with code 93000: ", False),
        (WECOM_URL, 429, b"", "WeCom answered HTTP 429", True),
        (WECOM_URL, 502, b"<html>", "WeCom answered HTTP 502", True),
        (WECOM_URL, 302, b"", "WeCom answered HTTP 302", False),
        (SLACK_URL, 403, b"invalid_token", "hooks.slack.com answered HTTP 403", False),
        (SLACK_URL, 503, b"", "hooks.slack.com answered HTTP 503", True),
    ],
)  # fmt: skip
def test_whether_the_message_was_accepted(
    url: str, status: int, answer: object, reason: str | None, is_passing: bool
) -> None:
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
