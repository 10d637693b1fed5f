"""What a person reads in the morning: whole texts, messages once read wrongly, and commands that are pasted."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, timedelta

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CARDS, CONFIG, TEXTS_KEPT, TICKERS, TOPIC, Night, commands, file_of, play, text_of
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.seen import Seen
from tests.simulators.service import Do, Fault
from tests.simulators.when import When
from tests.support.parsed import Parsed
from tests.support.scene import open_scene

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (f"2026-11-{day}" for day in (24, 25, 26, 27))
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


def told(night: Night) -> list[str]:
    """The latest message, without its title, its page and its time."""
    title, *lines, page, _ = night.scene.world.chat.texts[-1].splitlines()
    assert title[2:].startswith("cards, 2026-11-")
    assert page.startswith("Page: ")
    return lines


# --- whole texts, and their commands ---

ADVISED = ["cards-missing", "data-failed", "refused"]
"""The stories after which a command is advised for the latest day recorded."""
READ = [(name, language) for name, language in TEXTS_KEPT if language != "en" or name not in ADVISED]
"""Every text but those that are read before a command is given."""


def assert_it_reads_as_it_was_read(night: Night, name: str, language: str) -> None:
    kept = file_of(name, language).read_text(encoding="utf-8")
    assert text_of(night) == kept, "this writes it anew: python -m tests.runs.mornings"


@pytest.mark.parametrize(("name", "language"), READ)
async def test_a_morning_reads_as_it_was_read(
    autojump_clock: MockClock, nursery: trio.Nursery, name: str, language: str
) -> None:
    async with play(name, language, nursery) as night:
        assert_it_reads_as_it_was_read(night, name, language)


async def test_a_good_night_has_no_note(tuesday: Night) -> None:
    """With a weekend, and engines that an entry switches off for good."""
    scene = tuesday.scene
    quiet = {"id": "600519.SS", "run_engines": {"news": False}}
    await scene.world.configure("card_targets.json", [TOPIC, quiet])
    for day in (THURSDAY, FRIDAY, "2026-11-30"):
        await tuesday.begins(day)
        outcome = await tuesday.start(0)
        assert "notes" not in outcome.finished
        assert scene.stored(f"{day}/report.json")["notes"] == []
        assert len(scene.world.chat.texts[-1].splitlines()) == 4, "title, cards, page, time"
    shown = Parsed(scene.world.recorded()["index.html"].decode())
    next_night = "Next night: Tue 12-01 22:30. If it is later than that, this page does not know how it went."
    assert f"{next_night} All nights Day" in shown.text


@pytest.mark.parametrize(("name", "is_late"), [*zip(ADVISED, (False, True, False), strict=True)])
async def test_a_morning_reads_as_it_was_read_and_its_command_does_what_it_says(
    autojump_clock: MockClock, nursery: trio.Nursery, name: str, is_late: bool
) -> None:
    """Pasted at once or the next morning, while it holds, it finishes the day that it was shown for."""
    async with play(name, "en", nursery) as night:
        assert_it_reads_as_it_was_read(night, name, "en")
        day, scene = night.day, night.scene
        for service in scene.world.engines.values():
            service.script.clear()
        await scene.world.configure("card_types.json", CARDS)
        if is_late:
            await scene.until((date.fromisoformat(day) + timedelta(days=1)).isoformat(), "08:30:00")
        first, *_ = commands(text_of(night))
        count, kept = len(scene.requests), {*scene.world.recorded()}
        outcome = await night.start(0, *first)
        assert outcome.finished["day"] == day
        assert len(scene.requests) > count, "nothing was left to do"
        new = {*scene.world.recorded()} - kept
        assert {place.partition("/")[0] for place in new if re.match(r"\d", place)} == {day}, (
            "only this day is worked on"
        )


# --- messages of nights that were once read wrongly ---

OVER = (
    "Once what failed is over or put right, this makes what is missing ({} cards; until 11-26 "
    "22:20); at most {} tries are charged:"
)
ALL, SEVEN = ([OVER.format(count, 3 * count), EXECUTE] for count in (26, 7))
WITHOUT = "Or leave out {} (for a maintainer; until 11-26 22:20); at most 78 tries are charged:"
NEWS, TSLA = when.card("news_card"), when.ticker("TSLA")
NEWS_CARDS = "/news_card: AAPL, MSFT, NVDA, TSLA, 0700.HK, 600519.SS, 美联储"
QUOTA = {"error": {"code": 429, "message": "Daily quota exceeded; resets at 2026-11-26T08:00:00Z"}}
GONE = {"detail": [{"loc": ["query"], "msg": "model gpt-4o-mini was withdrawn"}]}
UNKNOWN = {"status": "failed", "error": "unknown company"}


def fed(seen: Seen) -> bool:
    return "fed" in seen.path


Faults = Mapping[str, Sequence[tuple[When, Do]]]
ROWS: Mapping[str, tuple[int, Faults, Sequence[str]]] = {
    # The first that fails for good ends the night; the other had failed by then, in its own engine.
    "bad tickers in two engines": (
        1,
        {"trading": [(TSLA, do.failing("TSLA"))], "news": [(when.ticker("NVDA"), do.body(UNKNOWN))]},
        [
            "The trading and news engines failed: no card was made.",
            "✗ Trading engine: 1 target failed: TSLA.",
            "Last answer: failed: no price history",
            "✗ News engine: 1 target failed: NVDA.",
            "Last answer: failed: unknown company",
            "All were made on 11-24.",
            *ALL,
        ],
    ),
    # Trading had not said yet that it refuses TSLA: nothing is said of who was cut off.
    "a topic of ours that is refused": (
        1,
        {
            "news": [(when.both(fed, when.attempt(1)), do.status(503)), (fed, do.status(422, {"detail": "gone"}))],
            "trading": [(TSLA, do.hang())],
        },
        [
            "The news engine failed: no card was made.",
            "✗ News engine: 1 target failed; it was made on 11-24: 美联储.",
            "Last answer: HTTP 422: gone",
            *ALL,
            WITHOUT.format("美联储"),
            f"{EXECUTE} '--args=run,--without=美联储'",
        ],
    ),
    "a right that was lost": (
        1,
        {"news": [(when.always, do.status(403))]},
        [
            "The news engine failed: no card was made.",
            "✗ News engine: every call failed; all were made on 11-24.",
            "Last answer: HTTP 403: Error: 403 simulated front end",
            (
                "Who: an owner of the project gives roles/run.invoker on {news} to "
                "orchestrator@simulated-project.iam.gserviceaccount.com."
            ),
            *ALL,
        ],
    ),
    "a quota is what the vendor calls it": (
        3,
        {"qa": [(when.always, do.status(429, QUOTA))]},
        [
            "The QA engine failed: no card was made.",
            "✗ QA engine: every call failed; all were made on 11-24.",
            "Last answer: HTTP 429: Daily quota exceeded; resets at 2026-11-26T08:00:00Z",
            *ALL,
        ],
    ),
    "a model that was withdrawn": (
        3,
        {"qa": [(when.always, do.status(422, GONE))]},
        [
            "The QA engine refuses the job's calls: no card was made.",
            (
                "✗ QA engine: 26 cards failed; all were made on 11-24: AAPL (4), MSFT (4), NVDA (4), TSLA (4), "
                "0700.HK (4), 600519.SS (4), 美联储 (2)."
            ),
            "Last answer: HTTP 422: query: model gpt-4o-mini was withdrawn",
            *ALL,
        ],
    ),
    # It may be the engine, the config, or its model: only the answer knows.
    "what was not found sends to nobody": (
        3,
        {"qa": [(NEWS, do.status(404, {"detail": "no such card type"}))]},
        [
            "7 of 26 cards are missing.",
            f"✗ QA engine: 7 cards failed; all were made on 11-24: {NEWS_CARDS}.",
            "Last answer: HTTP 404: no such card type",
            *SEVEN,
        ],
    ),
    "an engine that hangs until the end": (
        3,
        {"qa": [(NEWS, do.hang())]},
        [
            "7 of 26 cards are missing.",
            f"✗ QA engine: 7 cards failed; all were made on 11-24: {NEWS_CARDS}.",
            "No answer within 300 s.",
            "40 tries may have been charged; 19 made a card.",
            *SEVEN,
        ],
    ),
}


@pytest.mark.parametrize("row", ROWS)
async def test_what_is_told_of_a_night_that_failed(night: Night, row: str) -> None:
    code, faults, lines = ROWS[row]
    world = night.scene.world
    for engine, struck in faults.items():
        world.engines[engine].script += [Fault(condition, act) for condition, act in struck]
    await night.tries(code, NEWS_ENGINE_CONCURRENCY="8", QA_ENGINE_CONCURRENCY="8")
    assert told(night) == [line.format(news=world.news.url.removeprefix("http://")) for line in lines]


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
        await night.begins(THURSDAY)
        what = "26 cards were made with news data, unlike on 11-25; a plain start does not make them again."
        await world.configure("engine_control.json", {"run_news_engine": True})
    count = len(world.chat.texts)
    outcome = await night.start(0, **only)
    noticed = "engine_control.json: the news engine is switched off. Cards without its data: 26"
    assert [line["message"] for line in outcome.events("config.noticed")] == ([] if was_off else [noticed])
    assert outcome.finished["outcome"] == "succeeded"
    assert len(world.chat.texts) == count + 1
    assert world.chat.texts[-1].startswith(f"! cards, {night.day}\nAll 26 cards are made.\n! {what}\n")
    assert outcome.finished["changed"] == night.scene.stored(f"{night.day}/report.json")["changed"] == [what[:-1]]
    for page in ("index.html", f"{night.day}/report.html"):
        assert what in Parsed(world.recorded()[page].decode()).text
    assert ": all 26 cards are made" in world.recorded()[f"{night.day}/report.html"].decode()
    if not was_off:
        await night.start(0, "--again=NVDA/news_card", **only)
    await night.begins(FRIDAY)
    await night.start(0, **only)
    assert len(world.chat.texts) == count + 1, "once a day, and the good night after it is no news"


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
    left = 26 - made + unrecorded
    assert OVER.format(left, 3 * left) in text
    assert any(line.startswith("Last answer: could not write _lease.json: ") for line in text)
    scene.works()
    asked = len(world.qa.requests)
    await night.start(0, QA_ENGINE_CONCURRENCY="2")
    assert len(world.qa.requests) - asked == left


async def test_what_failed_before_a_deadline_has_to_be_over(night: Night) -> None:
    hangs = Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), do.hang())
    night.scene.world.qa.script.append(hangs)
    await night.tries(4, RUN_DEADLINE_SECONDS="500", QA_ENGINE_CONCURRENCY="8")
    assert OVER.format(2, 6) in told(night)


# --- what a command does that is pasted from a message ---


async def test_the_command_for_odd_cards_makes_just_these_again(night: Night) -> None:
    script = night.scene.world.qa.script
    odd = do.body({"status": "success", "error": "no credit for charts"})
    script.append(Fault(when.both(NEWS, when.ticker("NVDA", "TSLA")), odd))
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
    script.clear()
    count, (given,) = len(night.scene.requests), commands("\n".join(lines))
    outcome = await night.start(0, *given)
    assert [one.service for one in night.scene.requests[count:]] == ["qa"] * 2
    assert [note.partition(":")[0] for note in outcome.finished["notes"]] == ["Made again"]
    assert not [*commands(text_of(night))]


async def test_if_one_target_alone_has_failed_the_second_command_goes_on_without_it(night: Night) -> None:
    """All that stays was made on the night before."""
    script = night.scene.world.trading.script
    script.append(Fault(TSLA, do.failing("TSLA")))
    await night.tries(1, NEWS_ENGINE_CONCURRENCY="4")
    lines = told(night)
    assert lines[-3:] == [EXECUTE, WITHOUT.format("TSLA"), f"{EXECUTE} --args=run,--without=TSLA"]
    plain, first = [*commands("\n".join(lines))]
    await night.start(0, *first)
    assert told(night)[0] == "22 cards are made (left out: TSLA)."
    left_out = (
        "Once they can be made, this makes what was left out (4 cards; until 11-26 22:20); at "
        "most 12 tries are charged:"
    )
    assert told(night)[-2:] == [left_out, EXECUTE]
    script.clear()
    await night.start(0, *plain)
    assert told(night)[0] == "All 26 cards are made."


async def test_an_earlier_night_whose_config_has_changed_wants_yes_and_says_what_is_new(tuesday: Night) -> None:
    """What is left out now is not new; what was left out on that night is."""
    night, world = tuesday, tuesday.scene.world
    world.qa.script.append(Fault(when.both(TSLA, NEWS), do.status(500)))
    await night.start(3)
    await world.configure("ticker_list.json", [*TICKERS, "AMZN", "AMD"])
    world.qa.script.clear()
    await night.begins(WEDNESDAY)
    await night.start(0)

    async def new(*arguments: str) -> tuple[str, str]:
        refused = await night.start(2, f"--date={TUESDAY}", *arguments)
        (fault,) = refused.events("config.faulty")
        what, remedy = str(fault["message"]).rsplit("; ", 1)
        return what.removeprefix(f"--date: the config has changed since {TUESDAY}: New since {TUESDAY}, "), remedy

    def least(most: int) -> str:
        asked = "add --without=AMZN,--without=AMD to make what was asked for then (tries: at most 3)"
        return f"{asked}, or --yes to make all (tries: at most {most})"

    assert await new() == ("8 cards: AMZN (4), AMD (4)", least(27))
    assert await new("--without=AMZN") == ("4 cards: AMD (4)", least(15))
    count = len(world.qa.requests)
    await night.start(0, f"--date={TUESDAY}", "--without=AMZN", "--without=AMD")
    assert len(world.qa.requests) == count + 1
    all_of_it = "add --yes if that is meant (tries: at most 24)"
    assert await new() == ("8 cards: AMZN (4), AMD (4)", all_of_it), "what was asked for then is there"
    await night.start(0, f"--date={TUESDAY}", "--yes")
    assert len(world.qa.requests) == count + 9


FEWER = {
    "en": f"""\
