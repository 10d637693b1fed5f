"""Commands and links for people: how to resume a run, and where its page is. Commands are quoted for a shell."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from job.config.environment import Settings
from job.engines.failures import Then
from job.planning.left_out import option_of
from job.report.comparison import Comparison
from job.report.format import CARDS, NIGHTS_PAGE, PAGE, name_of
from job.report.inputs import RunInputs
from job.report.report import RunReport
from job.report.summary import RunSummary
from job.storage.uri import absolute, address_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where the commands for a run are to be given: on Cloud Run if it began there, else on a laptop."""

    job: str | None = None
    region: str | None = None
    project: str | None = None
    runs_uri: str | None = None
    """Where the run is recorded, if it began on a laptop."""
    resume_with: str | None = None
    """As in `RunInputs`."""
    arguments: Sequence[str] = ()
    """The arguments of the command line that made this attempt, to start it again."""
    run_date: str | None = None
    """The date that it was started with."""

    @classmethod
    def of(cls, known: RunInputs | Settings, arguments: Sequence[str] = (), run_date: str | None = None) -> "Place":
        """The place of a run, from its inputs or from the environment."""
        return cls(
            known.job, known.region, known.project, known.runs_uri, known.resume_with, tuple(arguments), run_date
        )

    @classmethod
    def of_refused(cls, report: RunReport) -> "Place":
        """The place of a recorded run that had no plan: its record has no inputs."""
        # A rehearsal cannot be started by the job's own command.
        rehearsal = "" if report.start_command is None else None
        return cls(report.job, report.region, report.project, report.runs_uri, rehearsal, (), report.date)

    def resume(self, run_id: str, then: Then = "resume", without: Sequence[str] = ()) -> str:
        """The command that resumes a run. `then` selects its recorded config or the current one.

        `without` are targets to leave out.
        """
        arguments = [run_id, *(["--new-config"] if then == "new_config" else []), *option_of(without)]
        if self.resume_with is not None:
            return f"{self.resume_with}{shlex.quote(shlex.join(arguments))}"
        return self._command(["resume", *arguments])

    @property
    def can_start_again(self) -> bool:
        """Whether the job's own start continues the run of its day; that of a rehearsal has a command of its own."""
        return self.resume_with is None

    def start_again(self, date: str | None) -> str:
        """The command that starts the job once more, which continues the run of the day: one with this date."""
        return self._command([], None if self.job is not None else date)

    def start(self, day: str) -> str:
        """The command that starts a new run for a day."""
        return self._command([], day)

    def again(self) -> str | None:
        """The command that starts the same attempt again; `None` if there is none, as for a rehearsal.

        A new run is for the same date, if it had one. A resumed run takes its date from its record.
        """
        if self.resume_with is not None:
            return None
        return self._command(self.arguments, None if self.arguments else self.run_date)

    def _command(self, arguments: Sequence[str], date: str | None = None) -> str:
        if self.job is None:
            command = _on_a_laptop(self.runs_uri, *(arguments or ["run"]))  # without a command, a terminal gets help
            return command if date is None else f"RUN_DATE={date} {command}"
        where = {"region": self.region, "project": self.project}
        options = [f"--{name}={value}" for name, value in where.items() if value is not None]
        if date is not None:
            options.append(f"--update-env-vars=RUN_DATE={date}")
        if arguments:
            options.append(f"--args={_as_list(arguments)}")
        return shlex.join(["gcloud", "run", "jobs", "execute", self.job, *options])


_DELIMITERS = "|/;:#~@!%&*+=_"


def _as_list(arguments: Sequence[str]) -> str:
    """The arguments as gcloud reads a list: separated by commas, or by the sign between two ^ that it begins with."""
    taken = "".join(arguments)
    if "," not in taken:
        return ",".join(arguments)
    delimiter = next((sign for sign in _DELIMITERS if sign not in taken), "|")
    return f"^{delimiter}^{delimiter.join(arguments)}"


def list_command(runs_uri: str | None) -> str:
    """The command that lists the latest runs."""
    return _on_a_laptop(runs_uri, "runs")


def show_command(run_id: str, runs_uri: str) -> str:
    """The command that shows a run."""
    return _on_a_laptop(runs_uri, "report", run_id)


def plan_command(config_uri: str) -> str:
    """The command that shows every fault of the config at this place, or what it makes a run call."""
    return _on_a_laptop(None, "plan", config_uri)


def missing_command(run_id: str, runs_uri: str | None) -> str:
    """The command that lists every card of a run that is not there; `runs_uri` is as in `RunInputs`."""
    return _on_a_laptop(runs_uri, "report", run_id, "--missing")


def table_command(run_id: str, runs_uri: str | None) -> str:
    """The command that writes every card of a run into a table; `runs_uri` is as in `RunInputs`."""
    return _on_a_laptop(runs_uri, "report", run_id, "--csv", CARDS)


def _on_a_laptop(runs_uri: str | None, *arguments: str) -> str:
    command = shlex.join(["python", "-m", "job", *arguments])
    return command if runs_uri is None else f"RUNS_URI={shlex.quote(absolute(runs_uri))} {command}"


def page_address(runs_uri: str, run_id: str) -> str:
    """Where to open the page of a run: a path, or a URL for a browser that is signed in to Google."""
    return address_of(runs_uri, name_of(run_id, PAGE))


def page_link(runs_uri: str, run_id: str, *, beside: bool) -> str:
    """The link from the page of the nights to that of a run. `beside`: the page of the nights is stored with the runs.

    In a bucket it is absolute: the browser is redirected to another address, where a relative link would not work.
    """
    return _link(runs_uri, name_of(run_id, PAGE), name_of(run_id, PAGE) if beside else None)


class NightLink(NamedTuple):
    """The page of another night."""

    day: str
    address: str


@dataclass(frozen=True, slots=True)
class PageLinks:
    """The links from the page of a run to what is recorded beside it; `None` for what there is not."""

    nights: str | None = None
    """The page of the nights."""
    previous: NightLink | None = None
    """The night with which the run is compared."""
    following: NightLink | None = None
    """The night after it, if there is one already."""
    table: str | None = None
    """The table of the run's cards."""

    @classmethod
    def of(
        cls, runs_uri: str, report: RunReport, after: RunSummary | None = None, *, has_table: bool, beside: bool
    ) -> "PageLinks":
        """The links of a recorded run; `after` is the night after it. `beside`: its page is stored in its record."""

        def night(other: Comparison | RunSummary | None) -> NightLink | None:
            if other is None:
                return None
            name = name_of(other.run_id, PAGE)
            return NightLink(other.day, _link(runs_uri, name, f"../{name}" if beside else None))

        return cls(
            nights=_link(runs_uri, NIGHTS_PAGE, f"../{NIGHTS_PAGE}" if beside else None),
            previous=night(report.since_last_night),
            following=night(after),
            table=_link(runs_uri, name_of(report.run_id, CARDS), CARDS if beside else None) if has_table else None,
        )


NO_LINKS = PageLinks()


def _link(runs_uri: str, name: str, relative: str | None) -> str:
    address = address_of(runs_uri, name)
    if runs_uri.startswith("gs://"):
        return address
    return relative or Path(address).absolute().as_uri()
