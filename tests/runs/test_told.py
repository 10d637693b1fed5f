"""What is told of a night, in the message and on both pages, is so: each is played to the text that its reader gets."""

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
from tests.support.scene import CLOUD, DAY, NEXT_DAY, RETRY, TOPIC, Scene


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


async def test_the_time_in_an_answer_is_shown_as_the_team_reads_it(scene: Scene) -> None:
    answer = {"status": "failed", "error": "no quota until 2026-11-25T06:32:10.5-08:00"}
    scene.world.qa.script.append(Fault(when.ticker("AAPL"), do.body(answer)))
    await scene.start(3, RUN_TIME_ZONE="Asia/Shanghai")
    assert "no quota until 2026-11-25 22:32 UTC+08:00" in shown(scene)


# --- what may have been charged ---


async def test_what_may_have_been_charged_is_told_of_a_night_that_somebody_cancelled(scene: Scene) -> None:
    """Two cards were at work, and a third had been answered with 504; the other two had not been asked for."""
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards"}
    scene.world.qa.script += [Fault(when.nth(1), do.status(504)), Fault(when.always, do.hang())]
    job = await scene.begin(**env)
    await trio.sleep(60)
    job.send_signal(SIGTERM)
    await scene.end(job, 143)
    message = told(scene)
    assert message[1] == "Interrupted by SIGTERM: no card was made."
    said = "This makes only what is missing (5 cards; 3 tries may have been charged; until 11-25 22:20):"
    assert said in message
    report = scene.stored(f"{DAY}/report.json")
    assert (report["perhaps_charged"], report["charged_tries"]) == (3, 3)
    assert said.removesuffix(":") in shown(scene, "index.html")
    assert said.removesuffix(":") in shown(scene, f"{DAY}/report.html")


async def test_what_failed_and_the_command_say_the_same_of_what_may_have_been_charged(scene: Scene) -> None:
    """Of a night and its retry: 500, and an answer that says failed."""
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards", "TASK_MAX_RETRIES": "1"}
    scene.world.qa.script += [
        Fault(when.both(when.ticker("AAPL"), when.attempt(2)), do.status(503)),  # which costs nothing
        Fault(when.ticker("AAPL"), do.status(500)),
        Fault(when.ticker("美联储"), do.body({"status": "failed"})),
    ]
    for one_try in (CLOUD, RETRY):
        await scene.start(3, **env, **one_try)
    message = told(scene)
    tries = scene.cards()
    broken, failed = tries["AAPL/news_card"] + tries["AAPL/price_card"] - 2, tries["美联储/news_card"]
    charged = "{} tries may have been charged"
    assert message[2].startswith(f"✗ QA engine: 2 cards failed; {charged.format(broken)}: AAPL (2). ")
    assert message[3].startswith(f"✗ QA engine: 1 card failed; {charged.format(failed)}: 美联储/news_card. ")
    for text in ("\n".join(message), shown(scene, "index.html"), shown(scene, f"{DAY}/report.html")):
        assert f"(3 cards; {charged.format(broken + failed)}; until 11-25 22:20)" in text
    assert scene.stored(f"{DAY}/report.json")["charged_tries"] == broken + failed


# --- whether a start helps ---


REFUSED = "The engine refuses these calls until you correct them. Then this makes only what is missing"
AGAIN = "Cloud Run starts it again by itself"


@pytest.mark.parametrize("engine", ["qa", "news"])
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_nobody_is_told_to_wait_for_a_retry_if_all_that_is_left_was_refused(
    scene: Scene, engine: str, status: int
) -> None:
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards", "TASK_MAX_RETRIES": "1"}
    scene.world.engines[engine].script.append(Fault(when.ticker("AAPL"), do.status(status)))
    for one_try in (CLOUD, RETRY):
        await scene.start(3 if engine == "qa" else 1, **env, **one_try)
        for text in ("\n".join(told(scene)), shown(scene), shown(scene, "index.html")):
            assert AGAIN not in text
            assert REFUSED in text
    assert scene.stored(f"{DAY}/report.json")["refused"]


