"""Commands and links for people: how to start the job again, and where a page is. Commands are quoted for a shell."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.config.environment import Settings
from job.report.attempt import Start
from job.report.format import CARDS, NIGHTS_PAGE, PAGE
from job.storage.uri import absolute, address_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where the commands for a day are to be given: on Cloud Run if the job started there, else on a laptop."""

    job: str | None = None
    region: str | None = None
    project: str | None = None
    start_with: str | None = None
    """As in `Start`."""
    runs_uri: str | None = None

    @classmethod
    def of(cls, known: Start | Settings, runs_uri: str | None) -> "Place":
        """The place of a start, or of the environment; `runs_uri` is where it is recorded."""
        return cls(known.job, known.region, known.project, known.start_with, runs_uri)

    def run(self, *options: str, date: str | None = None) -> str:
        """The command that starts the job; `date` is the day if that is not the day on which it is given."""
        arguments = ["run", *([f"--date={date}"] if date else []), *options]
        if self.start_with is not None:
            return f"{self.start_with}{shlex.quote(shlex.join(arguments))}"
        if self.job is None:
            return self.command(*arguments)
        where = {"region": self.region, "project": self.project}
        named = [f"--{name}={value}" for name, value in where.items() if value is not None]
        if len(arguments) > 1:
            named.append(f"--args={_as_list(arguments)}")
        return shlex.join(["gcloud", "run", "jobs", "execute", self.job, *named])

    def report(self, day: str) -> str:
        """The command that shows a day."""
        return self.command("report", day)

    def command(self, *arguments: str) -> str:
        """A command of the job that reads the records, or that runs on a laptop."""
        if self.start_with is not None:
            return f"{self.start_with}{shlex.quote(shlex.join(arguments))}"
        command = shlex.join(["python", "-m", "job", *arguments])
        return command if self.runs_uri is None else f"RUNS_URI={shlex.quote(absolute(self.runs_uri))} {command}"


def option(name: str, values: Iterable[str]) -> list[str]:
    """An option with several values. After `=` argparse also takes one that begins with a dash."""
    return [f"--{name}={value}" for value in values]


_DELIMITERS = "|/;:#~@!%&*+_"


def _as_list(arguments: Sequence[str]) -> str:
    """The arguments as gcloud reads a list: separated by commas, or by the sign between two ^ that it begins with."""
    taken = "".join(arguments)
    if "," not in taken:
        return ",".join(arguments)
    delimiter = next((sign for sign in _DELIMITERS if sign not in taken), "|")
    return f"^{delimiter}^{delimiter.join(arguments)}"


def page_address(runs_uri: str, day: str) -> str:
    """Where to open the page of a day: a path, or a URL for a browser that is signed in to Google."""
    return address_of(runs_uri, f"{day}/{PAGE}")


@dataclass(frozen=True, slots=True)
class Links:
    """The links between pages.

    In a bucket they are absolute: the browser is redirected to another address, where a relative link would not work.
    """

    runs_uri: str
    are_stored: bool = True
    """Whether the pages with these links are stored beside those that they link to."""

    @property
    def nights(self) -> str:
        """From the page of a day to that of the nights."""
        return self._link(NIGHTS_PAGE, f"../{NIGHTS_PAGE}")

    def day(self, day: str) -> str:
        """From the page of the nights to that of a day."""
        return self._link(f"{day}/{PAGE}", f"{day}/{PAGE}")

    def table(self, day: str) -> str:
        """From the page of a day to the table of its cards."""
        return self._link(f"{day}/{CARDS}", CARDS)

    def _link(self, name: str, relative: str) -> str:
        address = address_of(self.runs_uri, name)
        if self.runs_uri.startswith("gs://"):
            return address
        return relative if self.are_stored else Path(address).absolute().as_uri()
