"""Pace: how long an engine's remaining items take, estimated from the latest calls."""

from collections import deque
from dataclasses import dataclass, field

SAMPLES = 30
SAMPLE_SECONDS = 5.0


@dataclass(slots=True)
class Pace:
    """Counts the items that finished in the last two and a half minutes, or in the last 30 calls if that is longer."""

    _samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def start(self, now: float) -> None:
        """The first call starts. Later starts change nothing."""
        if not self._samples:
            self._samples.append((now, 0))

    def update(self, now: float, finished: int) -> None:
        """`finished` is how many items have finished since the first call started."""
        if self._samples and now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, finished))

    def seconds(self, items: int, now: float, finished: int) -> float | None:
        """How many seconds `items` more items take; `None` if that cannot be estimated."""
        since, before = self._samples[0] if self._samples else (now, finished)
        return items * (now - since) / (finished - before) if finished > before and now > since else None
