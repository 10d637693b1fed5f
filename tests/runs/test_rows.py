"""Whole messages, at the hour at which they come, of nights that were once read wrongly."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CARDS, CONFIG, TICKERS, Night
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.scene import open_scene

TUESDAY, WEDNESDAY = "2026-11-24", "2026-11-25"
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=my-project"
WITHOUT = "Or leave out 美联储 (for a maintainer; until 11-26 22:20); at most 78 tries are charged:"
OVER = (
    "Once what failed is over or put right, this makes what is missing ({} cards; until 11-26 "
    "22:20); at most {} tries are charged:"
)
NEWS = when.card("news_card")


@pytest.fixture
async def night(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """A Wednesday at half past ten, with 26 cards, all of which were made on Tuesday."""
    async with open_scene(nursery, CONFIG) as scene:
        opened = Night(scene, "en")
        await opened.start(0)
        await opened.begins(WEDNESDAY)
        yield opened


def told(night: Night) -> list[str]:
    """The latest message, without its title, its page and its time."""
    title, *lines, page, _ = night.scene.world.chat.texts[-1].splitlines()
    assert title[2:].startswith("cards, 2026-11-")
    assert page.startswith("Page: ")
    return lines


async def test_bad_tickers_in_two_engines_are_both_named_with_their_own_answers(night: Night) -> None:
    """The first that fails for good ends the night; the other had failed by then, in its own engine."""
    world = night.scene.world
    world.trading.script.append(Fault(when.ticker("TSLA"), do.failing("TSLA")))
    refused = {"status": "failed", "error": "unknown company"}
    world.news.script.append(Fault(when.ticker("NVDA"), do.body(refused)))
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="8")
    lines = told(night)
    first, second = (
        ["✗ Trading engine: 1 target failed; it was made on 11-24: TSLA.", "Last answer: failed: no price history"],
        ["✗ News engine: 1 target failed; it was made on 11-24: NVDA.", "Last answer: failed: unknown company"],
    )  # fmt: skip
    assert lines[0] == "The trading and news engines failed: no card was made."
    assert lines[1:] == [*first, *second, OVER.format(26, 78), EXECUTE], "one was cut off before its patience was over"


async def test_a_quota_is_what_the_vendor_calls_it(night: Night) -> None:
    quota = {"error": {"code": 429, "message": "Daily quota exceeded; resets at 2026-11-26T08:00:00Z"}}
    night.scene.world.qa.script.append(Fault(when.always, do.status(429, quota)))
    await night.tries(3)
    lines = told(night)
    assert lines[:3] == [
        "The QA engine is down: no card was made.",
        "✗ QA engine: every call failed; all were made on 11-24.",
        "Last answer: HTTP 429: Daily quota exceeded; resets at 2026-11-26 08:00 UTC",
    ]
    assert lines[3:] == [OVER.format(26, 78), EXECUTE]


async def test_a_model_that_was_withdrawn_is_named_by_the_answer_and_nobody_else_is(night: Night) -> None:
    gone = do.status(422, {"detail": [{"loc": ["query"], "msg": "model gpt-4o-mini was withdrawn"}]})
    night.scene.world.qa.script.append(Fault(when.always, gone))
    await night.tries(3)
    assert told(night) == [
        "The QA engine refuses the job's calls: no card was made.",
        (
            "✗ QA engine: 26 cards failed; all were made on 11-24: AAPL (4), MSFT (4), NVDA (4), TSLA (4), "
            "0700.HK (4), 600519.SS (4), 美联储 (2)."
        ),
        "Last answer: HTTP 422: query: model gpt-4o-mini was withdrawn",
        OVER.format(26, 78),
        EXECUTE,
    ]


async def test_what_was_not_found_sends_to_nobody(night: Night) -> None:
    """It may be the engine, the config, or its model: only the answer knows."""
    night.scene.world.qa.script.append(Fault(NEWS, do.status(404, {"detail": "no such card type"})))
    await night.tries(3)
    assert told(night) == [
        "7 of 26 cards are missing.",
        (
            "✗ QA engine: 7 cards failed; all were made on 11-24: /news_card: AAPL, MSFT, NVDA, TSLA, 0700.HK, "
            "600519.SS, 美联储."
        ),
        "Last answer: HTTP 404: no such card type",
        OVER.format(7, 21),
        EXECUTE,
    ]


async def test_a_variable_that_somebody_changed_by_day_is_named_with_both_values(night: Night) -> None:
    """Of cards that were made so it is the first line, and a warning; else a note."""
    qa = night.scene.world.qa
    other = qa.url.replace("127.0.0.1", "localhost")
    changed = f"QA_ENGINE_URL changed since 11-24: {qa.url} → {other}"
    qa.script.append(Fault(when.always, do.status(401)))
    await night.tries(3, QA_ENGINE_URL=other)
    variable = "QA_ENGINE_AUDIENCE (Terraform: engines.qa.audience)"
    assert told(night)[3:5] == [f"Where: {variable}. Who: an owner of the project.", changed]
    qa.script.clear()
    await night.start(0, QA_ENGINE_URL=other, QA_ENGINE_AUDIENCE=f"{qa.url} {other}")
    assert night.scene.world.chat.texts[-1].startswith("! cards, 2026-11-25\n")
    assert told(night)[1] == f"! {changed}; a plain start does not make any card again."
    assert "changed since" not in "".join(told(night)[2:]), "the audience follows it, and it is told once"


@pytest.mark.parametrize("was_off", [False, True])
async def test_an_engine_that_was_switched_is_told_once_and_not_with_the_next_good_night(
    night: Night, was_off: bool
) -> None:
    """With failures only, too. It says what a plain start does not do; the exit code and `verify` say done."""
    world, only = night.scene.world, {"NOTIFY_ONLY": "failures"}
    what = "26 cards were made without news data; a plain start does not make them again."
    await world.configure("engine_control.json", {"run_news_engine": False})
    if was_off:
        await night.start(0, **only)
        await night.begins("2026-11-26")
        what = "26 cards were made with news data, unlike on 11-25; a plain start does not make them again."
        await world.configure("engine_control.json", {"run_news_engine": True})
    count = len(world.chat.texts)
    outcome = await night.start(0, **only)
    assert outcome.finished["outcome"] == "succeeded"
    assert len(world.chat.texts) == count + 1
    assert world.chat.texts[-1].startswith(f"! cards, {night.day}\nAll 26 cards are made.\n! {what}\n")
    assert outcome.finished["changed"] == night.scene.stored(f"{night.day}/report.json")["changed"] == [what[:-1]]
    for page in ("index.html", f"{night.day}/report.html"):
        text = Parsed(world.recorded()[page].decode()).text
        assert what in text
        assert "! All 26 cards are made" in world.recorded()[page].decode() or page == "index.html"
    if not was_off:
        await night.start(0, "--again=NVDA/news_card", **only)
    await night.begins("2026-11-27")
    await night.start(0, **only)
    assert len(world.chat.texts) == count + 1, "once a day, and the good night after it is no news"


async def test_a_topic_of_ours_that_is_refused_may_be_left_out_and_nothing_is_said_of_who_was_cut_off(
    night: Night,
) -> None:
    """Trading had not said yet that it refuses TSLA."""
    world, begin = night.scene.world, trio.current_time()
    world.news.script += [
        Fault(lambda seen: "fed" in seen.path and trio.current_time() > begin + 20, do.status(422, {"detail": "gone"})),
        Fault(lambda seen: "fed" in seen.path, do.status(503)),
    ]
    world.trading.script.append(Fault(when.ticker("TSLA"), do.hang()))
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="8")
    assert told(night)[1:] == [
        "✗ News engine: 1 target failed; it was made on 11-24: 美联储.",
        "Last answer: HTTP 422: gone",
        OVER.format(26, 78),
        EXECUTE,
        WITHOUT,
        f"{EXECUTE} '--args=run,--without=美联储'",
    ]


async def test_a_night_before_that_knows_no_urls_is_compared_without_a_word_about_them(night: Night) -> None:
    """As 0.3.0 has recorded it."""
    world = night.scene.world
    for name in (f"{TUESDAY}/ends/000001.json", f"{TUESDAY}/attempts/000001.json"):
        known = json.loads(world.recorded()[name])
        for gone in ("engine_urls", "engine_audiences", "qa_attempts", "answers", "charged_again"):
            known.pop(gone, None)
        stored = world.runs.objects.pop(name)
        world.runs.objects[name] = replace(stored, data=json.dumps(known).encode())
        assert stored.data != world.recorded()[name]
    world.qa.script.append(Fault(when.always, do.status(404)))
    await night.tries(3, QA_ENGINE_URL=world.qa.url.replace("127.0.0.1", "localhost"))
    assert not any("changed since" in line for line in told(night))
    assert told(night)[1] == "✗ QA engine: every call failed; all were made on 11-24."


async def test_the_account_that_lost_its_right_is_named_with_the_right(night: Night) -> None:
    world = night.scene.world
    world.news.script.append(Fault(when.always, do.status(403)))
    await night.tries(1)
    lines = told(night)
    assert lines[1] == "✗ News engine: every call failed; all were made on 11-24."
    host, account = world.news.url.removeprefix("http://"), "orchestrator@simulated-project.iam.gserviceaccount.com"
    assert lines[3] == f"Who: an owner of the project gives roles/run.invoker on {host} to {account}."
    assert lines[-1] == EXECUTE


async def test_a_right_to_write_that_is_lost_in_mid_run_leaves_cards_to_make_again(night: Night) -> None:
    world, scene = night.scene.world, night.scene
    world.qa.latency = steady(12.0)
    own = {"QA_ENGINE_CONCURRENCY": "2", "CLOUD_RUN_EXECUTION": "x"}
    job = await scene.begin(**(night.variables | own))
    count = len(world.qa.requests)
    await world.qa.until(lambda seen: len(seen) > count + 6)
    scene.fails()
    outcome = await scene.end(job, 75)
    text = world.chat.texts[-1].splitlines()
    made = len([one for one in world.qa.requests[count:] if one.answered is not None and one.status == 200])
    (lost,) = (line for line in text if line.endswith("and they may be charged twice."))
    unrecorded = int(lost.split()[0])
    assert 0 < unrecorded <= made == outcome.finished["cards"]["done"]
    assert lost.startswith(f"{unrecorded} cards were made, but not recorded: the next start makes them again, and ")
    (command,) = (line for line in text if line.startswith("Once what failed"))
    assert f"({26 - made + unrecorded} cards" in command
    assert command.endswith(f"; at most {3 * (26 - made + unrecorded)} tries are charged:")
    assert any(line.startswith("Last answer: could not write _lease.json: ") for line in text)
    assert any(line.endswith(f"{made} made a card.") for line in text) or made == len(world.qa.requests) - count
    scene.works()
    asked = len(world.qa.requests)
    await night.start(0, QA_ENGINE_CONCURRENCY="2")
    assert len(world.qa.requests) - asked == 26 - made + unrecorded


async def test_a_night_that_is_done_says_what_it_has_cost(night: Night) -> None:
    """Three starts were killed, each with cards in flight; then one did the rest, and one card took three tries."""
    world, scene = night.scene.world, night.scene
    for _ in range(3):
        job = await scene.begin(**night.variables)
        asked = len(world.qa.requests)
        await scene.cards_in_flight(asked + 4)
        await trio.sleep(4)
        await scene.killed(job)
    asked_for = {(one.tickers[0], one.card) for one in world.qa.requests[26:]}
    name, card = min({(name, card) for name in TICKERS for card in CARDS} - asked_for)
    one = when.both(when.ticker(name), when.card(card))
    world.qa.script += [Fault(when.both(one, when.attempt(number)), do.status(500)) for number in (1, 2)]
    await night.start(0)
    lines = told(night)
    assert lines[0] == "All 26 cards are made."
    assert "28 tries may have been charged; 26 made a card." in lines


async def test_an_engine_that_hangs_until_the_end_costs_what_was_said(night: Night) -> None:
    night.scene.world.qa.script.append(Fault(NEWS, do.hang()))
    await night.tries(3, QA_ENGINE_CONCURRENCY="8")
    lines = told(night)
    assert lines[2] == "No answer within 300 s."
    cost, command = lines[3:5]
    asked = [one for one in night.scene.world.qa.requests if one.card == "news_card"][7:]
    assert cost == f"{19 + len(asked)} tries may have been charged; 19 made a card."
    assert command == OVER.format(7, 21)


async def test_after_a_deadline_something_has_to_be_over_only_if_something_had_failed(night: Night) -> None:
    """Two cards hang to the end. On the next night, the deadline comes before all cards were tried."""
    hangs = Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), do.hang())
    night.scene.world.qa.script.append(hangs)
    await night.tries(4, RUN_DEADLINE_SECONDS="500", QA_ENGINE_CONCURRENCY="8")
    command = next(line for line in told(night) if "what is missing" in line)
    assert command == OVER.format(2, 6)
    await night.begins("2026-11-26")
    night.scene.world.qa.latency = steady(8.0)
    await night.tries(4, RUN_DEADLINE_SECONDS="20", QA_ENGINE_CONCURRENCY="4")
    command = next(line for line in told(night) if "what is missing" in line)
    assert command.startswith("This makes what is missing (")


async def test_a_night_that_never_began_is_told_with_the_next_one(night: Night) -> None:
    await night.begins("2026-11-26")
    await night.start(0)
    assert "No record: Wed 11-25 (was the schedule paused?)" in told(night)


async def test_a_success_with_errors_has_its_condition_and_what_it_costs(night: Night) -> None:
    odd = do.body({"status": "success", "error": "no credit for charts"})
    night.scene.world.qa.script.append(Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), odd))
    await night.start(0)
    lines = told(night)
    assert lines[2].endswith(" news_card: the answer says success, but has an error: no credit for charts")
    assert lines == [
        "All 26 cards are made, but an engine reported errors.",
        "The QA engine reported success for 2 cards, but also an error. Look at /news_card: NVDA, TSLA",
        lines[2],
        (
            "Once what the error names is put right, this makes 2 cards again (by today's config; for a maintainer). "
            "It cannot be taken back: they count as missing until they are made, and 2 to 6 tries are charged:"
        ),
        f"{EXECUTE} --args=run,--date=2026-11-25,--again=NVDA/news_card,--again=TSLA/news_card",
    ]


async def test_the_count_of_a_command_is_by_the_config_of_its_night(night: Night) -> None:
    """Somebody adds a type before the command is pasted: it makes more than it said, and said by which config."""
    world = night.scene.world
    world.qa.script.append(Fault(when.both(NEWS, when.ticker("NVDA")), do.status(500)))
    await night.tries(3)
    command = next(line for line in told(night) if line.startswith("Once"))
    assert "(1 card; until 11-26 22:20)" in command
    world.qa.script.clear()
    await world.configure("card_types.json", [*CARDS, "esg_card"])
    count = len(world.qa.requests)
    await night.start(0)
    assert len(world.qa.requests) - count == 1 + len(TICKERS)
