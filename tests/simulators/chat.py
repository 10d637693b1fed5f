"""Simulates the incoming webhooks of Feishu, DingTalk, WeCom and Slack: their forms, signatures, limits and answers."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.seen import Seen
from tests.simulators.service import Service
from tests.simulators.wire import Reply

PLACES = {
    "feishu": "/open-apis/bot/v2/hook/0a1b2c3d-secret-of-the-feishu-bot",
    "dingtalk": "/robot/send?access_token=0a1b2c3d4e5f6a7b8c9d-secret-of-the-dingtalk-robot",
    "wecom": "/cgi-bin/webhook/send?key=0a1b2c3d-secret-of-the-wecom-robot",
    "slack": "/services/T0/B0/secret-of-the-slack-app",
}
"""Path and query of each channel's webhook."""


@dataclass
class Chat:
    """The chats behind the webhooks. Remembers what was written into them."""

    seen: list[Seen]
    secret: str | None = None
    """What the bots of Feishu and DingTalk are signed with; `None` if they are not."""
    texts: list[str] = field(default_factory=list)
    """What was taken, in order."""
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self.service = Service("chat", self._reply, seen=self.seen)

    def env(self, channel: str, **more: str) -> dict[str, str]:
        """The variables that send messages to this channel."""
        return {"NOTIFY_URL": self.service.url + PLACES[channel], **more}

    def _reply(self, seen: Seen) -> Reply:
        for channel, place in PLACES.items():
            if seen.path == place.partition("?")[0]:
                answer: Reply = getattr(self, f"_{channel}")(seen, seen.json)
                return answer
        return Reply(404, b"no_team", "text/plain")

    def _feishu(self, seen: Seen, body: Any) -> Reply:
        if len(seen.body) > 20 * 1024 or set(body) - {"timestamp", "sign"} != {"msg_type", "content"}:
            return _json({"code": 9499, "msg": "Bad Request", "data": {}})
        key = f"{body.get('timestamp')}\n{self.secret}"
        if self.secret and not (_recent(body.get("timestamp"), 1) and _digest(key, "") == body.get("sign")):
            said = "sign match fail or timestamp is not within one hour from current time"
            return _json({"code": 19021, "msg": said, "data": {}})
        assert body["msg_type"] == "text"
        self.texts.append(body["content"]["text"])
        return _json({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})

    def _dingtalk(self, seen: Seen, body: Any) -> Reply:
        given = dict(seen.query)
        if len(seen.body) > 20_000:
            return _json({"errcode": 460101, "errmsg": "message too long, exceed 20000 bytes"})
        key = f"{given.get('timestamp')}\n{self.secret}"
        if self.secret and not (_recent(given.get("timestamp"), 1000) and _digest(self.secret, key) == given["sign"]):
            return _json({"errcode": 310000, "errmsg": "sign not match, more: [https://ding-doc.example]"})
        assert body["msgtype"] == "text"
        self.texts.append(body["text"]["content"])
        return _json({"errcode": 0, "errmsg": "ok"})

    def _wecom(self, _: Seen, body: Any) -> Reply:
        content = body["markdown"]["content"]
        if len(content.encode()) > 4096:
            said = "markdown.content exceed max length 4096. invalid Request Parameter"
            return _json({"errcode": 40058, "errmsg": said})
        assert body["msgtype"] == "markdown"
        self.texts.append(content)
        return _json({"errcode": 0, "errmsg": "ok"})

    def _slack(self, _: Seen, body: Any) -> Reply:
        self.texts.append(body["text"])
        return Reply(200, b"ok", "text/plain")


def _json(answer: object) -> Reply:
    return Reply(200, json.dumps(answer).encode())


def _digest(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _recent(timestamp: object, units: int) -> bool:
    return str(timestamp).isdigit() and abs(int(str(timestamp)) / units - time.time()) < 3600  # noqa: TID251  a signature's age is real