! cards, {WEDNESDAY}
All 22 cards are made.
! No longer asked for since {TUESDAY}, 4 cards: TSLA (4).
Changed or written again since 11-24: ticker_list.json. If that is not meant, put it back as it was, then start.""",
    "zh": f"""\
! cards，{WEDNESDAY}
22 张图卡已全部生成。
! {TUESDAY} 之后不再要求 4 张：TSLA (4)。
11-24 之后改过或重新写过：ticker_list.json。如果不是有意的，请先恢复原样，再启动。""",
}


@pytest.mark.parametrize("language", FEWER)
async def test_fewer_cards_by_a_change_of_config_are_a_warning_once(tuesday: Night, language: str) -> None:
    tuesday.language, world = language, tuesday.scene.world
    await tuesday.start(0)
    await world.configure("ticker_list.json", [name for name in TICKERS if name != "TSLA"])
    count = len(world.chat.texts)
    for day in (WEDNESDAY, THURSDAY):
        await tuesday.begins(day)
        for arguments in ((), ("--again=AAPL/news_card",)):
            await tuesday.start(0, *arguments, NOTIFY_ONLY="failures")
            assert bool(tuesday.scene.stored(f"{day}/report.json")["changed"]) is (day == WEDNESDAY and not arguments)
    (text,) = world.chat.texts[count:]
    assert text.rpartition("\n")[0].rpartition("\n")[0] == FEWER[language]
    await tuesday.begins(WEDNESDAY)
    await world.configure("ticker_list.json", TICKERS)
    asked = len(world.qa.requests)
    await tuesday.start(0, f"--date={WEDNESDAY}", "--yes")
    assert len(world.qa.requests) == asked + 4, "put back, then started"


REFUSED = {
    "en": f"""\
