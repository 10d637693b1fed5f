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
from tests.support.scene import open_scene

TUESDAY, WEDNESDAY = "2026-11-24", "2026-11-25"
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=my-project"
WITHOUT = "Without {}, this makes {} cards now (for a maintainer; until 11-26 22:20):"
OVER = "Once that is over or put right, this makes what is missing ({} cards by the night's config; until 11-26 22:20)"
FREE = f"{OVER}. Before, it fails again in some {{}} min, and nothing is charged:"
PAID = f"{OVER}. Before, it fails again: up to {{}} tries are charged for nothing, in some "
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
        ["✗ Trading engine: 1 target failed; it worked on 11-24: TSLA.", "Last answer: failed: no price history",
         "Where: ticker_list.json, card_targets.json."],
        ["✗ News engine: 1 target failed; it worked on 11-24: NVDA.", "Last answer: failed: unknown company"],
    )  # fmt: skip
    assert lines[0] == "The trading and news engines failed: no card was made."
    assert lines[1:6] == [*first, *second]
    assert lines[6].startswith(OVER.format(26))
    assert lines[6].endswith(", and nothing is charged:")
    assert lines[7:] == [
        EXECUTE, WITHOUT.format("NVDA, TSLA", 18), f"{EXECUTE} --args=run,--without=NVDA,--without=TSLA",
    ]  # fmt: skip


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
    assert lines[3].startswith(OVER.format(26))
    assert lines[3].endswith(", and nothing is charged:")
    assert lines[4:] == [EXECUTE]


async def test_a_model_that_was_withdrawn_is_named_by_the_answer_and_where_it_is_chosen(night: Night) -> None:
    gone = do.status(422, {"detail": [{"loc": ["query"], "msg": "model gpt-4o-mini was withdrawn"}]})
    night.scene.world.qa.script.append(Fault(when.always, gone))
    await night.tries(3)
    assert told(night) == [
        "The QA engine refuses the job's calls: no card was made.",
        (
            "✗ QA engine: 26 cards failed; all were made on 11-24: AAPL (4), MSFT (4), NVDA (4), TSLA (4), "
            "0700.HK (4), 600519.SS (4), 美联储 (2)."
        ),
        "Last answer: HTTP 422: model gpt-4o-mini was withdrawn",
        "Where: card_targets.json, llm_config.json.",
        FREE.format(26, 1),
        EXECUTE,
    ]


async def test_of_a_route_that_is_gone_the_engines_owner_is_asked(night: Night) -> None:
    """The config is as it was: its type was made the night before."""
    night.scene.world.qa.script.append(Fault(NEWS, do.status(404, {"detail": "no such card type"})))
    await night.tries(3)
    assert told(night) == [
        "7 of 26 cards are missing.",
        (
            "✗ QA engine: 7 cards failed; all were made on 11-24: /news_card: AAPL, MSFT, NVDA, TSLA, 0700.HK, "
            "600519.SS, 美联储."
        ),
        "Last answer: HTTP 404: no such card type",
        "Who: the QA engine's owner.",
        FREE.format(7, 1),
        EXECUTE,
    ]


