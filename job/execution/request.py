"""What the user requests of a run."""

from dataclasses import dataclass
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.engines.identity import RunIdentity


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is requested: a run with these settings. A run that has a record goes on from it."""

    settings: Settings
    faults: list[Fault]
    """Of the settings."""
    identity: RunIdentity
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    resume: bool = False
    """Whether the run must have a record."""
    new_config: bool = False
    """Whether the run goes on with the config as it is now, not as it was recorded."""

    @property
    def arguments(self) -> list[str]:
        """What the command line said, to say it again."""
        if not self.resume:
            return []
        return ["resume", self.identity.id, *(["--new-config"] if self.new_config else [])]
