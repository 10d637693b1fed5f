"""Advice: what a person does next about a day. Every output shows these steps, and decides nothing itself.

With the commands and links for it: how to start the job again, and where a page is. Commands are quoted for a shell.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce
from typing import Literal, NamedTuple
from urllib.parse import quote

from job.config.days import Days
from job.config.faults import FaultKind
from job.day.attempt import Outcome, Start
from job.day.ledger import Ledger
from job.day.report import NIGHTS_PAGE, PAGE, Report
from job.engines.calls import counted
from job.storage.uri import absolute, address_of
from job.text.messages import (
    NAMED,
    Message,
    Value,
    listed,
    message,
    plural,
    semicolon,
    template,
)
from job.text.shown import clock


@dataclass(frozen=True, slots=True)
class Command:
    text: str
    until: datetime | None = None
    """Until when it is for its day; `None` if it is so at any time."""
    is_maintainers: bool = False
    """Whether an operator may not give it: it starts the job with other arguments."""
    wants_checkout: bool = False
    does: tuple[Message, ...] = ()

    @property
    def terms(self) -> Message:
        """What it does, for whom it is, and until when it holds, as the end of a sentence."""
        terms = [*self.does]
        if self.is_maintainers:
            terms.append(message("for a maintainer"))
        if self.until is not None:
            terms.append(message("until {time}", time=f"{self.until:%m-%d %H:%M}"))
        return message(" ({terms})", terms=reduce(semicolon, terms)) if terms else Message("")


def start_fields(command: Command | None) -> Mapping[str, str | None]:
    """The command that starts the job again, for programs."""
    until = None if command is None or command.until is None else command.until.isoformat(timespec="seconds")
    return {"start_command": None if command is None else command.text, "start_command_until": until}


@dataclass(frozen=True, slots=True)
class Commands:
    """Makes every command that people are told: on Cloud Run if the job started there, else on a laptop."""

    days: Days
    now: datetime
    job: str | None = None
    region: str | None = None
    project: str | None = None
    start_with: str | None = None
    runs_uri: str | None = None
    config_uri: str | None = None
    """`None` if it is not known; empty if it was not set. So is `runs_uri`."""

    @classmethod
    def of(cls, start: Start, runs_uri: str | None, days: Days, now: datetime) -> "Commands":
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
        does = (message("by today's config"),) if names_day else ()
        if job is None:
            command = self._here(arguments, RUNS_URI=self.runs_uri, CONFIG_URI=self.config_uri)
            return replace(command, until=until, does=does)
        where = {"region": self.region, "project": self.project}
        named = [f"--{name}={value}" for name, value in where.items() if value is not None]
        if len(arguments) > 1:
            named.append(f"--args={as_list(arguments)}")
        text = shlex.join(["gcloud", "run", "jobs", "execute", job, *named])
        return Command(text, until, is_maintainers=len(arguments) > 1, does=does)

    def look(self, day: str | None) -> Command:
        """How to see a day, by default the latest: the address of a page, or on a laptop the command that shows it."""
        if self.job is not None and self.runs_uri:
            return Command(address_of(self.runs_uri, NIGHTS_PAGE) if day is None else page_address(self.runs_uri, day))
        return self._here(["report", *([day] if day else [])], RUNS_URI=self.runs_uri)

    def _here(self, arguments: Sequence[str], **uris: str | None) -> Command:
        """A command of the job in a checkout: on a laptop with these variables, as a new shell lacks them."""
        if self.start_with is not None:
            return Command(f"{self.start_with}{shlex.quote(shlex.join(arguments))}")
        text = shlex.join(["python", "-m", "job", *arguments])
        if self.job is None:
            variables = {name: uri for name, uri in uris.items() if uri is not None}  # an empty one is to be filled in
            given = [f"{name}={shlex.quote(absolute(uri or 'gs://BUCKET/PREFIX'))}" for name, uri in variables.items()]
            text = " ".join([*given, text])
        return Command(text, wants_checkout=True)


def option(name: str, values: Iterable[str]) -> list[str]:
    """An option with several values. After `=` argparse also takes one that begins with a dash."""
    return [f"--{name}={value}" for value in values]


_DELIMITERS = "|/;:#~@!%&*+_"


def as_list(arguments: Sequence[str]) -> str:
    """The arguments as gcloud reads a list: separated by commas, or by the sign between two ^ that it begins with."""
    taken = "".join(arguments)
    if "," not in taken:
        return ",".join(arguments)
    delimiter = next((sign for sign in _DELIMITERS if sign not in taken), "|")
    return f"^{delimiter}^{delimiter.join(arguments)}"


def page_address(runs_uri: str, day: str) -> str:
    """Where to open the page of a day: a path, or a URL for a browser that is signed in to Google."""
    return address_of(runs_uri, f"{day}/{PAGE}")


def quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")


CONSOLE = "https://console.cloud.google.com"


StepKind = Literal["at_work", "unless", "start", "look", "without", "left_out", "again"]
"""What a step is: nothing, as a start is at work; when not to start the job; start it again; look at the day first; go
on without some targets; make what was left out; make doubtful cards again."""


class Step(NamedTuple):
    kind: StepKind
    sentence: Message
    """What it is, and of a command what it does, costs, and until when it holds."""
    command: Command | None = None
    after: "Step | None" = None
    """The same step once its command has expired; `None` if it does not."""


def advice(report: Report, ledger: Ledger | None, commands: Commands, unrecorded: int = 0) -> tuple[Step, ...]:
    """What to do next, in this order. `commands` know when it is read.

    Without a `ledger`, which a list of nights does not read, no card is named. So many cards that are made are
    `unrecorded`: a start makes them again.
    """
    if report.is_of_command or report.outcome is Outcome.UNREADABLE:
        return ()
    if report.outcome is Outcome.AT_WORK:
        return tuple(_waiting_steps(report.start, commands.now))
    if report.outcome is Outcome.SUCCEEDED:
        return tuple(_steps_of_success(report, ledger, commands))
    if any(fault.kind is FaultKind.IMAGE for fault in report.faults):  # this image would be refused again
        return ()
    return tuple(_steps(report, commands, unrecorded))


def command_of(steps: Sequence[Step], kind: StepKind) -> Command | None:
    return next((step.command for step in steps if step.kind == kind), None)


def _steps(report: Report, commands: Commands, unrecorded: int) -> Iterator[Step]:
    if _may_have_asked(report):
        look = message("What you asked for may not be recorded. First look at how the day stands:")
        yield Step("look", look, commands.look(report.start.known_day))
        return
    if report.outcome is Outcome.KILLED and report.cards.missing:
        yield Step("unless", message("If a message said that all cards are made, do not paste this."))
    yield _start_step(report, commands, unrecorded)
    if report.at_fault:  # a plain start fails for them before it makes any card
        run = partial(commands.run, report.day, *option("without", [*report.start.without, *report.at_fault]))
        text = template("Or leave out {names}{terms}{price}:")
        most = (report.cards.missing + unrecorded) * (report.start.qa_attempts or 0)
        yield _now_and_later("without", text, run, most=most, names=listed(report.at_fault))


def _steps_of_success(report: Report, ledger: Ledger | None, commands: Commands) -> Iterator[Step]:
    """How to make what was left out, and again the cards that have an error besides, if they are few."""
    if report.start.without:
        text = template("Once they can be made, this makes what was left out{terms}{price}:")
        run = partial(commands.run, report.day)
        left_out = report.cards.left_out
        yield _now_and_later("left_out", text, run, cards=left_out, most=left_out * (report.start.qa_attempts or 0))
    if ledger is None or report.start.qa_attempts is None:
        return
    cards = [card for card in ledger.with_error("qa") if card.target not in report.start.without]
    if 0 < len(cards) <= NAMED:
        options = [
            *option("again", [f"{card.target}/{card.card_type}" for card in cards]),
            *option("without", report.start.without),
        ]
        command = commands.run(report.day, *options, names_day=True)
        again = plural(
            "Once what the error names is put right, this makes 1 card again{terms}. It cannot be taken back: the card "
            "counts as missing until it is made, and 1 to {most} tries are charged:",
            "Once what the error names is put right, this makes {count} cards again{terms}. It cannot be taken back: "
            "they count as missing until they are made, and {count} to {most} tries are charged:",
            count=len(cards),
            most=len(cards) * report.start.qa_attempts,
            terms=command.terms,
        )
        yield Step("again", again, command)


def _waiting_steps(start: Start, now: datetime) -> Iterator[Step]:
    if start.ends_by is not None and start.ends_by > now:
        yield Step("at_work", message("This start ends by {time} at the latest.", time=clock(start.ends_by, start.day)))
    yield from _executions_steps(start)


def _may_have_asked(report: Report) -> bool:
    """Whether it is not known if what `--again` asks for is recorded: whoever asks once more may pay once more.

    A first try that was refused has asked for nothing. A retry asks for nothing, but its first try may have.
    """
    if report.start.number or not any(argument.startswith("--again") for argument in report.start.arguments):
        return False
    return report.outcome is not Outcome.BAD_CONFIG or report.start.task_attempt > 0


def late_steps(start: Start | None, runs_uri: str | None, days: Days, tick: datetime) -> tuple[Step, ...]:
    """What to do if the night of this tick has left nothing, whenever it is read; nothing if no `start` is known."""
    if start is None:
        return ()
    return (*whole_night(Commands.of(start, runs_uri, days, tick).run(None)), *_executions_steps(start))


def _executions_steps(start: Start) -> Iterator[Step]:
    if (executions := _executions(start.job, start.region, start.project)) is not None:
        yield Step("look", message("All executions of the job"), executions)


def unchecked_steps(job: str, region: str | None, project: str | None) -> tuple[Step, ...]:
    """What to do if it is not known how a day stands: no start."""
    text = message("A message that this night sent is right; if none came, open the executions")
    return (Step("look", text, _executions(job, region, project)),)


def _executions(job: str | None, region: str | None, project: str | None) -> Command | None:
    """Where all executions of the job are, also those that left nothing; `None` if that is not known."""
    if job is None or region is None or project is None:
        return None
    region, job, project = map(quoted, (region, job, project))
    return Command(f"{CONSOLE}/run/jobs/details/{region}/{job}/executions?project={project}")


def whole_night(command: Command) -> tuple[Step, ...]:
    return (Step("start", message("This makes, and pays for, the whole night{terms}:", terms=command.terms), command),)


def _start_step(report: Report, commands: Commands, unrecorded: int) -> Step:
    start, is_refused = report.start, report.outcome is Outcome.BAD_CONFIG
    # Until an attempt is recorded, nobody else knows what it was asked for.
    options = [argument for argument in start.arguments if not argument.startswith(("run", "--date"))]
    if start.number:  # without what was left out, or it could keep back what is missing
        options = option("without", start.without)
    # A refused start is recorded; and a day that was not current has to be confirmed by whoever names it.
    was_current = start.knows_days and start.days.current(datetime.fromisoformat(start.started)) == start.day
    is_new = was_current and not start.number and not is_refused
    names_day = not start.knows_days  # whether it is current is not known either
    run = partial(commands.run, start.known_day, *options, names_day=names_day, is_new=is_new)
    text = template("This makes what is missing{terms}{price}:")
    if report.outcome.severity == "bad" or report.answers:
        text = template("Once what failed is over or put right, this makes what is missing{terms}{price}:")
    if is_refused:
        text = template("Once that is corrected, this makes what is missing{terms}:")
    missing = 0 if is_refused else report.cards.missing + unrecorded  # of a refused config it is not known
    return _now_and_later("start", text, run, cards=missing, most=missing * (start.qa_attempts or 0))


def _now_and_later(
    kind: StepKind,
    text: str,
    run: Callable[..., Command],
    *,
    cards: int = 0,
    most: int = 0,
    names: Value = "",
) -> Step:
    """The step with the command for now, which makes so many cards, and the one for when that has expired.

    `most` is the greatest number of tries that may be charged; 0 if it is not known, as of a command by another config.
    """
    command, price = run(), Message("")
    after = None if command.until is None else _now_and_later(kind, text, partial(run, names_day=True), names=names)
    if most and not command.does:
        price = plural("; at most 1 try is charged", "; at most {count} tries are charged", count=most)
    if cards and not command.does:
        command = replace(command, does=(counted("qa", cards),))
    return Step(kind, message(text, terms=command.terms, price=price, names=names), command, after)
