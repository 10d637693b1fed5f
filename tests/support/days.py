"""Days as their pages show them, built from results, without a run: one for each way in which a day can end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from job.config.faults import Fault
from job.config.schema import LlmConfig
from job.engines.catalog import DATA_ENGINES, EngineName
from job.engines.failures import CUT_OFF, Cause, Failure
from job.execution.phases import EngineFailedError
from job.execution.shutdown import ShutdownReason
from job.ledger.ledger import Ledger, SetAside
from job.planning.plan import Plan
from job.planning.targets import Target
from job.records.nights import Night, Nights
from job.report.advice import advice
from job.report.attempt import Start
from job.report.commands import Place
from job.report.comparison import comparison_lines
from job.report.outcome import Ending, Outcome, bad_config, busy, ending_of, state_of, storage_failed, unforeseen
from job.report.report import Report, report_of
from job.report.view import View
from job.text.messages import message
from tests.support.fakes import target
from tests.support.results import result_of, tried

DAY = "2026-11-24"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = ["AAPL", "MSFT", "NVDA", "TSLA", "BRK.B", "0700.HK", "9988.HK", "600519.SS", "300750.SZ", "^GSPC", "BTC-USD"]
TYPES = ["news_card", "earnings_card", "price_card", "valuation_card", "outlook_card"]
REFUSED = Failure(Cause.DENIED, message("failed: the model refused"), 200)
RESET = Failure(Cause.TRANSPORT, message("connection reset"))
NULL = Failure(Cause.DENIED, message("the answer is null"), 200)
SECONDS: Mapping[EngineName, float] = {"financial": 80.0, "trading": 95.0, "news": 40.0, "qa": 50.0}
AT_A_TIME: Mapping[EngineName, int] = {"financial": 2, "trading": 3, "news": 8, "qa": 16}
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

    def __post_init__(self) -> None:
        self.plan = Plan(tuple(self.targets), LlmConfig(), self.day, {"financial": 5, "trading": 5})
        self.ledger = Ledger(self.plan)
        self._began = datetime.fromisoformat(f"{self.day}T02:00:03+08:00")
        self._spans = count(0x354088D11D7B3594)
        self.number = 0
        self.error: EngineFailedError | None = None

    def play(self, fate: Fate = well, until: float = 1e9, retried: int = 7) -> Day:
        """An attempt: its data phase, then its card phase. `until` is when it was interrupted, in seconds from its
        start; of the cards every `retried`th is made only when it is tried again."""
        self.number, self.error, began = self.number + 1, None, self.at
        phases: Sequence[Sequence[EngineName]] = (DATA_ENGINES, ("qa",))
        for engines in phases:
            start = self.at
            for engine in engines:
                for started, call in self._calls(engine, start):
                    seconds = SECONDS[engine] * (0.6 + (hash_of(call.targets, call.card_type) % 80) / 100)
                    failure = next((one for name in call.targets if (one := fate(engine, name, call.card_type))), None)
                    if started - began > until:
                        continue
                    if started + seconds - began > until:
                        failure, seconds = CUT_OFF, until - (started - began)
                    self._add(call, failure, started, seconds, retried)
                if self.error is not None and engine == "news":
                    self.at += 1
                    return self
        return self

    def _calls(self, engine: EngineName, start: float) -> Iterator[tuple[float, Any]]:
        free = [start] * AT_A_TIME[engine]
        for call in list(self.plan.calls(engine, self.ledger.settled(engine))):
            slot = free.index(min(free))
            yield free[slot], call
            seconds = SECONDS[engine] * (0.6 + (hash_of(call.targets, call.card_type) % 80) / 100)
            free[slot] += seconds

    def _add(self, call: Any, failure: Failure | None, started: float, seconds: float, retried: int) -> None:
        moment, tries = self._began.timestamp() + started, tried()
        if call.engine == "qa" and hash_of(call.targets, call.card_type) % retried == 0:
            tries = tried((moment, moment + seconds / 4, "HTTP 503"))
        result = result_of(
            call,
            failure,
            started=round(moment + (seconds / 3 if tries else 0), 3),
            ended=round(moment + seconds, 3),
            attempts=len(tries) + 1,
            retries=len(tries),
            failed_attempts=tries,
            date=call.date,
            again=self.ledger.again_of(call),
            traceparent=f"00-{TRACE}-{next(self._spans):016x}-01",
        )
        self.ledger.add(result)
        self.at = max(self.at, started + seconds)
        if failure is not None and failure is not CUT_OFF and call.engine != "qa" and self.error is None:
            self.error = EngineFailedError(result, 1, None)

    def view(self, ending: Ending | None = None, *nights: Report, faults: Sequence[Fault] = ()) -> View:
        """How the day stands after the attempts that were played. `nights` are those before."""
        begun = self.start_of()
        if ending is None:
            ending = ending_of(self.ledger, None, self.error, None, begun.without)
        seconds = None if ending.outcome in {Outcome.KILLED, Outcome.AT_WORK} else self.at if self.number < 2 else 61.0
        report = report_of(begun, self.ledger, ending, seconds=seconds, faults=faults, before=max_day(nights))
        now = self._began + timedelta(seconds=self.at)
        return View(
            report, self.ledger, advice(report, Place.of(begun, None), now), tuple(comparison_lines(report, nights))
        )

    def start_of(self) -> Start:
        """How its latest attempt began."""
        started = self._began + timedelta(seconds=self.at - 61.0 if self.number > 1 else 0)
        given: dict[str, Any] = {
            "day": self.day,
            "number": self.number,
            "began": self._began.isoformat(timespec="seconds"),
            "started": started.isoformat(timespec="seconds"),
            "zone": "Asia/Shanghai",
            "trace_id": TRACE,
            "arguments": ("run",),
            "job": "cards",
            "region": "asia-east1",
            "project": "our-project",
            "execution": "cards-x7k2p",
            "config_uri": "gs://cards-config/config",
            "version": "1.0.0",
            "commit": "0e4f2601c5d9",
        }
        return Start.model_validate(given | self.start)


def hash_of(targets: Sequence[str], card_type: str | None) -> int:
    """A number that is the same in every process."""
    return sum(ord(char) * place for place, char in enumerate(f"{targets}{card_type}", 3))


def max_day(nights: Sequence[Report]) -> Report | None:
    return max(nights, key=lambda one: one.day, default=None)


def _all_made() -> View:
    return Day().play().view()


def _second_attempt() -> View:
    day = Day().play(failing(REFUSED, "qa", "NVDA"))
    day.at += 3 * 3600
    return day.play().view()


def _cards_missing() -> View:
    before = Day("2026-11-23").play(failing(REFUSED, "qa", "TSLA")).view().report
    day = Day().play(
        lambda engine, name, card: (
            REFUSED if engine == "qa" and (name == "NVDA" or (name, card) == ("TSLA", "news_card")) else None
        )
    )
    return day.view(None, before)


def _set_aside() -> View:
    day = Day().play(lambda engine, _, card: REFUSED if (engine, card) == ("qa", "price_card") else None)
    reason, remedy = message("20 cards in a row failed"), message("Look at the QA engine's log.")
    day.ledger.set_aside.append(SetAside(card_type="price_card", reason=reason, remedy=remedy))
    return day.view()


def _data_failed() -> View:
    return Day().play(failing(NULL, "news", "AAPL"), until=50).view()


def _qa_down() -> View:
    day = Day().play(failing(RESET, "qa"), until=260)
    return day.view(ending_of(day.ledger, ShutdownReason.QA_DOWN))


def _bad_config() -> View:
    where, remedy = 'card_targets.json: [3] ("APPL")', message("correct it, or add it to ticker_list.json")
    faults = [Fault(where, message("is not a ticker of ticker_list.json"), remedy)] * 2
    day = Day(targets=())
    return day.view(bad_config(len(faults), of_command=False), faults=faults)


def _again() -> View:
    day = Day(start={"arguments": ("run", "--again", "NVDA")}).play()
    day.at += 6 * 3600
    cards = [("qa", ("NVDA", card)) for card in TYPES]
    data = [(engine, ("NVDA", None)) for engine in DATA_ENGINES]
    day.ledger.ask_again([*cards, *data], 2)  # type: ignore[list-item]
    return day.play().view()


def _again_failed() -> View:
    day = Day(start={"arguments": ("run", "--again", "NVDA/news_card")}).play()
    day.at += 6 * 3600
    day.ledger.ask_again([("qa", ("NVDA", "news_card")), ("qa", ("AAPL", "news_card"))], 2)
    return day.play(failing(REFUSED, "qa", "NVDA")).view()


def _without() -> View:
    targets = [one for one in Day().targets if one.id != "MSFT"]
    return Day(targets=targets, start={"without": ("MSFT",), "arguments": ("run", "--without=MSFT")}).play().view()


def _stopped(reason: ShutdownReason, until: float = 200) -> View:
    day = Day().play(until=until)
    return day.view(ending_of(day.ledger, reason, None, message("HTTP 503")))


def _state(outcome: Outcome) -> View:
    day = Day().play(until=180)
    return day.view(state_of(day.ledger, outcome, ()))


def _unforeseen() -> View:
    day = Day().play(until=180)
    return day.view(unforeseen(day.ledger))


SCENES: Mapping[str, Callable[[], View]] = {
    "all made": _all_made,
    "made in a second attempt": _second_attempt,
    "cards missing": _cards_missing,
    "a type set aside": _set_aside,
    "data failed": _data_failed,
    "QA down": _qa_down,
    "bad config": _bad_config,
    "made again": _again,
    "not made again": _again_failed,
    "without one": _without,
    "data alone": lambda: Day(targets=[replace(target(name), card_types=()) for name in NAMES]).play().view(),
    "deadline": lambda: _stopped(ShutdownReason.DEADLINE),
    "interrupted before the cards": lambda: _stopped(ShutdownReason.SIGTERM, 60),
    "lease lost": lambda: _stopped(ShutdownReason.LEASE_LOST),
    "killed": lambda: _state(Outcome.KILLED),
    "at work": lambda: _state(Outcome.AT_WORK),
    "unforeseen": _unforeseen,
    "busy": lambda: Day(targets=(), start={"arguments": ("run", "--again=NVDA")}).view(busy(message("since 02:00"))),
    "storage failed": lambda: Day(targets=()).view(storage_failed(message("HTTP 503"))),
}


def some_nights() -> Nights:
    """Nights of all kinds, the newest first."""
    fates: Sequence[Fate] = (well, failing(REFUSED, "qa", "NVDA"), well, failing(NULL, "news", "AAPL"), well, well)
    reports: list[Report] = []
    for number, fate in enumerate([*fates, *fates, *fates], 6):
        reports.append(Day(f"2026-11-{number:02}").play(fate).view(None, *reports).report)
    late = Day("2026-11-24")
    late.play(failing(REFUSED, "qa", "NVDA")).at += 86_400
    reports += [
        late.play().view(None, *reports).report,
        Day("2026-11-25", targets=()).view(bad_config(1, of_command=False)).report,
    ]
    nights = [Night(one.day, one.outcome, one) for one in reports]
    broken = message("{object} is missing", object="2026-11-27/ends/000001.json")
    nights += [Night("2026-11-26", Outcome.KILLED), Night("2026-11-27", Outcome.UNREADABLE, problem=broken)]
    last = Day("2026-11-28").play(fates[1]).view(None, *reports).report
    nights.append(Night(last.day, last.outcome, last))
    return Nights(nights[::-1])
