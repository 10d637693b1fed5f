"""A card is made if Python's own client reads a success in what was sent; all else is a failure that shows no token."""

import http.client
import io
import json
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import trio

from job.engines.answers import TransportError, judge
from job.engines.calls import card
from job.engines.http import HttpConnection, Network
from job.engines.tls import tls_context
from tests.simulators import when
from tests.simulators.service import Fault, Service, Visit
from tests.simulators.wire import Reply

CALL = card("A", "news_card", "2026-11-24", ())
TOKEN = "the-token-that-every-engine-has-seen"
SUCCESS = b'{"status": "success"}'
BODIES = [*[SUCCESS] * 9, b"", b"null", b"[]", b"\xef\xbb\xbf" + SUCCESS, f'{{"status": "{TOKEN}"}}'.encode()]
STATUSES = [*[b"200 OK"] * 12, b"204 No", b"206 Part", b"100 Continue", b"302 Found", b"503 Busy", b"999", b"2000"]
HEADERS = [b"content-encoding: gzip", b"retry-after: \xb2", b"connection: close", b" folded", b"no colon", b"x: a\0"]
FRAMES = ["length", "length", "chunked", "chunked", "close", "both", "short", "long", "odd"]


def mutated(rng: random.Random) -> bytes:
    """An answer that is odd in some way, or in none."""
    body, frame = rng.choice(BODIES), rng.choice(FRAMES)
    length = len(body) + {"short": -1, "long": 1}.get(frame, 0)
    size = rng.choice([*[b"%x"] * 9, b"0%X", b"%x;a=b", b"+%x", b"-%x", b"0x%x"]) % len(body)
    headers = rng.choices(HEADERS, k=rng.choice([0, 0, 0, 0, 1]))
    if frame not in {"chunked", "close"}:
        headers.append((b"content-length: +%d," if frame == "odd" else b"content-length: %d") % length)
    if frame in {"chunked", "both"}:
        headers.append(b"transfer-encoding: chunked")
        body = size + b"\r\n" + body + rng.choice([*[b"\r\n0\r\n\r\n"] * 6, b"\r\n", b"0\r\n\r\n"])
    sent = b"\r\n".join([b"HTTP/1.1 " + rng.choice(STATUSES), *headers, b"", body])
    at = rng.randrange(len(sent))
    match rng.choice(["whole", "whole", "whole", "cut", "byte", "twice"]):
        case "cut":
            return sent[:at]
        case "byte":
            return sent[:at] + bytes([rng.randrange(256)]) + sent[at + 1 :]
        case "twice":
            return sent[:at] + sent[at - 9 :]
    return sent


def says_success(data: bytes) -> bool:
    sent: Any = SimpleNamespace(makefile=lambda _mode: io.BytesIO(data))
    response = http.client.HTTPResponse(sent, method="POST")
    try:
        response.begin()
        answer = json.loads(response.read().decode("utf-8-sig"))
    except (http.client.HTTPException, ValueError):
        return False
    return 200 <= response.status <= 299 and isinstance(answer, dict) and answer.get("status") == "success"


async def test_only_a_whole_answer_that_says_success_makes_a_card(nursery: trio.Nursery) -> None:
    rng, found, data = random.Random(1), Counter[str](), b""

    async def answer(visit: Visit) -> None:
        await visit.exchange.send_raw(data)

    service = Service("engine", lambda _seen: Reply(200))
    service.script.append(Fault(when.always, answer))
    await service.start(nursery)
    connection = HttpConnection(Network(tls_context(None)), service.url)
    for _ in range(200):
        data = mutated(rng)
        try:
            response = await connection.request("POST", CALL.path, {"Authorization": f"Bearer {TOKEN}"}, None)
        except TransportError as error:
            kind, said = "no answer", str(error)
        else:
            failure = judge(CALL, response, TOKEN).failure
            kind, said = ("failed", str(failure.reason)) if failure else ("made", "")
        found[kind] += 1
        assert TOKEN not in said
        assert kind != "made" or says_success(data), data
        await connection.aclose()
    assert min(found.values()) > 20, found
    await service.stop()
