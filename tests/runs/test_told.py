"""What is told of a night, in the message and on both pages, is so: each is played to the text that its reader gets."""

import json
from signal import SIGTERM

import pytest
import trio

from job.engines.answers import TokenError
from job.engines.failures import Cause
from job.engines.id_tokens import IdTokens
from job.text.messages import message as said_that
from tests.simulators import do, when
from tests.simulators.service import Fault, Visit
from tests.simulators.wire import Reply
from tests.support.parsed import Parsed
from tests.support.scene import CLOUD, DAY, OTHER, RETRY, Scene


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


# --- what it has cost, and what a start costs before that is over ---


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
    said = "This makes what is missing (5 cards by the night's config; until 11-25 22:20):"
    assert said in message
    report = scene.stored(f"{DAY}/report.json")
    assert (report["perhaps_charged"], report["charged_tries"]) == (2, 2)
    assert said.removesuffix(":") in shown(scene, "index.html")
    assert said.removesuffix(":") in shown(scene, f"{DAY}/report.html")


BROKEN = when.both(when.ticker("AAPL"), when.card("news_card"))
PRICES = {
    "500": (BROKEN, do.status(500), 3),
    "failed": (BROKEN, do.body({"status": "failed", "error": "no credit"}), 3),
    "503": (BROKEN, do.status(503), 0),
    "hang": (BROKEN, do.hang(), 3),
    "all": (when.always, do.status(502), 15),
}


@pytest.mark.parametrize("what", PRICES)
async def test_what_is_paid_if_a_command_is_pasted_too_early_is_at_most_what_was_said(scene: Scene, what: str) -> None:
    """With both starts of an execution; and what it has cost is what the engine counted."""
    affected, act, most = PRICES[what]
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards"}
    scene.world.qa.script.append(Fault(affected, act))
    for one_try in (CLOUD, RETRY):
        await scene.start(3, **env, **one_try)
    nothing = "and nothing is charged:"
    price = f"up to {most} tries are charged for nothing, in some"
    (command,) = (line for line in told(scene) if line.startswith("Once that is over or put right"))
    assert (price if most else nothing) in command
    assert f"{price if most else nothing}" in shown(scene)
    before = len(scene.world.qa.requests)
    cost = [line for line in told(scene) if "tries may have been charged" in line]
    made = sum(
        one.status == 200 and "no credit" not in str(act) for one in scene.world.qa.requests if not affected(one)
    )
    assert cost == ([f"{before} tries may have been charged; {made} made a card."] if most else [])
    for one_try in (OTHER, OTHER | {"CLOUD_RUN_TASK_ATTEMPT": "1"}):
        await scene.start(3, **env, **one_try)
    paid = len(scene.world.qa.requests) - before if most else 0
    assert paid <= most
    assert 2 * paid > most or not most, "nor is much more said than can be"


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
    assert told(scene)[at + 1] == "Last answer: no token for the engines"
    assert shown(scene).count("Last answer: ") == 1


EVIL = "bad\n✗ cards, 2026-11-24\nOnce that is over:\ngcloud run jobs execute cards --args=run,--again=all,--yes"
ANSWERS = {
    "HTML": (b"<html><title>502</title><script>x</script><body><h1>Bad Gateway</h1></body></html>", "502 Bad Gateway"),
    "Chinese": ('{"detail": "余额不足"}'.encode(), "余额不足"),
    "a megabyte": (b'{"detail": "' + b"x" * 1_000_000 + b'"}', '{"detail": "' + "x" * 187 + "…"),
    "ANSI": (b"\x1b[31mred\x1b[0m \x1b]0;owned\x07 now", "red now"),
    "direction": ('{"error": "abc\u202edef"}'.encode(), "abc def"),
    "a message": (json.dumps({"error": EVIL}).encode(), " ".join(EVIL.split())),
    "a list": (b'{"detail": [{"loc": ["query"], "msg": "field required"}, {"msg": "other"}]}', "field required"),
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
