"""Advice: what a person does next about a day, with the commands and links for it. No output decides that itself."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import chain, count
from urllib.parse import quote

from job.config.days import Days
from job.config.faults import FaultKind
from job.day.attempt import Outcome, Start
from job.day.ledger import Ledger
from job.day.report import NIGHTS_PAGE, PAGE, Report
from job.engines.calls import ENGINES, counted
from job.engines.failures import Cause
from job.execution.circuit_breaker import LATE_TRIES
from job.storage.store import NAME_A_PLACE
from job.storage.uri import absolute, address_of
from job.telling.lines import Line, Rank
from job.text.messages import (
    NAMED,
    Message,
    listed,
    message,
    plural,
    semicolon,
    template,
)
from job.text.shown import clock


@dataclass(frozen=True, slots=True)
class Commands:
    """Makes every command that people are told: on Cloud Run if the job started there, else on a laptop."""

    place: Start
    """A start of the job: where that is, and how it is started."""
    runs_uri: str
    """Empty if it is not set."""
    days: Days
    now: datetime
    unusable: Collection[str | None] = ()
    """The variables that name no place which can be used: they are to be filled in."""

    def line(self, text: Message, command: "Command") -> Line:
        """What to do, the command for it, and between the two the bracket with what that makes and costs, until when
        it does just this, and who may give it.
        """
        on_cloud = self.place.job is not None and self.place.start_with is None
        is_current = command.day is None or (
            self.days.current(self.now) == command.day and (on_cloud or not command.is_new)
        )
        named = [] if is_current else [f"--date={command.day}"]
        confirmed = ["--yes"] if named and command.is_new and "--yes" not in command.options else []
        arguments = ["run", *named, *command.options, *confirmed]
        until = self.days.until(command.day) if is_current and command.day is not None else None
        terms = [*command.terms]
        if until is not None:
            terms.append(message("until {time}", time=f"{until:%m-%d %H:%M}"))
        elif any(argument.startswith("--date") for argument in arguments):
            terms.append(message("at any time"))
        if on_cloud and len(arguments) > 1:
            terms.append(message("for a maintainer"))
        bracket = message(" ({terms})", terms=reduce(semicolon, terms)) if terms else ""
        sentence = message("{text}{bracket}:", text=text, bracket=bracket)
        if on_cloud:
            below = self._on_cloud(arguments)
        else:
            below = self._here(arguments, RUNS_URI=self.runs_uri, CONFIG_URI=self.place.config_uri)
        rank = Rank.KEPT if on_cloud or self.place.start_with is not None else Rank.ASIDE
        return Line(sentence, rank, below=below, is_start=command.is_start, until=until)

    def look(self, text: Message, day: str | None) -> Line:
        """How to see a day, by default the latest: the address of a page, or on a laptop the command that shows it."""
        if self.place.job is not None and self.runs_uri:
            page = address_of(self.runs_uri, NIGHTS_PAGE) if day is None else address_of(self.runs_uri, f"{day}/{PAGE}")
            return Line(text, Rank.KEPT, below=page, is_link=self.runs_uri.startswith("gs://"))
        command = self._here(["report", *([day] if day else [])], RUNS_URI=self.runs_uri)
        return Line(text, Rank.ASIDE if self.place.start_with is None else Rank.KEPT, below=command)

    def _on_cloud(self, arguments: Sequence[str]) -> str:
        where = {"region": self.place.region, "project": self.place.project}
        given = [f"--{name}={value}" for name, value in where.items() if value is not None]
        if len(arguments) > 1:
            given.append(f"--args={as_list(arguments)}")
        return shlex.join(["gcloud", "run", "jobs", "execute", self.place.job or "", *given])

    def _here(self, arguments: Sequence[str], **variables: str) -> str:
        """A command of the job in a checkout: on a laptop with these variables, as a new shell lacks them."""
        if self.place.start_with is not None:
            return f"{self.place.start_with}{shlex.quote(shlex.join(arguments))}"
        text = shlex.join(["python", "-m", "job", *arguments])
        if self.place.job is not None:
            return text
        # One that is not set is to be filled in.
        places = {name: uri for name, uri in variables.items() if name not in self.unusable}
        given = [f"{name}={shlex.quote(absolute(places.get(name) or 'gs://BUCKET/PREFIX'))}" for name in variables]
        return " ".join([*given, text])


@dataclass(frozen=True, slots=True)
class Command:
    """A start that a person may give, and what is known of what it does."""

    day: str | None
    """`None` for whichever day is current by then."""
    options: Sequence[str] = ()
    makes: int = 0
    """How many cards; 0 if that is not known."""
    at_most: int = 0
    """How many tries it may be charged; 0 if that is not known."""
    begins_out: bool = False
    """Whether it takes QA as still out until a card is made: while that is so, a few tries decide."""
    is_new: bool = False
    """Whether nothing may be recorded of the day: then it is confirmed if it is named, as it is on a laptop, where a
    new shell may not have the schedule."""
    is_start: bool = False
    """As in `Line`."""

    @property
    def terms(self) -> Iterator[Message]:
        if self.makes:
            yield message("makes {cards}", cards=counted("qa", self.makes))
        if self.at_most:
            yield plural("charges at most 1 try", "charges at most {count} tries", count=self.at_most)
        if self.begins_out and self.at_most > LATE_TRIES:
            yield message("at most {count} if all of it fails again", count=LATE_TRIES)


def start_fields(steps: Sequence[Line]) -> Mapping[str, str | None]:
    """The command that starts the job again, for programs."""
    step = next((step for step in steps if step.is_start), None)
    until = None if step is None or step.until is None else step.until.isoformat(timespec="seconds")
    return {"start_command": None if step is None else step.below, "start_command_until": until}


def option(name: str, values: Iterable[str]) -> list[str]:
    """An option with several values. After `=` argparse also takes one that begins with a dash."""
    return [f"--{name}={value}" for value in values]


_DELIMITERS = "|/;:#~@!%&*+_"


def as_list(arguments: Sequence[str]) -> str:
    """The arguments as gcloud reads a list: separated by commas, or by what stands between two ^ at its beginning."""
    if not any("," in argument for argument in arguments):
        return ",".join(arguments)
    # It may be longer than a sign: some number is in no argument.
    delimiters = chain(_DELIMITERS, (f"|{number}|" for number in count()))
    delimiter = next(one for one in delimiters if one.join(arguments).split(one) == [*arguments])
    return f"^{delimiter}^{delimiter.join(arguments)}"


def escaped(value: str) -> str:
    return quote(value, safe="", errors="replace")


CONSOLE = "https://console.cloud.google.com"
ALL_EXECUTIONS = message("All executions of the job")
NO_START = message("A message that this night sent is right; if none came, open the executions")
"""What to do if it is not known how a day stands."""


def advice(
    report: Report, ledger: Ledger, commands: Commands, unrecorded: int = 0, *, is_retried: bool = False
) -> Iterator[Line]:
    """What to do next, in this order. `commands` know when it is read.

    So many cards that are made are `unrecorded`: a start makes them again. `is_retried` is whether Cloud Run starts the
    task once more, and that goes on: of a killed start, it is known from its record.
    """
    outcome, faults = report.outcome, {fault.kind for fault in report.faults}
    if outcome is Outcome.AT_WORK:
        if report.ends_by is not None and report.ends_by > commands.now:
            ends_by = clock(report.ends_by, report.day)
            yield Line(message("This start ends by {time} at the latest.", time=ends_by), Rank.KEPT)
        yield from executions_lines(ALL_EXECUTIONS, report.job, report.region, report.project)
    elif outcome is Outcome.SUCCEEDED:
        yield from _steps_of_success(report, ledger, commands)
    elif outcome is Outcome.UNREADABLE or faults & {FaultKind.COMMAND, FaultKind.IMAGE, FaultKind.RECORD}:
        return  # only who gave the command can correct it; and what is not brought back is refused again
    elif _may_have_asked(report):
        text = message("What you asked for may not be recorded. First look at how the day stands:")
        yield commands.look(text, report.known_day)
    else:
        is_unknown = outcome in {Outcome.STORAGE_FAILED, Outcome.KILLED} and not report.had_plan
        if is_unknown or (ledger.breaks_off and report.cards.missing):
            text = message("If a message of {day} said that all cards are made, do nothing.", day=report.day)
            yield Line(text, Rank.KEPT)
        by = retried_by(report, commands.now, is_retried=is_retried)
        missing = report.cards.missing + unrecorded
        if report.at_fault:  # a plain start fails for them before it makes any card
            yield _start_without(report, ledger, commands, missing)
        yield _start_step(report, ledger, commands, missing, what_to_do(report, by))


RETRIED_WITHIN = timedelta(minutes=11)
"""Until Cloud Run has started a failed task once more at the latest: ten minutes from the end of its process."""


def retried_by(report: Report, now: datetime, *, is_retried: bool) -> datetime | None:
    """By when Cloud Run has started it once more, and that goes on by itself; `None` if it does not."""
    if report.breaks_off is not None:
        is_retried = report.has_retry and now - report.breaks_off < RETRIED_WITHIN
    return (now + RETRIED_WITHIN).astimezone(report.days.zone) if is_retried and not report.faults else None


_BROKEN_OFF = {Outcome.DEADLINE, Outcome.INTERRUPTED, Outcome.KILLED, Outcome.BUSY, Outcome.UNFORESEEN}
_OF_ENGINE = {Cause.DENIED, Cause.UNREADABLE}
"""What the people of an engine put right."""


def what_to_do(report: Report, retried_by: datetime | None) -> Message:
    """The sentence above the command that makes what is missing: a row for each cause, the first that holds."""
    main = report.failures[0] if report.failures else None
    if report.outcome is Outcome.BAD_CONFIG:
        return message("Once that is corrected, paste")
    if retried_by is not None:
        text = template("It goes on by itself: wait until {time}. If no message has come by then, paste")
        return message(text, time=clock(retried_by, report.day))
    if report.at_fault:
        return message("Or correct or remove them in the config, then paste")
    if report.outcome is Outcome.STORAGE_FAILED:
        return message("Once storage works again, paste")
    if main is None or report.outcome in _BROKEN_OFF:
        return message("Nothing works on it; paste")
    engine = ENGINES[main.engines[0]].label
    if main.is_refused or main.status == 404:
        return message("Until that is put right, it fails again. Then paste")
    if main.cause in _OF_ENGINE or main.status == 500:
        text = template("Until the people of the {engine} engine have put it right, it fails again. Then paste")
        return message(text, engine=engine)
    return message("Once the {engine} engine works again, paste", engine=engine)


def _start_without(report: Report, ledger: Ledger, commands: Commands, missing: int) -> Line:
    makes = missing - sum(card.item.target in report.at_fault for card in ledger.missing("qa"))
    options = option("without", [*report.without, *report.at_fault])
    text = message("To go on without {names}, paste", names=listed(report.at_fault))
    return commands.line(text, Command(report.day, options, makes, makes * (report.qa_attempts or 0)))


def _steps_of_success(report: Report, ledger: Ledger, commands: Commands) -> Iterator[Line]:
    """How to make what was left out, and again the cards that have an error besides, if they are few."""
    attempts = report.qa_attempts or 0
    if report.without:
        makes = report.cards.left_out
        text = message("To make what was left out, once it can be made, paste")
        yield commands.line(text, Command(report.day, (), makes, makes * attempts))
    if report.was_early:
        makes, again = report.cards.planned, ["--again=all", "--yes", *option("without", report.without)]
        text = message("If the data of now is wanted, paste this to make it all again. It cannot be taken back")
        yield commands.line(text, Command(None, [f"--date={report.day}", *again], makes, makes * attempts))
    cards = [card for card in ledger.with_error("qa") if card.target not in report.without]
    if attempts and 0 < len(cards) <= NAMED:
        text = message(
            "Once what the error names is put right, paste this to make it again. It cannot be taken back: it counts "
            "as missing until it is made"
        )
        again = option("again", [f"{card.target}/{card.card_type}" for card in cards])
        # Always for this day, whenever it is given.
        given = [f"--date={report.day}", *again, *option("without", report.without)]
        step = commands.line(text, Command(None, given, len(cards), len(cards) * attempts))
        yield replace(step, rank=min(step.rank, Rank.DETAIL))


def _may_have_asked(report: Report) -> bool:
    """Whether it is not known if what `--again` asks for is recorded: whoever asks once more may pay once more.

    A first try that was refused has asked for nothing. A retry asks for nothing, but its first try may have.
    """
    if report.number or not any(argument.startswith("--again") for argument in report.arguments):
        return False
    return report.outcome is not Outcome.BAD_CONFIG or report.task_attempt > 0


def executions_lines(text: Message, job: str | None, region: str | None, project: str | None) -> Iterator[Line]:
    """Where all executions of the job are, also those that left nothing; nothing if that is not known."""
    if job is not None and region is not None and project is not None:
        region, job, project = map(escaped, (region, job, project))
        address = f"{CONSOLE}/run/jobs/details/{region}/{job}/executions?project={project}"
        yield Line(text, Rank.KEPT, below=address, is_link=True)


def whole_night(commands: Commands, start: Start, cards: int, *, is_named: bool) -> Line:
    """The command that begins the day of a `start`, of which nothing is recorded; it has about so many `cards`.

    `is_named` is whether it is named also if it is current.
    """
    options, day = ([f"--date={start.day}", "--yes"], None) if is_named else ([], start.day)
    text, most = message("To make, and pay for, the whole night, paste"), cards * (start.qa_attempts or 0)
    return commands.line(text, Command(day, options, cards, most, is_new=True, is_start=True))


def later_step(report: Report, commands: Commands, text: Message | None = None) -> Line | None:
    """The command that makes what a day lacks once it is over, below its row or this text; `None` if what it makes is
    not known.
    """
    if not report.number or not report.had_plan or report.outcome is Outcome.SUCCEEDED:
        return None
    text = text or what_to_do(report, None)
    return _start_step(report, Ledger.empty(report.day), commands, report.cards.missing, text)


def _start_step(report: Report, ledger: Ledger, commands: Commands, missing: int, text: Message) -> Line:
    is_refused = report.outcome is Outcome.BAD_CONFIG
    faulty = {fault.variable: fault.remedy for fault in report.faults}
    is_known = report.knows_days and "RUNS_URI" not in faulty
    is_unmade = is_known and not any(counts.done for counts in report.engines.values())
    # Until an attempt is recorded, nobody else knows what it was asked for; what is not made is not made again.
    taken = ("run", "--date", "--again", "--yes") if is_refused and is_unmade else ("run", "--date")
    options = [argument for argument in report.arguments if not argument.startswith(taken)]
    if report.number:  # without what was left out, or it could keep back what is missing
        options = option("without", report.without)
    commands = replace(commands, unusable=[name for name, remedy in faulty.items() if remedy == NAME_A_PLACE])
    day: str | None = report.day
    if not report.knows_days:  # whether the day is current is not known either
        options = [*([f"--date={report.known_day}"] if report.known_day else []), *options]
        day = None
    # A day that was not current, and of which nothing was known, was confirmed by whoever named it.
    was_current = report.days.current(datetime.fromisoformat(report.started)) == report.day
    is_new = was_current and not report.number and not is_refused
    if day is not None and is_refused and not report.had_plan and commands.days.current(commands.now) != day:
        options.append("--yes")
    makes = 0 if is_refused else missing  # of a config that was refused it is not known
    most, begins_out = makes * (report.qa_attempts or 0), ledger.is_qa_still_out()
    return commands.line(text, Command(day, options, makes, most, begins_out, is_new, is_start=True))
