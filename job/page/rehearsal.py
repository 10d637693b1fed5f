"""Page of a rehearsal, as numbers: a bar for each stretch of time in which rehearsals ended."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from job.page.charts import WIDTH
from job.page.nights import TALL
from job.text.messages import Message, plural

STEPS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
"""Seconds that a bar stands for."""
BARS = 30
"""At most; there may be fewer."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """When the rehearsals ended."""

    bars: Sequence[tuple[float, float, Message]]
    """For each bar: its left edge, its height, and its text."""
    width: float
    """Width of a bar."""
    ends: tuple[str, str]
    """The times at both sides."""


def histogram(ends: Sequence[float], shown: Callable[[float], str]) -> Histogram | None:
    """The chart of when rehearsals ended, in seconds, sorted; `shown` returns a time for people. `None` without any."""
    if not ends:
        return None
    step = next((step for step in STEPS if ends[-1] // step - ends[0] // step < BARS), STEPS[-1])
    first, last = int(ends[0] // step), int(ends[-1] // step)
    counts = Counter(int(end // step) for end in ends)
    width = WIDTH / (last + 1 - first)

    def bars() -> Iterator[tuple[float, float, Message]]:
        for number, count in sorted(counts.items()):
            says = plural(
                "1 rehearsal ends between {begin} and {end}",
                "{count} rehearsals end between {begin} and {end}",
                count=count,
                begin=shown(number * step),
                end=shown((number + 1) * step),
            )
            yield (number - first) * width, TALL * count / max(counts.values()), says

    return Histogram(list(bars()), width, (shown(first * step), shown((last + 1) * step)))
