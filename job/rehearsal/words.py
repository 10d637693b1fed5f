"""The forecast in sentences."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from job.engines.catalog import ALL_ENGINES, ENGINES
from job.ledger.totals import percentile
from job.rehearsal.forecast import USABLE_ERROR, Forecast
from job.rehearsal.stand_in import Outage
from job.text.display import zone_of
from job.text.messages import Message, duration, listed, message, plural

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Tonight:
    """What is known of the run that is rehearsed."""

    start: datetime
    """A start at the same time of day: that of the latest one."""
    deadline: float | None
    """Seconds from the start."""
    unread: int = 0
    """How many recorded nights were too many to be read."""
    outages: Sequence[Outage] = ()

    def clock(self, seconds: float) -> str:
        """The time of day so many seconds after the start."""
        return f"{self.start + timedelta(seconds=seconds):%H:%M}"


def forecast_lines(forecast: Forecast, tonight: Tonight) -> Iterator[Message]:
    """The forecast, its backtest, and what it leaves out."""
    yield plural(
        "Tonight was rehearsed {played} times, with the answers of 1 past night. No engine was called.",
        "Tonight was rehearsed {played} times, with the answers of {count} past nights. No engine was called.",
        count=forecast.nights,
        played=len(forecast.played),
    )
    for outage in tonight.outages if forecast.every == 1 else ():
        yield message(
            "The {engine} engine answers every call with 503 from {begin}, for {duration}.",
            engine=ENGINES[outage.engine].word,
            begin=tonight.clock(outage.begins),
            duration=duration(outage.ends - outage.begins),
        )
    yield from _end_lines(forecast.ends, tonight)
    yield from _gap_lines(forecast)
    yield _deadline_line(forecast, tonight.deadline)
    yield from _call_lines(forecast)
    yield from backtest_lines(forecast)
    yield from _left_out_lines(forecast, tonight)


def _end_lines(ends: Sequence[float], tonight: Tonight) -> Iterator[Message]:
    """When the last card is there."""
    if not ends:
        return
    early, middle, late = (percentile(ends, percent) for percent in (10, 50, 90))
    yield message(
        "The last card is there {middle} after the start (median); {early} (p10), {late} (p90).",
        early=roughly(early),
        middle=roughly(middle),
        late=roughly(late),
    )
    if late < DAY_SECONDS:
        yield message(
            "Start at {start} {zone}: that is at {middle}; in 8 of 10 rehearsals between {early} and {late}.",
            start=tonight.clock(0),
            zone=zone_of(tonight.start),
            early=tonight.clock(early),
            middle=tonight.clock(middle),
            late=tonight.clock(late),
        )


def _gap_lines(forecast: Forecast) -> Iterator[Message]:
    """How often, and why, not all cards are there."""
    played = forecast.played
    complete = sum(one.is_complete for one in played)
    yield message("All cards are made in {complete} of {played} rehearsals.", complete=complete, played=len(played))
    for engine, nights in Counter(one.failed_engine for one in played if one.failed_engine).items():
        yield plural(
            "In 1 rehearsal the {engine} engine fails, and no card is requested.",
            "In {count} rehearsals the {engine} engine fails, and no card is requested.",
            count=nights,
            engine=ENGINES[engine].word,
        )
    if down := [one for one in played if one.is_down]:
        yield plural(
            "In 1 rehearsal the run stops early, since the QA engine cannot be reached: {cards} cards have to be made "
            "by a resume.",
            "In {count} rehearsals the run stops early, since the QA engine cannot be reached: {cards} cards (median) "
            "have to be made by a resume.",
            count=len(down),
            cards=round(median(one.planned - len(one.ends) for one in down)) * forecast.every,
        )
    if some := [(one.planned - len(one.ends)) * forecast.every for one in played if one.lacks_some]:
        yield plural(
            "In 1 rehearsal cards are missing at the end: {most}.",
            "In {count} rehearsals cards are missing at the end: {most} at most.",
            count=len(some),
            most=max(some),
        )


def _deadline_line(forecast: Forecast, deadline: float | None) -> Message:
    """The risk at the deadline."""
    if deadline is None:
        return message("RUN_DEADLINE_SECONDS is not known: give it with --set to see whether it cuts the run off.")
    late = [one for one in forecast.played if one.failed_engine is None and one.ended > deadline]
    if not late:
        return message(
            "RUN_DEADLINE_SECONDS ({deadline}) cuts the run off in none of {played} rehearsals.",
            deadline=duration(deadline),
            played=len(forecast.played),
        )
    lacks = [one.planned - sum(end <= deadline for end in one.ends) for one in late]
    return message(
        "RUN_DEADLINE_SECONDS ({deadline}) cuts the run off in {late} of {played} rehearsals; {cards} cards (median) "
        "are missing then. All other numbers are those without it.",
        deadline=duration(deadline),
        late=len(late),
        played=len(forecast.played),
        cards=round(median(lacks)) * forecast.every,
    )


def _call_lines(forecast: Forecast) -> Iterator[Message]:
    """What is paid for, and how many calls are in flight."""
    paid = sorted(one.paid * forecast.every for one in forecast.played)
    if paid[0] == paid[-1]:
        yield message("Card requests that are paid for: {count}.", count=paid[0])
    else:
        yield message(
            "Card requests that are paid for: {middle} (median), from {least} to {most}.",
            middle=round(median(paid)),
            least=paid[0],
            most=paid[-1],
        )
    most = {name: max(one.most_in_flight.get(name, 0) for one in forecast.played) for name in ALL_ENGINES}
    shown = ", ".join(f"{name} {count}" for name, count in most.items() if count)
    yield message("Calls in flight at most: {engines}.", engines=shown)


def backtest_lines(forecast: Forecast) -> Iterator[Message]:
    """How far past nights would have been foretold wrongly."""
    if forecast.error is None:
        yield message(
            "Backtest: no past night can be predicted from those before it, so it is not known how good this is."
        )
        return
    worst = max(forecast.backtest, key=lambda one: one.error)
    yield plural(
        "Backtest: 1 past night was predicted from those before it. The error was {error} ({day}: {predicted} "
        "predicted, {actual} in truth).",
        "Backtest: {count} past nights were each predicted from those before it. The error was {error} (median), at "
        "worst {worst} ({day}: {predicted} predicted, {actual} in truth).",
        count=len(forecast.backtest),
        error=f"{forecast.error:.0%}",
        worst=f"{worst.error:.0%}",
        day=worst.day,
        predicted=roughly(worst.predicted),
        actual=roughly(worst.actual),
    )
    if forecast.error > USABLE_ERROR:
        yield message(
            "An error of more than {limit} is too much: do not rely on this forecast.", limit=f"{USABLE_ERROR:.0%}"
        )


def _left_out_lines(forecast: Forecast, tonight: Tonight) -> Iterator[Message]:
    if tonight.unread:
        yield plural(
            "Left out: 1 older night was not read.",
            "Left out: {count} older nights were not read.",
            count=tonight.unread,
        )
    if forecast.every > 1:
        yield message(
            "Left out: the plan is large, so only one of {every} targets was rehearsed. Times and numbers are scaled "
            "up.",
            every=forecast.every,
        )
        if tonight.outages:
            yield message("Left out: the outage, since only a sample was rehearsed.")
    unknown = {name for one in forecast.played for name in one.unknown}
    if unknown:
        yield message(
            "No past night has these card types, so they are rehearsed like the others: {types}",
            types=listed(sorted(unknown)),
        )


def usual_line(forecast: Forecast) -> Message | None:
    """About how long the run takes; `None` if that is not known well enough."""
    if forecast.usual is None or forecast.error is None:
        return None
    return message(
        "About {usual} until the last card, as rehearsed with past nights (median error {error})",
        usual=roughly(forecast.usual),
        error=f"{forecast.error:.0%}",
    )


def roughly(seconds: float) -> Message:
    """A duration without the seconds that nobody can foretell."""
    return duration(seconds if seconds < 600 else 60 * round(seconds / 60))