async def test_a_retry_that_makes_a_card_is_waited_for_though_others_were_refused(scene: Scene) -> None:
    env = {**scene.world.chat.env(), "CLOUD_RUN_JOB": "cards", "TASK_MAX_RETRIES": "1"}
    scene.world.qa.script += [
        Fault(when.ticker("AAPL"), do.status(422)),
        Fault(when.ticker("美联储"), do.status(500)),
    ]
    await scene.start(3, **env, **CLOUD)
    for text in ("\n".join(told(scene)), shown(scene), shown(scene, "index.html")):
        assert AGAIN in text
        assert REFUSED not in text


# --- what to do about what failed ---


async def test_while_the_token_server_does_not_answer_nothing_has_to_be_done_said_once(scene: Scene) -> None:
    async def silent(_: IdTokens, audience: str, _rejected: str | None = None) -> str:
        await trio.sleep(3)
        raise TokenError(said_that("no token for {audience}", audience=audience), Cause.TOKEN_SERVER)

    with pytest.MonkeyPatch.context() as patch:  # undone before the scene's own is
        patch.setattr(IdTokens, "get", silent)
        await scene.start(1, **scene.world.chat.env(), CLOUD_RUN_JOB="cards")
    failed = [line for line in told(scene) if line.startswith("✗ ")][1:]
    engines = "Financial engine, Trading engine, News engine"
    nothing = "Nothing has to be corrected; if it lasts, look at Google's status page."
    assert failed == [f"✗ {engines}: every call failed. Google's token server did not answer. {nothing}"]
    assert shown(scene).count("Google's token server did not answer.") == 1


@pytest.mark.parametrize(
    ("target", "objects"), [("AAPL", "ticker_list.json or card_targets.json"), ("美联储", "card_targets.json")]
)
async def test_only_the_objects_are_named_that_can_hold_the_fault(scene: Scene, target: str, objects: str) -> None:
    scene.world.news.script.append(Fault(when.ticker(target, str(TOPIC["topic_key"])), do.status(422)))
    await scene.start(1, **scene.world.chat.env())
    assert f"Correct the target in {objects}." in told(scene)[2]
    assert f"Correct the target in {objects}." in shown(scene)


async def test_of_cards_that_are_refused_a_model_that_has_changed_is_corrected_first(scene: Scene) -> None:
    env = scene.world.chat.env()
    first = "The model in llm_config.json has changed: correct it first"
    await scene.start(0, **env)
    scene.world.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    for day in (NEXT_DAY, "2026-11-26"):
        await scene.until(day, "22:30:00")
        await scene.world.configure("llm_config.json", {"default": {"backend": "local", "model_name": "gtp-5"}})
        await scene.world.configure("ticker_list.json", ["AAPL", "BRK.B", day[-1] + ".HK"])
        await scene.start(3, **env)
        is_new = day == NEXT_DAY
        assert (first in told(scene)[2]) is is_new
        assert (first in shown(scene, f"{day}/report.html")) is is_new
        assert ("or the model in llm_config.json." in told(scene)[2]) is not is_new


async def test_a_message_says_where_the_last_answer_is_and_the_page_that_has_it_does_not(scene: Scene) -> None:
    """Nor does it promise a reason that the engine did not give."""

    async def bare(visit: Visit) -> None:
        await visit.exchange.send(Reply(500, b"Internal Server Error", "text/plain; charset=utf-8"))

    scene.world.trading.script.append(Fault(when.ticker("AAPL"), bare))
    await scene.start(1, **scene.world.chat.env())
    assert "The engine could not do this ticker: its last answer is on the day's page. If" in told(scene)[2]
    assert "day's page" not in shown(scene)
    assert (
        "HTTP 500, without a reason (tried for 10 min)\nWhat to do: The engine could not do this ticker. If"
        in shown(scene)
    )
