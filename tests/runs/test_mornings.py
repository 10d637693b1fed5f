"""What a person reads in the morning: whole texts, messages once read wrongly, pasted commands, and `verify`."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice

import pytest
import trio
from trio.testing import MockClock

from job import __version__
from job.records.objects import RESTORE_IT
from tests.runs.mornings import CARDS, CONFIG, TEXTS_KEPT, TICKERS, TOPIC, Night, commands, file_of, play, text_of
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.scene import open_scene

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY, MONDAY = (f"2026-11-{day}" for day in range(24, 31))
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=my-project"


@pytest.fixture
async def tuesday(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """A Tuesday at half past ten, with 26 cards."""
    async with open_scene(nursery, CONFIG) as scene:
        night = Night(scene, "en")
        await night.begins(TUESDAY)
        yield night


@pytest.fixture
async def night(tuesday: Night) -> Night:
    """The same on Wednesday, and all were made on Tuesday."""
    await tuesday.start(0)
    await tuesday.begins(WEDNESDAY)
    return tuesday


NO_CARD = "0 of 26 cards made; 26 missing; data: {}."


def told(night: Night) -> list[str]:
    """The latest message, without its title, its page and its time."""
    title, *lines, page, _ = night.scene.world.chat.texts[-1].splitlines()
    assert title[2:].startswith("cards, 2026-11-")
    assert page.startswith("Page: ")
    return lines


# --- whole texts, and their commands ---


@pytest.mark.parametrize(("name", "language"), TEXTS_KEPT)
async def test_a_morning_reads_as_it_was_read_and_its_command_does_what_it_says(
    autojump_clock: MockClock, nursery: trio.Nursery, name: str, language: str
) -> None:
    """Pasted the next morning, it finishes the day that it was shown for, and works on no other."""
    async with play(name, language, nursery) as night:
        text = text_of(night)
        assert text == file_of(name, language).read_text(encoding="utf-8"), "anew: python -m tests.runs.mornings"
        for command in islice(commands(text), 1):
            named = (one.removeprefix("--date=") for one in command if one.startswith("--date="))
            day, scene = next(named, night.day), night.scene
            for service in scene.world.engines.values():
                service.script.clear()
            await scene.world.configure("card_types.json", CARDS)
            await scene.until((date.fromisoformat(night.day) + timedelta(days=1)).isoformat(), "08:30:00")
            count, kept = len(scene.requests), {*scene.world.recorded()}
            assert (await night.start(0, *command)).finished["day"] == day
            assert len(scene.requests) > count, "nothing was left to do"
            new = {*scene.world.recorded()} - kept
            assert {place.partition("/")[0] for place in new if re.match(r"\d", place)} == {day}


# --- messages of nights that were once read wrongly ---

BRACKET = "(makes {} cards; charges at most {} tries; until 11-26 22:20"
RIGHT = f"Until that is put right, it fails again. Then paste {BRACKET}):"
NOTHING = f"Nothing works on it; paste {BRACKET}):"
CORRECT = f"Or correct or remove them in the config, then paste {BRACKET}):"
WITHOUT = f"To go on without {{}}, paste {BRACKET}; for a maintainer):"
NEWS, TSLA = when.card("news_card"), when.ticker("TSLA")


async def test_a_right_that_was_lost_is_given_back_by_whom_the_message_names(night: Night) -> None:
    news = night.scene.world.news
    news.script.append(Fault(when.always, do.status(403)))
    await night.tries(1)
    account = "orchestrator@simulated-project.iam.gserviceaccount.com"
    assert told(night) == [
        "The news engine failed.",
        NO_CARD.format("news 0/7"),
        "✗ News engine: every try failed; all were made on 11-24.",
        "Last answer: HTTP 403: Error: 403 simulated front end",
        f"Who: an owner of the project gives roles/run.invoker on {news.url.removeprefix('http://')} to {account}.",
        RIGHT.format(26, 78),
        EXECUTE,
    ]


async def test_tokens_for_another_service_are_put_right_at_each_engine_that_refuses_them(night: Night) -> None:
    night.scene.world.tokens.foreign_audience = "https://another-service.run.app"
    await night.tries(1)
    where = "Where: {}_ENGINE_AUDIENCE (Terraform: engines.{}.audience). Who: an owner of the project."
    named = [where.format(name.upper(), name) for name in ("news", "financial", "trading")]
    assert told(night)[0].endswith(" engine failed.")
    assert [line for line in told(night) if line.startswith("Where")] == named
    assert told(night)[-2:] == [RIGHT.format(26, 78), EXECUTE]


async def test_a_day_of_another_version_is_told_once_and_calls_nothing(night: Night) -> None:
    world, name = night.scene.world, f"{TUESDAY}/attempts/000001.json"
    stored = world.runs.objects[name]
    world.runs.objects[name] = replace(stored, data=stored.data.replace(b'"format":2', b'"format":3'))
    count, asked = len(world.chat.texts), len(night.scene.requests)
    await night.tries(2, f"--date={TUESDAY}")
    ((_, sentence, numbers, fault, _),) = (text.splitlines() for text in world.chat.texts[count:])
    assert (sentence, numbers) == ("The command was refused.", "Nothing was called.")
    assert fault.endswith(f"; finish this day with the image of version {__version__}: an owner puts it back")
    assert len(night.scene.requests) == asked
    world.runs.objects[name] = stored


OWN_CALLS = f"""\
✗ cards, {WEDNESDAY}
The news engine failed.
✗ News engine: 1 target failed; it was made on 11-24: 美联储.
Last answer: HTTP 422: Error: 422 simulated front end
{WITHOUT.format("美联储", 24, 72)}
{EXECUTE} '--args=run,--without=美联储'
{CORRECT.format(26, 78)}
{EXECUTE}"""


async def test_a_start_tells_of_its_own_calls_and_not_why_one_failed_before(night: Night) -> None:
    """Both times, news refuses a topic, which cuts financial off: at first it had no right, then it was at work."""
    world = night.scene.world
    world.financial.script.append(Fault(when.always, do.status(403)))
    world.news.script.append(Fault(when.ticker("fed"), do.status(422, after=5.0)))
    await night.tries(1)
    assert told(night)[2] == "✗ Financial engine: every try failed."
    world.financial.script[:] = [Fault(when.always, do.hang())]
    await night.start(1)
    title, outcome, numbers, *rest = world.chat.texts[-1].rpartition("\nPage: ")[0].splitlines()
    assert "\n".join([title, outcome, *rest]) == OWN_CALLS
    assert numbers == NO_CARD.format("financial 0/6, news 6/7")
    financial = night.scene.stored(f"{WEDNESDAY}/report.json")["engines"]["financial"]
    assert (financial["failed"], financial["cut_off"], financial["not_attempted"]) == (6, 6, 0)


FEWER = [
    f"! No longer asked for since {TUESDAY}, 4 cards: TSLA (4).",
    "Changed or written again since 11-24: ticker_list.json. If that is not meant, put back what was, then start.",
]
NOT_TSLA = [one for one in TICKERS if one != "TSLA"]


async def test_cards_that_are_no_longer_asked_for_are_a_warning_in_all_places(night: Night) -> None:
    """With failures only, too; the exit code and `verify` say done."""
    world = night.scene.world
    await world.configure("ticker_list.json", NOT_TSLA)
    outcome = await night.start(0, NOTIFY_ONLY="failures")
    assert world.chat.texts[-1].startswith(f"! cards, {WEDNESDAY}\n")
    assert told(night) == ["Done.", "22 of 22 cards made.", *FEWER]
    what = FEWER[0].removeprefix("! ")
    assert outcome.finished["changed"] == night.scene.stored(f"{WEDNESDAY}/report.json")["changed"] == [what[:-1]]
    for page in ("index.html", f"{WEDNESDAY}/report.html"):
        assert what in Parsed(world.recorded()[page].decode()).text
    await night.begins(THURSDAY)
    await night.start(0)
    assert told(night) == ["Done.", "22 of 22 cards made."]


async def test_a_ticker_that_left_its_list_alone_is_refused_once_and_made_as_a_topic_if_that_is_said(
    night: Night,
) -> None:
    world, count = night.scene.world, len(night.scene.requests)
    entry = {"id": "TSLA", "card_types": ["price_card"]}
    await world.configure("ticker_list.json", NOT_TSLA)
    await world.configure("card_targets.json", [TOPIC, entry])
    await night.tries(2)
    (fault,) = (line for line in told(night) if line.startswith("✗"))
    assert fault.startswith(
        '✗ card_targets.json: "TSLA": is no ticker of ticker_list.json any more: these cards would '
    )
    assert len(night.scene.requests) == count
    await world.configure("card_targets.json", [TOPIC, entry | {"target_type": "topic"}])
    await night.start(0)
    assert told(night)[2:4] == [
        f"! No longer asked for since {TUESDAY}, 3 cards: TSLA (3).",
        f"! Another kind of target since {TUESDAY}, equity → topic: TSLA/price_card.",
    ]
    await world.configure("card_targets.json", [TOPIC, entry])
    await night.begins(THURSDAY)
    await night.start(0)


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
    found = re.match(
        r"(\d+) of 26 cards made; .*; (\d+) more made and not recorded: the next start makes (\d+)\.", text[2]
    )
    assert found is not None
    recorded, unrecorded, left = map(int, found.groups())
    assert 0 < unrecorded <= made == outcome.finished["cards"]["done"]
    assert (recorded + unrecorded, recorded + left) == (made, 26), "they add up"
    assert f"Once storage works again, paste {BRACKET}):".format(left, 3 * left) in text
    assert any(line.startswith("Last answer: could not write _lease.json: ") for line in text)
    scene.works()
    asked = len(world.qa.requests)
    await night.start(0, QA_ENGINE_CONCURRENCY="2")
    assert len(world.qa.requests) - asked == left


async def test_what_failed_before_a_deadline_was_cut_off(night: Night) -> None:
    """It was cut off with tries left, and counted so; another start that does not reach it has not tried it."""
    hangs = Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), do.hang())
    night.scene.world.qa.script.append(hangs)
    await night.tries(4, RUN_DEADLINE_SECONDS="500", QA_ENGINE_CONCURRENCY="8")
    passed = "The deadline of 8 min 20 s passed."
    numbers = "24 of 26 cards made; 2 missing; 0 failed, {} cut off, {} not tried."
    cut_off = "✗ QA engine: 2 cards cut off after failed tries; all were made on 11-24: /news_card: NVDA, TSLA."
    assert told(night)[:2] == [passed, numbers.format(2, 0)]
    assert cut_off in told(night)
    assert NOTHING.format(2, 6) in told(night)
    await night.start(4, RUN_DEADLINE_SECONDS="100")
    assert told(night)[:2] == [passed.replace("8 min 20 s", "1 min 40 s"), numbers.format(1, 1)]


# --- what a command does that is pasted from a message ---


async def test_the_command_for_odd_cards_makes_just_these_again(night: Night) -> None:
    script = night.scene.world.qa.script
    odd = do.body({"status": "success", "error": "no credit for charts"})
    script.append(Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), odd))
    await night.start(0)
    lines = told(night)
    assert lines[2].endswith(" news_card: the answer says success, but has an error: no credit for charts")
    assert lines == [
        "Done.",
        "26 of 26 cards made.",
        lines[2],
        "Look at 2 cards of the QA engine: /news_card: NVDA, TSLA",
        (
            "Once what the error names is put right, paste this to make it again. It cannot be taken back: it counts "
            "as missing until it is made (makes 2 cards; charges at most 6 tries; at any time; for a maintainer):"
        ),
        f"{EXECUTE} --args=run,--date=2026-11-25,--again=NVDA/news_card,--again=TSLA/news_card",
    ]
    script.clear()
    count, (given,) = len(night.scene.requests), commands("\n".join(lines))
    outcome = await night.start(0, *given)
    assert [one.service for one in night.scene.requests[count:]] == ["qa"] * 2
    assert [note.partition(":")[0] for note in outcome.finished["notes"]] == ["Made again"]
    assert not [*commands(text_of(night))]


async def test_if_one_target_alone_has_failed_the_first_command_goes_on_without_it(night: Night) -> None:
    """All that stays was made on the night before."""
    script = night.scene.world.trading.script
    script.append(Fault(TSLA, do.failing("TSLA")))
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="4")
    lines = told(night)
    without = f"{EXECUTE} --args=run,--without=TSLA"
    assert lines[-4:] == [WITHOUT.format("TSLA", 22, 66), without, CORRECT.format(26, 78), EXECUTE]
    first, plain = [*commands("\n".join(lines))]
    await night.start(0, *first)
    assert told(night)[:2] == ["Done.", "22 of 22 cards made; 4 left out: TSLA."]
    left_out = f"To make what was left out, once it can be made, paste {BRACKET}):"
    assert told(night)[-2:] == [left_out.format(4, 12), EXECUTE]
    script.clear()
    await night.start(0, *plain, NOTIFY_ONLY="failures")
    assert told(night)[:2] == ["Done.", "26 of 26 cards made."]


async def test_an_earlier_night_goes_on_with_the_config_that_it_recorded(tuesday: Night) -> None:
    """Whatever was uploaded since, sound or not; also what it has left out, and what is asked for again."""
    night, world = tuesday, tuesday.scene.world
    world.qa.script.append(Fault(when.both(TSLA, NEWS), do.status(500)))
    await night.start(3, "--without=MSFT")
    await world.configure("ticker_list.json", [*TICKERS, "AMZN"])
    world.qa.script.clear()
    await night.begins(WEDNESDAY)
    await night.start(0)
    asked = len(world.qa.requests)
    await world.configure("card_types.json", b'["news_card" "price')
    await night.start(0, f"--date={TUESDAY}", "--without=MSFT")
    assert len(world.qa.requests) == asked + 1
    await night.start(0, f"--date={TUESDAY}")
    assert len(world.qa.requests) == asked + 5
    await night.start(0, f"--date={TUESDAY}", "--again=TSLA/news_card")
    assert len(world.qa.requests) == asked + 6
    report = night.scene.stored(f"{TUESDAY}/report.json")
    assert (report["cards"] if "cards" in report else report["engines"]["qa"])["planned"] == 26
    await night.start(2)


# --- what verify says in the morning ---

EXECUTIONS = "https://console.cloud.google.com/run/jobs/details/asia-east1/cards/executions?project=my-project"


@pytest.fixture
async def friday(tuesday: Night) -> Night:
    """The same on a Friday."""
    await tuesday.begins(FRIDAY)
    return tuesday


ONE_MISSING = f"""\
✗ cards, {FRIDAY}: not done by 2026-11-28 07:00 UTC
1 card is missing.
25 of 26 cards made; 1 missing: TSLA/news_card.
✗ QA engine: 1 card failed: TSLA/news_card.
Last answer: HTTP 422: Error: 422 simulated front end
Until that is put right, it fails again. Then paste (makes 1 card; charges at most 3 tries; until 11-30 22:20):
{EXECUTE}
Page: RUNS/{FRIDAY}/report.html"""


async def test_a_night_that_is_not_done_is_told_every_morning(friday: Night) -> None:
    friday.scene.world.qa.script.append(Fault(when.both(when.ticker("TSLA"), when.card("news_card")), do.status(422)))
    await friday.start(3)
    for day in ("2026-11-28", "2026-11-30"):
        await friday.scene.until(day, "07:00:00")
        assert await friday.verify(1) == ONE_MISSING.replace("2026-11-28 07:00", f"{day} 07:00")


NOT_TO_START = f"""\
! cards, {FRIDAY}
Done.
17 of 26 cards made; 9 more made and not recorded: the next start makes 9.
! Do not start it again: all work is done, but 9 results could not be recorded, and a start would request that again. \
If verify and its alert say that this day is not done, ignore that.
Done at 22:30 UTC, after 26 s"""
AT_LEAST = "At least {0} tries may have been charged."
"""Of cards whose record breaks off it is not known what they have cost."""
BREAKS_OFF = f"""\
✗ cards, {FRIDAY}: not done by 2026-11-28 07:00 UTC
The record breaks off.
17 of 26 cards made; 9 missing.
{AT_LEAST.format(17)}
The start was killed, or could no longer write; its calls in flight may have been charged too. If the execution says \
memory, an owner raises job.memory_mib.
If a message of 2026-11-27 said that all cards are made, do nothing.
Nothing works on it; paste (makes 9 cards; charges at most 27 tries; until 11-30 22:20):
{EXECUTE}"""


async def test_after_a_record_that_breaks_off_the_command_is_for_whoever_has_no_message(friday: Night) -> None:
    """All cards were made and told, while storage was out: they are not missing. Whoever starts it pays again."""
    scene, chat = friday.scene, friday.scene.world.chat
    job = await scene.begin(**friday.variables, NOTIFY_ONLY="failures")
    await scene.cards_in_flight(19)
    scene.fails()
    await scene.end(job, 0)
    assert chat.texts == [NOT_TO_START]
    scene.works()
    await scene.until(SATURDAY, "07:00:00")
    assert await friday.verify(1) == BREAKS_OFF
    await friday.start(0)
    assert chat.texts[-1].splitlines()[3] == AT_LEAST.format(26)


UNCHECKED = f"""\
! cards, {FRIDAY}: could not be checked at 2026-11-28 07:00 UTC: {FRIDAY}/: 503 from the fake
A message that this night sent is right; if none came, open the executions
{EXECUTIONS}"""


async def test_storage_that_is_out_for_two_of_the_four_minutes_changes_nothing(friday: Night) -> None:
    await friday.start(0)
    await friday.scene.until(SATURDAY, "07:00:00")
    friday.scene.world.runs.refuse = lambda _verb, _name: trio.current_time() < began + 120
    began = trio.current_time()
    assert await friday.verify(0) == ""
    assert 120 <= trio.current_time() - began < 130


async def test_storage_that_stays_out_is_no_failure_of_the_night(friday: Night) -> None:
    """A start does not know what is recorded then: its command is for whoever has no message."""
    await friday.start(0)
    friday.scene.fails(part="/")
    await friday.start(75)
    *_, do_not, _over, command, _ = friday.scene.world.chat.texts[-1].splitlines()
    assert (do_not, command) == ("If a message of 2026-11-27 said that all cards are made, do nothing.", EXECUTE)
    await friday.scene.until(SATURDAY, "07:00:00")
    began = trio.current_time()
    assert await friday.verify(1) == UNCHECKED
    assert 235 < trio.current_time() - began < 245
    began = trio.current_time()
    assert await friday.verify(1, RUN_DEADLINE_SECONDS="") == UNCHECKED.replace("07:00", "07:04")
    assert trio.current_time() - began < 5, "each request has a patience of its own"
    friday.scene.works()


async def test_a_start_and_its_retry_say_one_failure_between_them(friday: Night) -> None:
    """The first says by when Cloud Run has started it once more, and that nobody has to do anything until then."""
    friday.scene.fails(part="/")
    await friday.tries(75, TASK_MAX_RETRIES="1")
    first, second = (text.splitlines() for text in friday.scene.world.chat.texts[-2:])
    assert (first[:3], second[:3]) == (
        [f"! cards, {FRIDAY}", "Storage failed.", "Nothing was called."],
        [f"✗ cards, {FRIDAY}", "Storage failed.", "Nothing was called."],
    )
    assert "It goes on by itself: wait until " in "\n".join(first)
    assert "It goes on by itself" not in "\n".join(second)
    friday.scene.works()


async def test_a_record_that_cannot_be_read_is_not_looked_at_again(friday: Night) -> None:
    await friday.start(0)
    stored = friday.scene.world.runs.objects
    name = f"{FRIDAY}/ends/000001.json"
    sound = stored[name]
    stored[name] = replace(sound, data=b"{}")
    await friday.scene.until(SATURDAY, "07:00:00")
    began = trio.current_time()
    end = f"{name} is not as the job wrote it; {RESTORE_IT}"
    title, *rest = UNCHECKED.splitlines()
    assert (await friday.verify(1)).splitlines() == [title.partition(f"{FRIDAY}/")[0] + end, *rest]
    assert trio.current_time() - began < 5
    stored[name] = sound
