"""Run request: the settings and options of a start."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a person or the scheduler asks for: that the cards of a day exist."""

    settings: Settings
    faults: Sequence[Fault]
    """The faults of the settings and of the command."""
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    date: str | None = None
    """The day, if it was named."""
    again: tuple[str, ...] = ()
    """What is made again, as in `job.planning.selection`."""
    is_confirmed: bool = False
    """Whether many cards may be paid for again."""
    without: tuple[str, ...] = ()
    """Targets that are left out of this attempt."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command line that requests the same."""
        return (
            "run",
            *([f"--date={self.date}"] if self.date else []),
            *(f"--again={name}" for name in self.again),
            *(["--yes"] if self.is_confirmed else []),
            *(f"--without={name}" for name in self.without),
        )
