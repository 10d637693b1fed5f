"""What failed most often in the past nights, and when the cards are usually there."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from job.engines.catalog import TITLES, EngineName
from job.report.comparison import LEAST_NIGHTS, NIGHTS_COMPARED
from job.report.report import ItemKey, Report
from job.text.messages import Message, message

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Often:
    """An item that failed on several nights."""

    engine: EngineName
    target: str
    card_type: str | None
    nights: int
    last: str
    """The day on which it failed last."""

    @property
    def line(self) -> Message:
        """The item in a sentence."""
        if self.card_type is not None:
            return message(
                "{target}/{card_type}: failed on {count} nights, the last on {last}",
                target=self.target,
                card_type=self.card_type,
                count=self.nights,
                last=self.last[5:],
            )
        return message(
            "{target} ({engine}): failed on {count} nights, the last on {last}",
            target=self.target,
            engine=TITLES[self.engine],
            count=self.nights,
            last=self.last[5:],
        )


def most_often(nights: Iterable[Report]) -> Sequence[Often]:
    """The items that failed on two nights or more, the most frequent first. Of equal counts the latest is first."""
    counts: Counter[ItemKey] = Counter()
    latest: dict[ItemKey, str] = {}
    for night in nights:
        for group in night.missing:
            if group.state == "failed":
                for target in group.targets:
                    key = (group.engine, target, group.card_type)
                    counts[key] += 1
                    latest[key] = max(latest.get(key, ""), night.day)
    repeated = [key for key, count in counts.items() if count > 1]
    first = sorted(repeated, key=lambda key: (counts[key], latest[key]), reverse=True)[:SHOWN]
    return [Often(*key, counts[key], latest[key]) for key in first]


def usual_line(nights: Iterable[Report]) -> Message | None:
    """When the cards are usually there, from the latest nights that were done within 24 hours.

    `None` if these are fewer than three.
    """
    done = [(one, moment) for one in nights if (moment := one.done_at) and one.had_plan]
    own = sorted((one.day, moment) for one, moment in done if not one.days.is_past(one.day, moment))[-NIGHTS_COMPARED:]
    if len(own) < LEAST_NIGHTS:
        return None
    # From the day's own midnight on: what is done at 00:10 comes after 23:50.
    minutes = [
        (moment.date() - date.fromisoformat(day)).days * 1440 + moment.hour * 60 + moment.minute for day, moment in own
    ]
    usual, latest = (_clock(value) for value in (statistics.median(minutes), max(minutes)))
    if usual == latest:
        return message("Usually there by {usual}", usual=usual)
    return message("Usually there by {usual}, at the latest {latest}", usual=usual, latest=latest)


def _clock(minutes: float) -> str:
    hours, minutes = divmod(round(minutes), 60)
    return f"{hours % 24:02}:{minutes:02}"
