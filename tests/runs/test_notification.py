"""When a run is over, a message says how it ended. Whatever becomes of the message, the run ends as it would have."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from functools import partial
from signal import SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING

import pytest
import trio

from tests.simulators import broken, do, when
from tests.simulators.chat import PLACES
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.altered import EAGER_LEASE, altered
from tests.support.places import objects
from tests.support.runs import AT_ONCE, QUICK, at_once, ended, run, until

if TYPE_CHECKING:
    from tests.simulators.job import Job

CONFIG: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card", "risk_card"]}
CLOUD = {
    "CLOUD_RUN_JOB": "cards",
    "CLOUD_RUN_EXECUTION": "cards-x7k2p",
    "GOOGLE_CLOUD_PROJECT": "p",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "RUN_DATE": "2026-11-24",
    "TASK_MAX_RETRIES": "1",
}
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
RESUME = f"{EXECUTE} --args=resume,cards-x7k2p"
NOT_ACCEPTED = "The engine does not accept the request. Correct the target and its parameters in the config."
TIME_OF_ALL = 10.0


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as world:
        yield world


def env(world: World, channel: str = "feishu", **more: str) -> dict[str, str]:
    return {"RUNS_URI": world.runs_uri, **CLOUD, **world.chat.env(channel, **more)}


@pytest.mark.slow
@pytest.mark.parametrize("channel", PLACES)
async def test_a_success_is_reported_once(world: World, channel: str) -> None:
    world.chat.secret = "SEC0123456789" if channel in {"feishu", "dingtalk"} else None
    secret = {"NOTIFY_SECRET": world.chat.secret} if world.chat.secret else {}
    outcome = await run(world, 0, env(world, channel, **secret))
    (text,) = world.chat.texts
    assert text.splitlines() == [
        "✓ cards, 2026-11-24",
        "Everything was done: 4 of 4 cards are there.",
        f"Page: {world.runs_uri}/cards-x7k2p/report.html",
        "Run cards-x7k2p, exit code 0",
    ]
    assert outcome.lines[-1] is outcome.finished
    if channel == "slack":
        body = world.chat.service.requests[0].json
        shared = {name: body[name] for name in ("run", "outcome", "exit_code", "cards", "engines")}
        assert shared == {name: outcome.finished[name] for name in shared}
        assert "failures" not in body


@pytest.mark.slow
@pytest.mark.parametrize("channel", PLACES)
async def test_a_failed_run_and_the_attempt_that_resumes_it_are_reported(world: World, channel: str) -> None:
    """The text names what is missing and the way on, in words that the engine cannot choose."""
    world.qa.script.append(Fault(when.card("risk_card"), do.status(422, {"detail": "what the engine says"})))
    await run(world, 3, env(world, channel), QA_ENGINE_CONCURRENCY="1")
    world.qa.script.clear()
    await run(world, 0, env(world, channel, CLOUD_RUN_TASK_ATTEMPT="1"))
    failed, resumed = world.chat.texts
    assert failed.splitlines() == [
        "✗ cards, 2026-11-24",
        "Cards are missing: 2 of 4 cards are there, 2 failed.",
        f"• QA engine: 2 cards failed: risk_card: AAPL, MSFT. {NOT_ACCEPTED}",
        "Cloud Run starts it again by itself: nothing has to be done before its next message.",
        "Only if none comes, this requests only what is missing:",
        f"{RESUME},--new-config",
        f"Page: {world.runs_uri}/cards-x7k2p/report.html",
        "Run cards-x7k2p, exit code 3",
    ]
    assert resumed.splitlines() == [
        "✓ cards, 2026-11-24",
        "Everything was done: 4 of 4 cards are there.",
        "2 of the cards are from earlier attempts at this run.",
        f"Page: {world.runs_uri}/cards-x7k2p/report.html",
        "Run cards-x7k2p, exit code 0",
    ]


@pytest.mark.slow
async def test_a_data_engine_that_fails_is_reported(world: World) -> None:
    await world.configure("engine_control.json", {"run_financials_engine": False, "run_trading_engine": False})
    world.news.script.append(Fault(when.ticker("MSFT"), do.echo_token(400)))
    await run(world, 1, env(world, CLOUD_RUN_TASK_ATTEMPT="1", NEWS_ENGINE_CONCURRENCY="1"))
    (text,) = world.chat.texts
    assert text.splitlines()[:5] == [
        "✗ cards, 2026-11-24",
        "No card was requested, as a data engine failed; 0 of 4 cards are there.",
        f"• News engine: 1 target failed: MSFT. {NOT_ACCEPTED}",
        "• 4 cards were not attempted.",
        "Cloud Run does not start it again.",
    ]
    assert "eyJ" not in text


@pytest.mark.slow
async def test_a_run_that_is_not_recorded_is_reported(world: World) -> None:
    world.qa.script.append(Fault(when.card("risk_card"), do.status(404)))
    await run(world, 3, world.chat.env("feishu"), RUN_DATE="2026-11-24")
    lines = world.chat.texts[0].splitlines()
    assert lines[0] == "✗ batch-orchestrator, 2026-11-24"
    assert lines[3].startswith("2 cards are missing. Only a recorded run lists its missing cards")
    assert lines[5] == "RUN_DATE=2026-11-24 python -m job run"


@pytest.mark.slow
async def test_a_faulty_config_is_reported(world: World) -> None:
    await world.configure("ticker_list.json", ["a/1"])
    await run(world, 2, env(world))
    (text,) = world.chat.texts
    lines = text.splitlines()
    assert lines[1] == "The configuration has 1 fault: nothing was called."
    assert lines[2].startswith('• ticker_list.json: [0] ("a/1"): cannot be an id;')
    assert lines[3:-1] == [
        "Cloud Run starts it again by itself, which fails too until that is corrected.",
        "Once that is corrected, this starts it again:",
        f"{EXECUTE} --update-env-vars=RUN_DATE=2026-11-24",
        f"Page: {world.runs_uri}/cards-x7k2p/report.html",
    ]


@pytest.mark.slow
async def test_a_run_that_may_not_begin_is_reported_and_a_start_that_follows_sends_nothing(world: World) -> None:
    gate = trio.Event()
    world.news.script.append(Fault(when.always, do.held(gate)))
    given = {**env(world), **altered(world.directory, EAGER_LEASE)}
    first = await world.start_job(env=given)
    await until(lambda: world.news.requests)
    second = await world.start_job(env={**given, "CLOUD_RUN_EXECUTION": "cards-second"})
    await until(lambda: any("following it" in line.get("message", "") for line in second.lines))
    other = await world.run_job(env={**given, "CLOUD_RUN_EXECUTION": "cards-other", "RUN_DATE": "2026-11-25"})
    assert (other.exit_code, other.finished["outcome"]) == (75, "busy")
    (text,) = world.chat.texts
    assert text.splitlines()[1] == other.finished["message"]
    assert "\nOnly if none comes, this starts it again:\ngcloud run jobs execute cards " in text
    gate.set()
    await ended(world, first, 0)
    await ended(world, second, 0)
    assert len(world.chat.texts) == 2


@pytest.mark.slow
async def test_a_lease_that_storage_refuses_is_reported(world: World) -> None:
    await trio.Path(world.runs_uri, "cards-x7k2p").write_bytes(b"a file, so that nothing can be written under its name")
    await run(world, 75, env(world))
    assert world.chat.texts[0].splitlines()[1] == ("Storage failed. Nothing was called.")


BUG = """
from job.execution.phases import Phases
async def generate(self):
    raise KeyError("a bug")