async def test_a_variable_that_somebody_changed_by_day_is_named_with_both_values(night: Night) -> None:
    qa = night.scene.world.qa
    other = qa.url.replace("127.0.0.1", "localhost")
    await night.tries(3, QA_ENGINE_URL=other)
    changed = f"QA_ENGINE_URL changed since 11-24: {qa.url} → {other}"
    assert [line for line in told(night) if "changed" in line] == [changed], "the audience follows it"
    qa.script[:] = [Fault(when.always, do.status(401))]
    await night.tries(3, QA_ENGINE_AUDIENCE=f"https://cards-x.a.run.app {qa.url}")
    lines = told(night)
    variable = "QA_ENGINE_AUDIENCE (Terraform: engines.qa.audience)"
    assert lines[3] == f"Where: {variable}. Who: an owner of the project."
    assert lines[4] == f"QA_ENGINE_AUDIENCE changed since 11-24: {qa.url} → https://cards-x.a.run.app"


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
    assert lines[1] == "✗ News engine: every call failed; all worked on 11-24."
    account = "orchestrator@simulated-project.iam.gserviceaccount.com"
    assert lines[3] == f"Who: an owner of the project gives roles/run.invoker to {account}."
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
    (command,) = (line for line in text if line.startswith("Once that is over"))
    assert f"({26 - made + unrecorded} cards by the night's config" in command
    assert command.endswith("Before, it fails again, and nothing is called:")
    assert any(line.startswith("Last answer: could not write _lease.json: ") for line in text)
    assert any(line.endswith(f"{made} made a card.") for line in text) or made == len(world.qa.requests) - count
    scene.works()
    asked = len(world.qa.requests)
    await night.start(0, QA_ENGINE_CONCURRENCY="2")
    assert len(world.qa.requests) - asked == 26 - made + unrecorded


async def test_a_night_that_is_done_says_what_it_has_cost_and_what_broke_off(night: Night) -> None:
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
    assert [line.partition(" at ")[0] for line in lines if line.endswith("in flight may have been charged too")] == [
        f"Attempt {number} broke off" for number in (1, 2, 3)
    ]
    assert "28 tries may have been charged; 26 made a card." in lines


async def test_cards_that_take_much_longer_than_on_the_night_before_are_told(night: Night) -> None:
    night.scene.world.qa.latency = steady(200.0)
    await night.start(0, QA_ENGINE_CONCURRENCY="16")
    (line,) = (line for line in told(night) if "for a call" in line)
    assert line.startswith("The QA engine took 3 min 20 s for a call, on 11-24 ")


async def test_an_engine_that_hangs_until_the_end_costs_what_was_said(night: Night) -> None:
    night.scene.world.qa.script.append(Fault(NEWS, do.hang()))
    await night.tries(3, QA_ENGINE_CONCURRENCY="8")
    lines = told(night)
    assert lines[2] == "Last answer: no answer within 300 s"
    assert lines[3] == "Who: the QA engine's owner."
    cost, command = lines[4:6]
    asked = [one for one in night.scene.world.qa.requests if one.card == "news_card"][7:]
    assert cost == f"{19 + len(asked)} tries may have been charged; 19 made a card."
    assert command.startswith(PAID.format(7, 21))


async def test_after_a_deadline_a_command_has_its_price_if_all_that_is_missing_had_failed(night: Night) -> None:
    """Two cards hang to the end. On the next night, the deadline comes before all cards were tried."""
    hangs = Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), do.hang())
    night.scene.world.qa.script.append(hangs)
    await night.tries(4, RUN_DEADLINE_SECONDS="500", QA_ENGINE_CONCURRENCY="8")
    command = next(line for line in told(night) if "what is missing" in line)
    assert command.startswith(PAID.format(2, 6))
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
            "It cannot be taken back: they count as missing until they are made, and at least 2 tries are charged:"
        ),
        f"{EXECUTE} --args=run,--date=2026-11-25,--again=NVDA/news_card,--again=TSLA/news_card",
    ]


async def test_the_count_of_a_command_is_by_the_config_of_its_night(night: Night) -> None:
    """Somebody adds a type before the command is pasted: it makes more than it said, and said by which config."""
    world = night.scene.world
    world.qa.script.append(Fault(when.both(NEWS, when.ticker("NVDA")), do.status(500)))
    await night.tries(3)
    command = next(line for line in told(night) if line.startswith("Once"))
    assert "(1 card by the night's config; until 11-26 22:20)" in command
    world.qa.script.clear()
    await world.configure("card_types.json", [*CARDS, "esg_card"])
    count = len(world.qa.requests)
    await night.start(0)
    assert len(world.qa.requests) - count == 1 + len(TICKERS)
