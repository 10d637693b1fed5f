"""Days as their pages show them, built from results, without a run: one for each way in which a day can end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from job.config.faults import Fault, FaultKind
from job.config.objects import LlmConfig
from job.config.plan import Plan, Target, select
from job.day.attempt import Outcome, Start
from job.day.ending import Ending, ending_of
from job.day.history import Night, Nights
from job.day.ledger import Ledger
from job.day.report import PHASES, Report
from job.day.result import EngineFailedError, ShutdownReason
from job.day.summary import report_of
from job.engines.calls import BATCHES, ENGINES, Call, EngineName
from job.engines.failures import CUT_OFF, Cause, Failure
from job.records.past_nights import FINAL
from job.telling.advice import Commands
from job.telling.view import View
from job.text.messages import message, said
from tests.support.fakes import target
from tests.support.records import start_at
from tests.support.results import result_of, tried

DAY = "2026-11-24"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = ["AAPL", "MSFT", "NVDA", "TSLA", "BRK.B", "0700.HK", "9988.HK", "600519.SS", "300750.SZ", "^GSPC", "BTC-USD"]
TYPES = ["news_card", "earnings_card", "price_card", "valuation_card", "outlook_card"]
REFUSED = Failure(Cause.DENIED, said("failed: the model refused"), 200)
RESET = Failure(Cause.TRANSPORT, message("connection reset"))
ERROR = message("the answer says success, but has an error: {error}", error="failed: the model refused")
NULL = Failure(Cause.DENIED, said("the engine answered null"), 200)
SECONDS: Mapping[EngineName, float] = dict.fromkeys(ENGINES, 40.0) | {"financial": 80.0, "trading": 95.0, "qa": 50.0}
AT_A_TIME: Mapping[EngineName, int] = dict.fromkeys(ENGINES, 8) | {"financial": 2, "trading": 3, "qa": 16}
LAST = 61.0
"""The seconds of any attempt but the first."""
Fate = Callable[[EngineName, str, str | None], Failure | None]
"""Why a target or a card fails; `None` if it is done."""


def well(_engine: EngineName, _target: str, _card_type: str | None) -> None:
    return None


def failing(failure: Failure, engine: EngineName, *names: str) -> Fate:
    """All that an engine does for these targets fails; without names, all that it does."""
    return lambda called, name, _: failure if called == engine and (not names or name in names) else None


@dataclass
class Day:
    """A day to build: `play` adds an attempt, `view` is how it stands then."""

    day: str = DAY
    targets: Sequence[Target] = field(
        default_factory=lambda: [
            *(target(name, TYPES) for name in NAMES),
            Target("Rate vs Inflation", "topic", "rates", None, ("news",), ("news_card", "outlook_card")),
            Target("美联储", "topic", "fed", None, ("news",), ("news_card",)),
        ]
    )
    start: dict[str, Any] = field(default_factory=dict)
    """Changes of how its latest attempt began."""
    at: float = 0.0
    """Seconds after the first attempt began."""
    with_error: Sequence[str] = ()
    """The targets for whose cards QA says success, with an error besides."""

    def __post_init__(self) -> None:
        plan = Plan(tuple(self.targets), LlmConfig(), self.day, dict.fromkeys(BATCHES, 5))
        self.plan = plan.without(self.start.get("without", ()))
        self.ledger = Ledger(self.plan)
        self._began = datetime.fromisoformat(f"{self.day}T02:00:03+08:00")
        self._spans = count(0x354088D11D7B3594)
        self.number = 0
        self.errors: list[EngineFailedError] = []

    def play(self, fate: Fate = well, until: float = math.inf) -> "Day":
        """An attempt: its data phase, and if that has not failed its card phase. After `until` seconds it was ended."""
        self.number, end = self.number + 1, self.at + until
        self.errors.clear()
        for engines in PHASES.values():
            began = self.at
            for engine in engines:
                free = [began] * AT_A_TIME[engine]
                for call in map(self.plan.call, self.plan.work(engine, self.ledger.is_done)):
                    slot = free.index(min(free))
                    if free[slot] < end:
                        free[slot] = self._call(call, fate, free[slot], end)
            if self.errors or self.at >= end:
                break
        return self

    def _call(self, call: Call, fate: Fate, started: float, end: float) -> float:
        """Adds the result of a call. Every seventh card was tried twice. Returns when it ended."""
        number = sum(ord(char) * place for place, char in enumerate(f"{call.targets}{call.card_type}", 3))
        ended = started + SECONDS[call.engine] * (0.6 + number % 80 / 100)
        failure = next((one for name in call.targets if (one := fate(call.engine, name, call.card_type))), None)
        if ended > end:
            failure, ended = CUT_OFF, end
        began, last = self._began.timestamp() + started, self._began.timestamp() + ended
        tries = tried((began, began + (ended - started) / 4, "HTTP 503")) if call.card_type and not number % 7 else ()
        result = result_of(
            call,
            failure,
            started=round(began + (ended - started) / 3 if tries else began, 3),
            ended=round(last, 3),
            tries=len(tries) + 1,
            retries=len(tries),
            failed_tries=tries,
            date=call.date,
            warning=ERROR if call.card_type and call.targets[0] in self.with_error and failure is None else None,
            again=self.ledger.rerun_of(call),
            traceparent=f"00-{TRACE}-{next(self._spans):016x}-01",
        )
        self.ledger.add(result)
        self.at = max(self.at, ended)
        if failure not in {None, CUT_OFF} and call.card_type is None:
            self.errors.append(EngineFailedError(result))
        return ended

    def view(self, ending: Ending | None = None, *nights: Report, faults: Sequence[Fault] = ()) -> View:
        """How the day stands after the attempts that were played. `nights` are those before, and had the same plan."""
        begun = self.start_of()
        if ending is None:
            ending = ending_of(self.ledger, None, next(iter(self.errors), None))
        seconds = None if ending.exit_code is None else self.at if self.number < 2 else LAST
        latest = Nights([*map(night_of, sorted(nights, key=lambda one: one.day, reverse=True))]).before(self.day)
        before = None if latest is None else (latest, self.plan)
        report = report_of(begun, self.ledger, ending, seconds=seconds, faults=faults, before=before)
        now = self._began + timedelta(seconds=self.at)
        is_retried = begun.has_retry and ending.outcome not in FINAL
        return View.of(report, self.ledger, Commands(begun, "", begun.days, now), is_retried=is_retried)

    def start_of(self) -> Start:
        """How its latest attempt began."""
        started = self._began + timedelta(seconds=self.at - LAST if self.number > 1 else 0)
        given = {
            "number": self.number,
            "began": self._began.isoformat(timespec="seconds"),
            "started": started.isoformat(timespec="seconds"),
            "trace_id": TRACE,
            "job": "cards",
            "region": "asia-east1",
            "project": "our-project",
            "execution": "cards-x7k2p",
            "commit": "0e4f2601c5d9",
        }
        return start_at(self.day, **(given | self.start))


def night_of(report: Report) -> Night:
    return Night(report.day, report.outcome, report)


def _second_attempt() -> View:
    day = Day().play(failing(REFUSED, "qa", "NVDA"))
    day.at += 3 * 3600
    return day.play().view()


def _cards_missing() -> View:
    before = Day("2026-11-23").play(failing(REFUSED, "qa", "TSLA")).view().report
    lost = {("TSLA", "news_card"), *(("NVDA", card) for card in TYPES)}
    return Day().play(lambda _, name, card: REFUSED if (name, card) in lost else None).view(None, before)


def _several_kinds() -> View:
    """Two ways to fail, and a card with an error besides; all were made on the night before."""
    before, lost = Day("2026-11-23").play().view().report, {"NVDA": REFUSED, "TSLA": RESET}
    day = Day(with_error=["美联储"])
    return day.play(lambda engine, name, _: lost.get(name) if engine == "qa" else None).view(None, before)


def _data_failed() -> View:
    before = Day("2026-11-23").play().view().report
    return Day().play(failing(NULL, "news", "AAPL"), until=50).view(None, before)


def _qa_down() -> View:
    day = Day().play(failing(RESET, "qa"), until=260)
    return day.view(ending_of(day.ledger, ShutdownReason.QA_DOWN))


def _bad_config(name: str = DAY) -> View:
    where, remedy = said('card_targets.json: [3] ("APPL")'), said("correct it, or add it to ticker_list.json")
    faults = [Fault(where, said("is not a ticker of ticker_list.json"), remedy, FaultKind.OBJECT)] * 2
    return Day(name, targets=()).view(Ending(Outcome.BAD_CONFIG), faults=faults)


def _again(*names: str, fate: Fate = well) -> View:
    day = Day(start={"arguments": ("run", "--again", *names)}).play()
    day.at += 6 * 3600
    day.ledger.rerun(select(day.plan, names, is_confirmed=True)[0], 2)
    return day.play(fate).view()


def _stopped(reason: ShutdownReason, until: float = 200) -> View:
    day = Day(start={"deadline": 240.0, "max_retries": 1}).play(until=until)
    return day.view(ending_of(day.ledger, reason, None, said("HTTP 503")))


def _state(outcome: Outcome) -> View:
    day = Day(start={"deadline": 10_740.0}).play(until=180)
    day.ledger.breaks_off = outcome is Outcome.KILLED
    return day.view(Ending(outcome))


SCENES: Mapping[str, Callable[[], View]] = {
    "all made": lambda: Day().play().view(),
    "made in a second attempt": _second_attempt,
    "made with errors": lambda: Day(with_error=["NVDA", "美联储"]).play().view(),
    "cards missing": _cards_missing,
    "several kinds": _several_kinds,
    "data failed": _data_failed,
    "QA down": _qa_down,
    "bad config": _bad_config,
    "made again": lambda: _again("NVDA"),
    "not made again": lambda: _again("NVDA/news_card", "AAPL/news_card", fate=failing(REFUSED, "qa", "NVDA")),
    "without one": lambda: Day(start={"without": ("MSFT",), "arguments": ("run", "--without=MSFT")}).play().view(),
    "data alone": lambda: Day(targets=[replace(target(name), card_types=()) for name in NAMES]).play().view(),
    "deadline": lambda: _stopped(ShutdownReason.DEADLINE),
    "interrupted before the cards": lambda: _stopped(ShutdownReason.SIGTERM, 60),
    "lease lost": lambda: _stopped(ShutdownReason.LEASE_LOST),
    "killed": lambda: _state(Outcome.KILLED),
    "at work": lambda: _state(Outcome.AT_WORK),
    "unforeseen": lambda: _state(Outcome.UNFORESEEN),
    "busy": lambda: Day(targets=(), start={"arguments": ("run", "--again=NVDA")}).view(
        Ending(Outcome.BUSY, detail=said("since 02:00"))
    ),
    "storage failed": lambda: Day(targets=()).view(Ending(Outcome.STORAGE_FAILED, detail=said("HTTP 503"))),
}


def view_of_latest(nights: Nights, uri: str, now: datetime) -> View:
    """That of the start of the latest night that has a report; it is shown without its ledger."""
    report = nights.reports[0]
    return View.of(report, Ledger.empty(report.day), Commands(report, uri, report.days, now))


def some_nights() -> Nights:
    """Nights of all kinds, the newest first."""
    fates: Sequence[Fate] = (well, failing(REFUSED, "qa", "NVDA"), well, failing(NULL, "news", "AAPL"), well, well)
    reports: list[Report] = []
    for number, fate in enumerate([*fates, *fates, *fates], 6):
        until = 50 if fate is fates[3] else math.inf
        reports.append(Day(f"2026-11-{number:02}").play(fate, until).view(None, *reports).report)
    late = Day("2026-11-24").play(failing(REFUSED, "qa", "NVDA"))
    late.at += 86_400
    reports.append(late.play().view(None, *reports).report)
    reports.append(_bad_config("2026-11-25").report)
    reports.append(Day("2026-11-28").play(failing(REFUSED, "qa", "NVDA")).view(None, *reports).report)
    broken = message("{object} is missing", object="2026-11-27/ends/000001.json")
    killed = Day("2026-11-26", start={"number": 1, "without": ("NVDA",)}).start_of()
    states = [
        Night(killed.day, Outcome.KILLED, attempt=killed),
        Night("2026-11-27", Outcome.UNREADABLE, problem=broken),
    ]
    nights = [*map(night_of, reports), *states]
    return Nights(sorted(nights, key=lambda night: night.day, reverse=True))
