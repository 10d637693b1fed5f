"""What is told of a night, in the message and on both pages, is so: each is played to the text that its reader gets."""

import json
import re
from collections.abc import Mapping
from signal import SIGTERM

import pytest
import trio

from job.engines.answers import TokenError
from job.engines.calls import EngineName
from job.engines.failures import Cause
from job.engines.id_tokens import IdTokens
from job.text.messages import message as said_that
from tests.simulators import do, when
from tests.simulators.service import Do, Fault, Visit
from tests.simulators.when import When
from tests.simulators.wire import Reply
from tests.support.parsed import Parsed
from tests.support.scene import CLOUD, DAY, OTHER, Scene


def told(scene: Scene) -> list[str]:
    """The latest message."""
    return scene.world.chat.texts[-1].splitlines()


def shown(scene: Scene, page: str = f"{DAY}/report.html") -> str:
    """What a page says."""
    return "\n".join(Parsed(scene.world.recorded()[page].decode()).lines)


# --- what is told of a night that is done ---


async def test_variables_that_are_read_no_more_stop_no_night_and_are_in_no_message(scene: Scene) -> None:
    """A project that was deployed earlier may still have them. The log alone says that they change nothing."""
    gone = {f"{name}_ENGINE_ATTEMPTS": "99" for name in ("FINANCIAL", "NEWS", "TRADING")}
    scene.world.news.script.append(Fault(when.nth(1), do.status(503)))
    outcome = await scene.start(0, **scene.world.chat.env(), NEWS_ENGINE_PATIENCE="0", **gone)
    notices = [line["message"] for line in outcome.events("config.noticed")]
    assert notices[:3] == [f"{name}: is not a variable of the job, which ignores it" for name in gone]
    assert told(scene)[0].startswith("✓ ")
    for text in ("\n".join(told(scene)), shown(scene), shown(scene, "index.html")):
        assert "_ENGINE_" not in text


# --- what it has cost, and what a start costs at most ---


async def test_what_may_have_been_charged_is_told_of_a_night_that_somebody_cancelled(scene: Scene) -> None:
    """One card was at work, and another had been answered with 504; the other three had not been asked for."""
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards"}
    scene.world.qa.script += [Fault(when.nth(1), do.status(504)), Fault(when.always, do.hang())]
    job = await scene.begin(**env)
    await trio.sleep(60)
    job.send_signal(SIGTERM)
    await scene.end(job, 143)
    message = told(scene)
    assert message[1] == "Interrupted by SIGTERM: no card was made."
    assert "2 tries may have been charged; 0 made a card." in message
    said = (
        "Once what failed is over or put right, this makes what is missing (5 cards; until 11-25 "
        "22:20); at most 15 tries are charged:"
    )
    assert said in message
    report = scene.stored(f"{DAY}/report.json")
    assert (report["perhaps_charged"], report["charged_tries"]) == (2, 2)
    assert said.removesuffix(":") in shown(scene, "index.html")
    assert said.removesuffix(":") in shown(scene, f"{DAY}/report.html")


BAD, FAILED = when.both(when.ticker("AAPL"), when.card("news_card")), {"status": "failed", "error": "no credit"}
OUT, LOST, HANGS = ((when.always, act) for act in (do.status(503), do.status(502), do.hang()))
KINDS: Mapping[str, tuple[EngineName, int, tuple[When, Do], tuple[When, Do], Mapping[str, str]]] = {
    "one bad card": ("qa", 3, (BAD, do.status(500)), (BAD, do.status(500)), {}),
    "one that says failed, and then all": ("qa", 3, (BAD, do.body(FAILED)), (when.always, do.body(FAILED)), {}),
    "free at night, charged in the morning": ("qa", 3, OUT, LOST, {}),
    "charged at night, free in the morning": ("qa", 3, LOST, OUT, {}),
    "refused at night, no answer in the morning": ("qa", 3, (when.always, do.status(422)), HANGS, {}),
    "a data engine at night, QA in the morning": ("news", 1, (when.always, do.status(422)), LOST, {}),
    "a deadline in the morning": ("qa", 3, OUT, LOST, {"RUN_DEADLINE_SECONDS": "300"}),
    "killed in the morning": ("qa", 3, OUT, HANGS, {"killed": "yes"}),
}
"""Which engine fails at night, and the exit code; what happens then, and what to QA in the morning; and how it ends."""