✗ cards, {TUESDAY}
The command has 1 fault: nothing was called.
✗ --date: the config has changed since {TUESDAY}: New since {TUESDAY}, 4 cards: AMZN (4)
Add --without=AMZN to make what was asked for then (tries: at most 3), or --yes to make all (tries: at most 15)
As of {WEDNESDAY} 22:30 UTC""",
    "zh": f"""\
✗ cards，{TUESDAY}
命令有 1 处错误：没有调用任何引擎。
✗ --date：{TUESDAY} 之后配置有变动：{TUESDAY} 之后新增 4 张：AMZN (4)
加上 --without=AMZN，只补做当时要的（最多计费 3 次）；或加上 --yes，全部补做（最多计费 15 次）
截至 {WEDNESDAY} 22:30 UTC""",
}


@pytest.mark.parametrize("language", REFUSED)
async def test_a_command_that_is_refused_on_cloud_run_is_told_once_with_the_way_that_costs_least(
    tuesday: Night, language: str
) -> None:
    tuesday.language, world = language, tuesday.scene.world
    world.qa.script.append(Fault(when.both(TSLA, NEWS), do.status(422)))
    await tuesday.start(3)
    world.qa.script.clear()
    await world.configure("ticker_list.json", [*TICKERS, "AMZN"])
    await tuesday.begins(WEDNESDAY)
    count = len(world.chat.texts)
    await tuesday.tries(2, f"--date={TUESDAY}")
    assert world.chat.texts[count:] == [REFUSED[language]]
    asked = len(world.qa.requests)
    await tuesday.start(0, f"--date={TUESDAY}", "--without=AMZN")
    assert len(world.qa.requests) == asked + 1
