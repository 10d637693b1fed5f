"""Overview of past nights, for the terminal and the page: runs by day, each engine's state, what failed most often."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from job.engines.catalog import EngineName
from job.execution.progress import EngineTotals
from job.records.nights import Night, Nights
from job.records.summary import ItemKey, RunSummary
from job.text.messages import Message, message, plural, template

OFTEN_SHOWN = 20
EngineState = Literal["good", "warn", "bad", "none"]
"""All done; not all done; some failed; nothing planned, or not known."""
NO_SUMMARY = template("no summary")
MARKS: Mapping[EngineState, str] = {"good": "✓", "warn": "–", "bad": "✗", "none": ""}
"""A mark for each state, for readers who cannot distinguish the colours."""


def state_of(totals: EngineTotals | None) -> EngineState:
    """The state of one engine in one run."""
    if totals is None or not totals.planned:
        return "none"
    if totals.done + totals.skipped >= totals.planned:
        return "good"
    return "bad" if totals.failed > totals.cut_off else "warn"


def by_day(nights: Nights) -> Sequence[tuple[str, Sequence[Night]]]:
    """The runs of each day together, the newest first."""
    runs = sorted(nights.runs, key=day_of, reverse=True)  # stable: the newest run of a day stays first
    return [(day, list(some)) for day, some in groupby(runs, key=day_of)]


def day_of(night: Night) -> str:
    """The day that a run is for; that of its start if it has no summary."""
    return night.summary.day if night.summary else night.started.date().isoformat()


@dataclass(frozen=True, slots=True)
class Often:
    """An item that failed on several nights."""

    engine: EngineName
    target: str
    card_type: str | None
    nights: int
    last: str
    """The day on which it failed last."""
    cause: str

    @property
    def name(self) -> str:
        """The item in one line."""
        return f"{self.engine}: {self.target}" if self.card_type is None else f"{self.target} {self.card_type}"


def most_often(summaries: Iterable[RunSummary]) -> tuple[Sequence[Often], int]:
    """The items that failed on most nights, and the number of further ones that failed.

    Of equal counts the one that failed last is first.
    """
    seen: set[tuple[ItemKey, str]] = set()
    counts: Counter[ItemKey] = Counter()
    latest: dict[ItemKey, tuple[str, str]] = {}
    for summary in summaries:
        for group in summary.missing:
            if group.state == "failed":
                for target in group.targets:
                    key = (group.engine, target, group.card_type)
                    if (key, summary.day) not in seen:
                        seen.add((key, summary.day))
                        counts[key] += 1
                        latest[key] = max(latest.get(key, ("", "")), (summary.day, group.cause or ""))
    first = sorted(counts, key=lambda key: (counts[key], latest[key]), reverse=True)[:OFTEN_SHOWN]
    return [Often(*key, counts[key], *latest[key]) for key in first], len(counts) - len(first)


def more_often_line(count: int) -> Message:
    """How many items failed besides those that are listed, and where they are named."""
    return message("And {count} more: the page of each run names what failed.", count=count)


def period_line(nights: Nights) -> Message:
    """The number of runs, and their first and last day."""
    days = sorted(day_of(night) for night in nights.runs)
    if not days:
        return message("no run is recorded")
    return plural(
        "1 run, of {last}", "{count} runs, from {first} to {last}", count=len(nights.runs), first=days[0], last=days[-1]
    )


def done_line(nights: Nights) -> Message:
    """How many of the runs did all their work."""
    done = sum(summary.outcome == "succeeded" for summary in nights.summaries)
    return plural("1 of them did all its work", "{count} of them did all their work", count=done)
