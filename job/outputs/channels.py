"""Channels: the request that each kind of incoming webhook expects, its signature, and the meaning of its answer.

Sources are the vendors' documents: Feishu and Lark, "Custom bot usage guide"; DingTalk, "Custom robot access" and
"Custom robot security settings"; WeCom, "Group robot configuration".
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from job.config.values import is_loopback
from job.text.messages import Message, message, template
from job.text.shown import excerpt, masked

Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class Channel:
    title: str
    hosts: tuple[str, ...]
    path: str
    """The beginning of the path. On loopback, where channels are simulated, it identifies the channel."""
    limit: int
    """Maximum bytes of the text, encoded as JSON."""
    body: Callable[[str], Body]
    sign: Callable[[str, Body, str, float], str] | None = None
    """Signs a request, given URL, body, secret and seconds since 1970. Returns the URL; may change the body."""
    codes: tuple[str, ...] = ()
    """Keys of the answer that may hold its code, 0 for success. If empty, a status of 2xx is success."""
    explanations: tuple[str, ...] = ()
    busy: frozenset[int] = frozenset()
    """Codes after which the same request may succeed soon."""


_MENTION = re.compile(r"(?<![^\W_])@(?=\w)")  # Mattermost takes _ for a sign between words
_PARTED = re.compile(r"@(?=\w)|\](?=\()|<")


def plain(text: str) -> str:
    """The text with tags, mentions of people and links that hide where they lead in full-width characters.

    Texts quote the config, and its authors must not be able to write to the whole chat in the job's name.
    """
    return _MENTION.sub("＠", text).replace("](", "］(").replace("<", "＜").replace(">", "＞")


def pasted(command: str) -> str:
    """A command for a shell, for which it means the same; what `plain` alters is parted by two quotation marks."""
    return _PARTED.sub(r"\g<0>''", command)


def _signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha256)).decode()


def _sign_feishu(url: str, body: Body, secret: str, now: float) -> str:
    timestamp = str(int(now))
    body |= {"timestamp": timestamp, "sign": _signature(f"{timestamp}\n{secret}", "")}
    return url


def _sign_dingtalk(url: str, _: Body, secret: str, now: float) -> str:
    timestamp = str(int(now * 1000))
    signature = {"timestamp": timestamp, "sign": _signature(secret, f"{timestamp}\n{secret}")}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(signature)}"


FEISHU = Channel(
    title="Feishu",
    hosts=("open.feishu.cn", "open.larksuite.com"),
    path="/open-apis/bot/",
    limit=19_000,  # 20 KB for the whole body
    body=lambda text: {"msg_type": "text", "content": {"text": text}},
    sign=_sign_feishu,
    codes=("code", "StatusCode"),  # the latter alone in answers of older bots
    explanations=("msg", "StatusMessage"),
    busy=frozenset({11232}),  # too many messages in the whole of Feishu, at full and half hours
)
DINGTALK = Channel(
    title="DingTalk",
    hosts=("oapi.dingtalk.com",),
    path="/robot/send",
    limit=19_000,  # 20,000 bytes for the whole body
    # No Markdown: it would change the look of commands, and needs two line feeds for a new line.
    body=lambda text: {"msgtype": "text", "text": {"content": text}},
    sign=_sign_dingtalk,
    codes=("errcode",),
    explanations=("errmsg",),
    busy=frozenset({-1}),  # the system is busy
)
WECOM = Channel(
    title="WeCom",
    hosts=("qyapi.weixin.qq.com",),
    path="/cgi-bin/webhook/send",
    limit=4_096,
    # Markdown (WeCom knows headings, bold, links, code and quotes), since the limit of plain text is half as large.
    body=lambda text: {"msgtype": "markdown", "markdown": {"content": text}},
    codes=("errcode",),
    explanations=("errmsg",),
    busy=frozenset({-1}),  # as above
)
CHANNELS = (FEISHU, DINGTALK, WECOM)


@dataclass(frozen=True, slots=True)
class Hook:
    """An incoming webhook: its URL, and the secret to sign with. Neither may appear in a message or an error."""

    url: str
    secret: str | None

    @property
    def channel(self) -> Channel:
        """That of its host, on loopback of its path; else one for Slack, Mattermost and others that take a `text`."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "").lower()
        for channel in CHANNELS:
            if host in channel.hosts or (is_loopback(host) and parts.path.startswith(channel.path)):
                return channel
        # Mattermost's limit is 16,383 characters.
        return Channel(title=host, hosts=(host,), path="/", limit=16_000, body=lambda text: {"text": text})

    def request(self, text: str, fields: Mapping[str, object], now: float) -> tuple[str, bytes]:
        """The URL and the body, signed anew. A channel that is not in `CHANNELS` gets `fields` as well."""
        channel = self.channel
        body = channel.body(text)
        if not channel.codes:
            body |= {name: value for name, value in fields.items() if name not in body}
        url = self.url
        if self.secret is not None and channel.sign is not None:
            url = channel.sign(url, body, self.secret, now)
        return url, as_json(body)

    def without_secrets(self, answer: str) -> str:
        """An excerpt of the channel's answer in which the URL, the keys in it and the secret are masked."""
        parts = urlsplit(self.url)
        keys = [value for _, value in parse_qsl(parts.query)]
        keys += [parts.path, parts.query, parts.path.rpartition("/")[2], self.secret or ""]
        return excerpt(masked(answer, self.url, *(key for key in keys if len(key) > 1)))


@dataclass(frozen=True, slots=True)
class SendFailure:
    reason: Message
    is_passing: bool
    """Whether the same request may succeed soon."""


def judge(hook: Hook, status: int, content: bytes) -> SendFailure | None:
    """Judges an answer. Returns `None` if the message was accepted."""
    channel = hook.channel
    answer = _object(content) if channel.codes else {}
    code = next((value for name in channel.codes if type(value := answer.get(name)) is int), None)
    is_success = 200 <= status <= 299
    is_passing = status == 429 or status >= 500 or code in channel.busy
    if is_success and (code == 0 or not channel.codes):
        return None
    if is_success and code is None:
        return SendFailure(message("the answer is not from {channel}", channel=channel.title), is_passing=False)
    if status in {401, 403, 404, 410}:
        text = template(
            "{channel} refused it (HTTP {status}): the address is not valid any more; an owner gives it anew"
        )
        return SendFailure(message(text, channel=channel.title, status=str(status)), is_passing)
    if not code:
        return SendFailure(
            message("{channel} answered HTTP {status}", channel=channel.title, status=str(status)), is_passing
        )
    said = next((value for name in channel.explanations if isinstance(value := answer.get(name), str)), "")
    values = {"channel": channel.title, "code": str(code), "answer": hook.without_secrets(said)}
    return SendFailure(message("{channel} refused it with code {code}: {answer}", **values), is_passing)


def as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _object(content: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