Phases.generate = generate
"""


@pytest.mark.slow
async def test_a_bug_is_reported(world: World) -> None:
    await run(world, 70, env(world) | altered(world.directory, BUG))
    lines = world.chat.texts[0].splitlines()
    assert lines[1:4] == [
        "The job has a bug: its traceback is on standard error.",
        "0 of 4 cards are there.",
        "• 4 cards were not attempted.",
    ]
    assert RESUME in lines


NOT_TAKEN = {
    "hangs": (do.hang(), "there was no answer within 9.5 s"),
    "refuses": (None, "could not connect"),
    "code": (do.body({"code": 19024, "msg": "Key Words Not Found"}), "Feishu refused it with code 19024"),
    "error": (do.status(400), "Feishu answered HTTP 400"),
    "redirect": (do.redirect("https://open.feishu.cn/elsewhere"), "Feishu answered HTTP 302"),
    "html": (do.html(), "the answer is not from Feishu"),
    "reset": (broken.reset(), "the connection ended before the answer did"),
    "endless": (broken.endless_body(0.01), "there was no answer within 9.5 s"),
}


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("how", NOT_TAKEN)
async def test_a_message_that_is_not_accepted_does_not_change_the_outcome(world: World, how: str) -> None:
    """Record, lease and last line are there before it is sent; the process ends within its time, as it would have."""
    act, reason = NOT_TAKEN[how]
    if act is None:
        await world.chat.service.stop()
    else:
        world.chat.service.script.append(Fault(when.always, act))
    world.qa.script.append(Fault(when.card("risk_card"), do.status(422)))
    job = await world.start_job(env=env(world))
    await job.seen("run.finished")
    last = time.monotonic()
    assert "_lease.json" not in await objects(world)
    assert json.loads((await objects(world))["cards-x7k2p/report.json"])["outcome"] == "cards_missing"
    outcome, gone = await ended(world, job, 3)
    assert gone - last < TIME_OF_ALL + at_once(job)
    (failed,) = outcome.events("notification.failed")
    assert outcome.lines[-1] is failed
    assert failed["severity"] == "ERROR"
    assert failed["message"].startswith(f"the message was not sent: {reason}")
    if how in {"hangs", "refuses", "endless"}:
        assert gone - last > 9.0, "it is tried for as long as there is time"
    else:
        assert len(world.chat.service.requests) <= 1


@pytest.mark.alone
@pytest.mark.slow
async def test_a_server_that_never_answers_the_tls_handshake_is_given_up_in_time(
    world: World, nursery: trio.Nursery
) -> None:
    """It takes connections, and TLS gets no answer."""

    async def silent(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    (listener,) = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
    port = listener.socket.getsockname()[1]
    job = await world.start_job(env=env(world) | {"NOTIFY_URL": f"https://127.0.0.1:{port}/open-apis/bot/v2/hook/x"})
    await job.seen("run.finished")
    last = time.monotonic()
    outcome, gone = await ended(world, job, 0)
    assert gone - last < TIME_OF_ALL + at_once(job)
    assert outcome.lines[-1]["message"] == "the message was not sent: could not connect"
    nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_transient_failure_is_retried(world: World) -> None:
    busy = do.body({"code": 11232, "msg": "frequency limited"})
    world.chat.service.script.append(Fault(when.first(3), do.in_turn(busy, do.status(429), do.status(500))))
    await run(world, 0, env(world))
    assert len(world.chat.service.requests) == 4
    assert world.chat.texts[-1].startswith("✓ cards")


@pytest.mark.slow
async def test_a_malformed_url_is_a_notice_and_a_message_that_was_not_sent(world: World) -> None:
    outcome = await run(world, 0, env(world) | {"NOTIFY_URL": "http://example.com/secret-of-the-feishu-bot"})
    fault = (
        "NOTIFY_URL: is not an https URL with a valid host (http goes to loopback only); "
        "set it to the https URL of an incoming webhook"
    )
    assert [line["message"] for line in outcome.events("config.noticed")] == [fault]
    assert outcome.lines[-1]["message"] == f"the message was not sent: {fault}"


async def hanging(world: World) -> Job:
    """A run that has ended except for a message that is never accepted."""
    world.chat.service.script.append(Fault(when.always, do.hang()))
    job = await world.start_job(env=env(world))
    await until(lambda: world.chat.service.requests)
    return job


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("signal", [SIGTERM, SIGINT])
async def test_a_signal_ends_the_sending_and_changes_no_outcome(world: World, signal: Signals) -> None:
    job = await hanging(world)
    sent = time.monotonic()
    job.send_signal(signal)
    outcome, gone = await ended(world, job, 0)
    assert gone - sent < at_once(job)
    assert outcome.lines[-1]["message"] == "the message was not sent: a signal ended the sending"


@pytest.mark.alone
@pytest.mark.slow
async def test_after_sigterm_the_last_line_and_the_message_share_one_second(world: World) -> None:
    world.chat.service.script.append(Fault(when.always, do.hang()))
    world.news.script.append(Fault(when.always, do.hang()))
    job = await world.start_job(env=env(world))
    await until(lambda: world.news.requests)
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    await job.seen("run.finished")
    assert time.monotonic() - sent < at_once(job), "the line does not wait for the message"
    outcome, gone = await ended(world, job, 143)
    assert 1.0 < gone - sent < 1.0 + at_once(job)
    assert outcome.lines[-1]["event"] == "notification.failed"


@pytest.mark.slow
async def test_after_sigterm_the_message_is_sent(world: World) -> None:
    world.news.script.append(Fault(when.always, do.hang()))
    job = await world.start_job(env=env(world))
    await until(lambda: world.news.requests)
    job.send_signal(SIGTERM)
    outcome, _ = await ended(world, job, 143)
    (text,) = world.chat.texts
    assert text.splitlines()[1] == outcome.finished["message"]
    assert "\nCloud Run starts it again by itself, unless somebody cancelled it: nothing has to be done before " in text


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.needs("emulator")
async def test_whatever_hangs_sigterm_ends_the_process_within_nine_seconds(nursery: trio.Nursery) -> None:
    """The cards hang for their whole grace, then storage does, then the reader, then the chat."""
    async with open_world(nursery, CONFIG, latency=QUICK, emulator=emulator_binary()) as world:
        world.qa.script.append(Fault(when.always, do.hang()))
        world.chat.service.script.append(Fault(when.always, do.hang()))
        job = await world.start_job(env=env(world), reading=trio.Event())
        await until(lambda: len(world.qa.requests) == 4)
        assert world.storage is not None
        world.storage.script.append(Fault(when.always, do.hang()))
        sent = time.monotonic()
        job.send_signal(SIGTERM)
        with trio.fail_after(20):
            outcome = await job.outcome()
    assert outcome.exit_code == 143
    assert 8.0 < job.started + outcome.seconds - sent < 9.0 - AT_ONCE + at_once(job)


@pytest.mark.slow
async def test_a_day_without_success_is_reported(world: World) -> None:
    """`verify` sends a message only if the day is not verified, with or without a run of that day."""
    given = {**env(world, "wecom"), "CLOUD_RUN_JOB": "cards-verify", "CLOUD_RUN_EXECUTION": "cards-verify-1"}
    outcome = await world.run_job(["verify"], env=given)
    assert outcome.exit_code == 1
    head, *more = world.chat.texts.pop().splitlines()
    assert re.fullmatch(r"✗ cards-verify, 2026-11-24: no success by \d{4}-\d\d-\d\d \d\d:\d\d UTC", head)
    assert more == ["No run of that day is recorded."]

    world.qa.script.append(Fault(when.card("risk_card"), do.status(422, {"detail": "what the engine says"})))
    await run(world, 3, env(world, "wecom"))
    world.chat.texts.clear()
    outcome = await world.run_job(["verify"], env=given)
    assert outcome.exit_code == 1
    head, *more = world.chat.texts.pop().splitlines()
    assert re.fullmatch(r"✗ cards, 2026-11-24: no success by \d{4}-\d\d-\d\d \d\d:\d\d UTC", head)
    assert more[0] == "Run cards-x7k2p: Cards are missing: 2 of 4 cards are there, 2 failed."
    assert f"{RESUME},--new-config" in more
    assert "what the engine says" not in "".join(more)

    later = await world.run_job(["verify", "--date", "2026-11-25"], env=given)
    assert later.exit_code == 1
    assert f"{EXECUTE} --update-env-vars=RUN_DATE=2026-11-25" in world.chat.texts.pop().splitlines()

    await run(world, 3, {**env(world, "wecom"), "CLOUD_RUN_EXECUTION": "cards-by-hand", "RUN_DATE": "2026-11-23"})
    world.chat.texts.clear()
    await world.run_job(["verify"], env=given)
    assert "Run cards-x7k2p: " in world.chat.texts.pop(), "not the run that started last, which is of another day"

    world.chat.service.script.append(Fault(when.always, do.status(403)))
    outcome = await world.run_job(["verify"], env=given)
    assert [line["event"] for line in outcome.lines] == ["run.verified", "notification.failed"]
    assert "secret-of-the-" not in outcome.stdout + outcome.stderr

    world.qa.script.clear()
    await world.run_job(["resume", "cards-x7k2p"], env={**env(world), "NOTIFY_URL": None})
    asked = len(world.chat.service.requests)
    assert (await world.run_job(["verify"], env=given)).exit_code == 0
    assert len(world.chat.service.requests) == asked


@pytest.mark.slow
async def test_notify_test_sends_a_trial_message(world: World) -> None:
    unset = await world.run_job(["notify", "--test"])
    assert (unset.exit_code, unset.stdout) == (2, "")
    assert unset.stderr == "NOTIFY_URL: is not set; set it to the https URL of an incoming webhook\n"
    malformed = await world.run_job(["notify", "--test"], env={"NOTIFY_URL": "ftp://secret-of-the-bot"})
    assert (malformed.exit_code, "secret-of" in malformed.stderr) == (2, False)
    given = world.chat.env("dingtalk")
    taken = await world.run_job(["notify", "--test"], env=given)
    assert (taken.exit_code, taken.stdout) == (0, "✓ DingTalk has taken the message\n")
    assert world.chat.texts == ["batch-orchestrator: this is a test. A message like this comes when a run has ended."]
    world.chat.secret = "SEC0"
    refused = await world.run_job(["notify", "--test"], env={**given, "NOTIFY_SECRET": "SEC1"})
    assert refused.exit_code == 1
    assert refused.stdout == (
        "✗ the message was not sent: DingTalk refused it with code 310000: sign not match, more: "
        "[https://ding-doc.example]; look at NOTIFY_SECRET, and at the security settings of the robot: "
        "its keywords and IP addresses\n"
    )


@pytest.mark.slow
async def test_a_trial_message_has_the_shape_of_a_message_about_a_run(world: World) -> None:
    given = world.chat.env("slack")
    await run(world, 0, given)
    assert (await world.run_job(["notify", "--test"], env=given)).exit_code == 0
    real, trial = (request.json for request in world.chat.service.requests)
    assert trial.keys() == real.keys()
    assert (real["event"], trial["event"]) == ("run.finished", "notification.tested")