@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_attempt_is_charged_is_at_most_what_was_said_whatever_fails_then(scene: Scene, kind: str) -> None:
    """Each that follows; one that is killed is begun again."""
    engine, code, at_night, then, how = KINDS[kind]
    env, qa = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards"}, scene.world.qa
    scene.world.engines[engine].script.append(Fault(*at_night))
    await scene.start(code, **env, **CLOUD)
    (most,) = (int(found) for found in re.findall(r"; at most (\d+) tries are charged:", "\n".join(told(scene))))
    assert most == 3 * scene.stored(f"{DAY}/report.json")["engines"]["qa"]["not_attempted"] or engine == "qa"
    assert f"; at most {most} tries are charged:" in shown(scene)
    asked = [one for one in qa.requests if one.status not in {503, 422}]
    lost = [one for one in asked if at_night[0](one)]
    cost = f"{len(asked)} tries may have been charged; {len(asked) - len(lost)} made a card."
    assert (cost in told(scene)) is bool(lost), "as the engine counts"
    scene.world.engines[engine].script.clear()
    qa.script.append(Fault(*then))
    paid = []
    for attempt in ("0", "1"):
        before = len(qa.requests)
        job = await scene.begin(**env, **OTHER | {**how, "CLOUD_RUN_TASK_ATTEMPT": attempt})
        if "killed" in how:
            await scene.cards_in_flight(before + 2)
            await scene.killed(job)
        else:
            await job.outcome()
        paid.append(sum(one.status not in {503, 422} for one in qa.requests[before:]))
    assert max(paid) <= most
    assert then is not LOST or how or paid[0] == most, "nor is more said than can be"


# --- the engine's own words ---


async def test_while_the_token_server_does_not_answer_that_is_said_once(scene: Scene) -> None:
    async def silent(_: IdTokens, audience: str, _rejected: str | None = None) -> str:
        await trio.sleep(3)
        raise TokenError(said_that("no token for the engines"), Cause.TOKEN_SERVER)

    with pytest.MonkeyPatch.context() as patch:  # undone before the scene's own is
        patch.setattr(IdTokens, "get", silent)
        await scene.start(1, **scene.world.chat.env(), CLOUD_RUN_JOB="cards")
    failed = "✗ Financial engine, Trading engine, News engine: 7 targets failed: AAPL (3), BRK.B (3), 美联储."
    at = told(scene).index(failed)
    assert told(scene)[at + 1] == "No token for the engines."
    assert shown(scene).count("No token for the engines.") == 1


EVIL = "bad\n✗ cards, 2026-11-24\nOnce that is over:\ngcloud run jobs execute cards --args=run,--again=all,--yes"
ANSWERS = {
    "HTML": (b"<html><title>502</title><script>x</script><body><h1>Bad Gateway</h1></body></html>", "502 Bad Gateway"),
    "Chinese": ('{"detail": "余额不足"}'.encode(), "余额不足"),
    "a megabyte": (b'{"detail": "' + b"x" * 1_000_000 + b'"}', '{"detail": "' + "x" * 187 + "…"),
    "ANSI": (b"\x1b[31mred\x1b[0m \x1b]0;owned\x07 now", "red now"),
    "direction": ('{"error": "abc\u202edef"}'.encode(), "abc def"),
    "a message": (json.dumps({"error": EVIL}).encode(), " ".join(EVIL.split())),
    "a list": (b'{"detail": [{"loc": ["query"], "msg": "field required"}, {"msg": "other"}]}', "query: field required"),
    "an object": (b'{"error": {"code": 429, "message": "quota exceeded until 2026-11-25T07:00:00Z"}}', None),
    "a token": (b'{"message": "Bearer ya29.abcdefghijklmnop was sent"}', "Bearer [token] was sent"),
    "empty": (b"", ""),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_whatever_an_engine_answers_is_quoted_in_one_line_and_hides_no_command(scene: Scene, what: str) -> None:
    body, words = ANSWERS[what]

    async def answer(visit: Visit) -> None:
        await visit.exchange.send(Reply(500, body, "text/plain; charset=utf-8"))

    scene.world.qa.script.append(Fault(when.card("news_card"), answer))
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards", "RUN_TIME_ZONE": "Asia/Shanghai"}
    await scene.start(3, **env)
    told_words = "quota exceeded until 2026-11-25 15:00 UTC+08:00" if words is None else words
    (line,) = (line for line in told(scene) if line.startswith("Last answer: "))
    expected = f"Last answer: HTTP 500{': ' if told_words else ''}{told_words}"
    assert line == expected.replace("<", "＜").replace(">", "＞")
    assert told(scene)[-3] == "gcloud run jobs execute cards", "one command, after its sentence"
    finished = scene.stored(f"{DAY}/report.json")
    (kept,) = finished["answers"]
    assert kept.startswith("qa: HTTP 500")
    assert len(kept) <= len("qa: HTTP 500: ") + 200
