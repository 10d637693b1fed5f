"""Simulates the incoming webhook of Feishu: its form, limit and answers."""

import json
from dataclasses import dataclass, field

from tests.simulators.seen import Seen
from tests.simulators.service import Service
from tests.simulators.wire import Reply

PLACE = "/open-apis/bot/v2/hook/0a1b2c3d-secret-of-the-feishu-bot"
"""The path of the webhook."""


@dataclass
class Chat:
    """The chat behind the webhook. Remembers what was written into it."""

    seen: list[Seen]
    texts: list[str] = field(default_factory=list)
    """What was taken, in order."""
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self.service = Service("chat", self._reply, seen=self.seen)

    def env(self, **more: str) -> dict[str, str]:
        """The variables that send messages to it."""
        return {"NOTIFY_URL": self.service.url + PLACE, **more}

    def _reply(self, seen: Seen) -> Reply:
        if seen.path != PLACE:
            return Reply(404, b"no_team", "text/plain")
        body = seen.json
        if len(seen.body) > 20 * 1024 or set(body) - {"timestamp", "sign"} != {"msg_type", "content"}:
            return _json({"code": 9499, "msg": "Bad Request", "data": {}})
        assert body["msg_type"] == "text"
        self.texts.append(body["content"]["text"])
        return _json({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})


def _json(answer: object) -> Reply:
    return Reply(200, json.dumps(answer).encode())
