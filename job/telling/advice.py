"""Advice: what a person does next about a day, with the commands and links for it. No output decides that itself."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from urllib.parse import quote

from job.config.days import Days
from job.config.faults import FaultKind
from job.day.attempt import Outcome, Start
from job.day.ledger import Ledger
from job.day.report import NIGHTS_PAGE, PAGE, Report
from job.engines.calls import counted
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

    def start(
        self,
        text: Message,
        day: str | None,
        *options: str,
        is_new: bool = False,
        cards: int = 0,
        is_start: bool = False,
    ) -> Line:
        """The line whose command starts the job for a day, to make so many cards; `text` says so, with its places for
        terms and price. `is_start` is that of the line.

        The command is without its date if the day is current: if it is `None`, whichever is current by then. `is_new`
        is whether nothing may be recorded of the day: then it is confirmed if it is named, as it is on a laptop, where
        a new shell may not have the schedule.
        """
        on_cloud = self.place.job is not None and self.place.start_with is None
        is_current = day is None or (self.days.current(self.now) == day and (on_cloud or not is_new))
        named = [] if is_current else [f"--date={day}"]
        confirmed = ["--yes"] if named and is_new and "--yes" not in options else []
        arguments = ["run", *named, *options, *confirmed]
        until = self.days.until(day) if is_current and day is not None else None
        terms = []
        if cards:
            terms.append(counted("qa", cards))
        if on_cloud and len(arguments) > 1:
            terms.append(message("for a maintainer"))
        if until is not None:
            terms.append(message("until {time}, then see the README", time=f"{until:%m-%d %H:%M}"))
        bracket = message(" ({terms})", terms=reduce(semicolon, terms)) if terms else ""
        sentence = Message(text.id, {**text.values, "terms": bracket}, text.plural)
        if on_cloud:
            command = self._on_cloud(arguments)
        else:
            command = self._here(arguments, RUNS_URI=self.runs_uri, CONFIG_URI=self.place.config_uri)
        rank = Rank.KEPT if on_cloud or self.place.start_with is not None else Rank.ASIDE
        return Line(sentence, rank, below=command, is_start=is_start, until=until)

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
    """The arguments as gcloud reads a list: separated by commas, or by the sign between two ^ that it begins with."""
    taken = "".join(arguments)
    if "," not in taken:
        return ",".join(arguments)
    delimiter = next((sign for sign in _DELIMITERS if sign not in taken), "|")
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
    elif outcome is Outcome.UNREADABLE or faults & {FaultKind.COMMAND, FaultKind.IMAGE}:
        return  # only who gave the command can correct it, and an image that is too old is refused again
    elif _may_have_asked(report):
        text = message("What you asked for may not be recorded. First look at how the day stands:")
        yield commands.look(text, report.known_day)
    else:
        yield from _retry_steps(report, commands.now, is_retried=is_retried)
        is_unknown = outcome in {Outcome.STORAGE_FAILED, Outcome.KILLED} and not report.had_plan
        if is_unknown or (ledger.breaks_off and report.cards.missing):
            text = message("If a message of {day} said that all cards are made, do not paste this:", day=report.day)
            yield Line(text, Rank.KEPT)
        yield from _steps_of_failure(report, ledger, commands, report.cards.missing + unrecorded)


RETRIED_WITHIN = timedelta(minutes=11)
"""Until Cloud Run has started a failed task once more at the latest: ten minutes from the end of its process."""


def _retry_steps(report: Report, now: datetime, *, is_retried: bool) -> Iterator[Line]:
    """What Cloud Run goes on with by itself, unless it would be refused again, since its variables are the same."""
    breaks_off = report.breaks_off
    text = template("Cloud Run starts it once more by {time}, unless it was cancelled.")
    if breaks_off is not None:
        is_retried = report.has_retry and now - breaks_off < RETRIED_WITHIN
        text = template("If it was killed, Cloud Run starts it once more by {time}.")
    if is_retried and not any(fault.kind is FaultKind.VARIABLE for fault in report.faults):
        by = (now + RETRIED_WITHIN).astimezone(report.days.zone)
        yield Line(message(text, time=clock(by, report.day)), Rank.KEPT)


def _steps_of_failure(report: Report, ledger: Ledger, commands: Commands, missing: int) -> Iterator[Line]:
    yield _start_step(report, commands, missing)
    if report.at_fault:  # a plain start fails for them before it makes any card
        left_out = sum(card.item.target in report.at_fault for card in ledger.missing("qa"))
        names, price = listed(report.at_fault), _price(report, missing - left_out)
        text = message("Or leave out {names}{terms}{price}:", names=names, price=price)
        yield commands.start(text, report.day, *option("without", [*report.without, *report.at_fault]))


def _price(start: Start, cards: int) -> Message:
    """How many tries at so many cards are charged at most; nothing if that is not known."""
    most = cards * (start.qa_attempts or 0)
    if not most:
        return Message("")
    return plural("; at most 1 try is charged per start", "; at most {count} tries are charged per start", count=most)


def _steps_of_success(report: Report, ledger: Ledger, commands: Commands) -> Iterator[Line]:
    """How to make what was left out, and again the cards that have an error besides, if they are few."""
    if report.without:
        made = template("Once they can be made, this makes what was left out{terms}{price}:")
        text = message(made, price=_price(report, report.cards.left_out))
        yield commands.start(text, report.day, cards=report.cards.left_out)
    if report.qa_attempts is None:
        return
    cards = [card for card in ledger.with_error("qa") if card.target not in report.without]
    if 0 < len(cards) <= NAMED:
        text = plural(
            "Once what the error names is put right, this makes 1 card again{terms}. It cannot be taken back: the card "
            "counts as missing until it is made, and 1 to {most} tries are charged per start:",
            "Once what the error names is put right, this makes {count} cards again{terms}. It cannot be taken back: "
            "they count as missing until they are made, and {count} to {most} tries are charged per start:",
            count=len(cards),
            most=len(cards) * report.qa_attempts,
        )
        again = option("again", [f"{card.target}/{card.card_type}" for card in cards])
        # Always for this day, whenever it is given.
        given = [f"--date={report.day}", *again, *option("without", report.without)]
        step = commands.start(text, None, *given)
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


def whole_night(commands: Commands, day: str | None) -> Line:
    """The command that begins a day of which nothing is recorded."""
    text = message("This makes, and pays for, the whole night{terms}:")
    return commands.start(text, day, is_new=True, is_start=True)


def _start_step(report: Report, commands: Commands, missing: int) -> Line:
    is_refused = report.outcome is Outcome.BAD_CONFIG
    faulty = {fault.variable: fault.remedy for fault in report.faults}
    is_known = report.knows_days and "RUNS_URI" not in faulty
    is_unmade = is_known and not any(counts.done for counts in report.engines.values())
    # Until an attempt is recorded, nobody else knows what it was asked for; what is not made is not made again.
    taken = ("run", "--date", "--again", "--yes") if is_refused and is_unmade else ("run", "--date")
    options = [argument for argument in report.arguments if not argument.startswith(taken)]
    if report.number:  # without what was left out, or it could keep back what is missing
        options = option("without", report.without)
    text = template("This makes what is missing{terms}{price}:")
    if report.outcome.severity == "bad" or report.failures:
        text = template("Once what failed is over or put right, this makes what is missing{terms}{price}:")
    if is_refused:
        text = template("Once that is corrected, this makes whatever is missing{terms}:")
        missing = 0  # it is not known
    sentence = message(text, price=_price(report, missing))
    commands = replace(commands, unusable=[name for name, remedy in faulty.items() if remedy == NAME_A_PLACE])
    if not report.knows_days:  # whether the day is current is not known either
        named = [f"--date={report.known_day}"] if report.known_day else []
        return commands.start(sentence, None, *named, *options, cards=missing, is_start=True)
    # A refused start is recorded; and a day that was not current has to be confirmed by whoever names it.
    was_current = report.days.current(datetime.fromisoformat(report.started)) == report.day
    is_new = was_current and not report.number and not is_refused
    return commands.start(sentence, report.day, *options, is_new=is_new, cards=missing, is_start=True)
