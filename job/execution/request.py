"""Run request: the settings and options of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.engines.identity import RunIdentity
from job.planning.left_out import option_of


@dataclass(frozen=True, slots=True)
class RemakeOptions:
    """What a person asks to have made again."""

    names: Sequence[str]
    """As in `job.planning.selection`."""
    with_data: bool = False
    """Whether the data of these targets is prepared first."""
    is_confirmed: bool = False
    can_ask: bool = False
    """Whether a person is there who can be asked."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a person or the scheduler asks for: the run of the day, the resume of a recorded run, or a remake."""

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
    again: bool = False
    """Whether everything is made anew, in a run of its own, although the day may have a run already."""
    remake: RemakeOptions | None = None
    """What of a recorded run is made again; nothing else is requested then."""
    without: tuple[str, ...] = ()
    """Targets that a resumed run leaves out."""

    @property
    def arguments(self) -> list[str]:
        """The arguments of the command line that requests the same run."""
        if self.remake is not None:
            options = [*(["--data"] if self.remake.with_data else []), *(["--yes"] if self.remake.is_confirmed else [])]
            return ["remake", self.identity.id, *self.remake.names, *options]
        if not self.resume:
            return ["run", "--again"] if self.again else []
        return ["resume", self.identity.id, *(["--new-config"] if self.new_config else []), *option_of(self.without)]
