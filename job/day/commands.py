"""Commands and links for people: how to start the job again, and where a page is. Commands are quoted for a shell."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from job.config.days import Days
from job.day.attempt import Start
from job.day.format import CARDS, NIGHTS_PAGE, PAGE
from job.storage.uri import absolute, address_of
from job.text.messages import Message, message


@dataclass(frozen=True, slots=True)
class Command:
    """A command for people, and what they have to know of it."""

    text: str
    until: datetime | None = None
    """Until when it is for its day; `None` if it is so at any time."""
    is_maintainers: bool = False
    """Whether an operator may not give it: it starts the job with other arguments."""
    wants_checkout: bool = False
    """Whether it can be given only in a checkout of the project."""

    @property
    def terms(self) -> Message:
        """Until when it holds, and for whom it is, as the end of a sentence; empty if for all at any time."""
        if self.until is None:
            return message(" (for a maintainer)") if self.is_maintainers else NO_TERMS
        time = f"{self.until:%m-%d %H:%M}"
        if self.is_maintainers:
            return message(" (for a maintainer, until {time})", time=time)
        return message(" (until {time})", time=time)


NO_TERMS = Message("")


def start_fields(command: Command | None) -> Mapping[str, str | None]:
    """The command that starts the job again, for programs."""
    until = None if command is None or command.until is None else command.until.isoformat(timespec="seconds")
    return {"start_command": None if command is None else command.text, "start_command_until": until}


@dataclass(frozen=True, slots=True)
class Commands:
    """Makes every command that people are told: on Cloud Run if the job started there, else on a laptop."""

    days: Days
    now: datetime
    """When they are read."""
    job: str | None = None
    region: str | None = None
    project: str | None = None
    start_with: str | None = None
    """As in `Start`."""
    runs_uri: str | None = None
    config_uri: str | None = None
    """`None` if it is not known; empty if it was not set. So is `runs_uri`."""

    @classmethod
    def of(cls, start: Start, runs_uri: str | None, days: Days, now: datetime) -> "Commands":
        """The commands for a start that is recorded at `runs_uri`."""
        place = (start.job, start.region, start.project, start.start_with, runs_uri, start.config_uri)
        return cls(days, now, *place)

    def run(self, day: str | None, *options: str, names_day: bool = False, is_new: bool = False) -> Command:
        """The command that starts the job for a day, without its date if the day is current and need not be named.

        A `day` that is `None` is whichever is current by then. `is_new` is whether nothing may be recorded of the day:
        then it is confirmed if it is named, as it is on a laptop, where a new shell may not have the schedule.
        """
        job = self.job if self.start_with is None else None
        names_day = day is not None and (names_day or (is_new and job is None) or self.days.current(self.now) != day)
        confirmed = ["--yes"] if names_day and is_new and "--yes" not in options else []
        arguments = ["run", *([f"--date={day}"] if names_day else []), *options, *confirmed]
        until = None if names_day or day is None else self.days.until(day)
        if job is None:
            command = self._here(arguments, RUNS_URI=self.runs_uri, CONFIG_URI=self.config_uri)
            return replace(command, until=until)
        where = {"region": self.region, "project": self.project}
        named = [f"--{name}={value}" for name, value in where.items() if value is not None]
        if len(arguments) > 1:
            named.append(f"--args={_as_list(arguments)}")
        text = shlex.join(["gcloud", "run", "jobs", "execute", job, *named])
        return Command(text, until, is_maintainers=len(arguments) > 1)

    def look(self, day: str | None) -> Command:
        """How to see a day, by default the latest: the address of a page, or on a laptop the command that shows it."""
        if self.job is not None and self.runs_uri:
            return Command(address_of(self.runs_uri, NIGHTS_PAGE) if day is None else page_address(self.runs_uri, day))
        return self.read("report", *([day] if day else []))

    def read(self, *arguments: str) -> Command:
        """A command of the job that reads."""
        return self._here(arguments, RUNS_URI=self.runs_uri)

    def _here(self, arguments: Sequence[str], **uris: str | None) -> Command:
        """A command of the job in a checkout: on a laptop with these variables, as a new shell lacks them."""
        if self.start_with is not None:
            return Command(f"{self.start_with}{shlex.quote(shlex.join(arguments))}")
        text = shlex.join(["python", "-m", "job", *arguments])
        if self.job is None:
            known = {name: uri for name, uri in uris.items() if uri is not None}  # an empty one is to be filled in
            given = [f"{name}={shlex.quote(absolute(uri or 'gs://BUCKET/PREFIX'))}" for name, uri in known.items()]
            text = " ".join([*given, text])
        return Command(text, wants_checkout=True)


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

    @property
    def bookmark(self) -> str:
        """From the page of the nights to that of now."""
        return self._link(NIGHTS_PAGE, NIGHTS_PAGE)

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
