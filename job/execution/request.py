"""Run request: the settings and options of a run."""

from dataclasses import dataclass
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.engines.identity import RunIdentity


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run with these settings. If the run has a record, it is resumed."""

    settings: Settings
    faults: list[Fault]
    """The faults of the settings."""
    identity: RunIdentity
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    resume: bool = False
    """Whether the run must have a record."""
    new_config: bool = False
    """Whether a resumed run takes the current config instead of the recorded one."""

    @property
    def arguments(self) -> list[str]:
        """The arguments of the command line that requests the same run."""
        if not self.resume:
            return []
        return ["resume", self.identity.id, *(["--new-config"] if self.new_config else [])]
