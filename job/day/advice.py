"""Advice: what a person does next about a day. Every output shows these steps, and decides nothing itself.

With the commands and links for it: how to start the job again, and where a page is. Commands are quoted for a shell.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial, reduce
from typing import Literal, NamedTuple
from urllib.parse import quote

from job.config.days import Days
from job.config.faults import FaultKind
from job.config.plan import UNCONFIRMED_LIMIT
from job.day.attempt import NIGHTS_PAGE, PAGE, Outcome, Start
from job.day.failing import charged, failure_groups
from job.day.ledger import Ledger
from job.day.report import SOON, Report
from job.engines.calls import counted
from job.storage.uri import absolute, address_of
from job.text.messages import NAMED, Message, Value, listed, message, plural, semicolon, template
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
        if names_day and "--yes" not in arguments:  # not before the next night, but nobody knows when it is read
            does = (*does, message("may want --yes"))
        if job is None:
            command = self._here(arguments, RUNS_URI=self.runs_uri, CONFIG_URI=self.config_uri)
            return replace(command, until=until, does=does)
        where = {"region": self.region, "project": self.project}
        named = [f"--{name}={value}" for name, value in where.items() if value is not None]
        if len(arguments) > 1:
            named.append(f"--args={_as_list(arguments)}")
        text = shlex.join(["gcloud", "run", "jobs", "execute", job, *named])
        return Command(text, until, is_maintainers=len(arguments) > 1, does=does)

    def look(self, day: str | None) -> Command:
        """How to see a day, by default the latest: the address of a page, or on a laptop the command that shows it."""
        if self.job is not None and self.runs_uri:
            return Command(address_of(self.runs_uri, NIGHTS_PAGE) if day is None else page_address(self.runs_uri, day))
        return self.read("report", *([day] if day else []))

    def read(self, *arguments: str) -> Command:
        return self._here(arguments, RUNS_URI=self.runs_uri)

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


def quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")


CONSOLE = "https://console.cloud.google.com"


def executions_link(start: Start) -> str | None:
    """All executions of the job, also those that left nothing."""
    if start.job is None or start.region is None or start.project is None:
        return None
    region, job, project = map(quoted, (start.region, start.job, start.project))
    return f"{CONSOLE}/run/jobs/details/{region}/{job}/executions?project={project}"


StepKind = Literal["wait", "start", "then", "later", "look", "plan", "without", "left_out", "again", "variables"]
"""What a step is: wait for a start, such as that by which Cloud Run starts the job again; start the job again, now,
once Cloud Run would have, and later; look at the day first; look for faults of the config; go on without some targets;
make what was left out; make doubtful cards again; know who sets variables."""


class Step(NamedTuple):
    kind: StepKind
    sentence: Message
    command: Command | None = None


_STARTED_AGAIN = message("Cloud Run starts it again by itself. Wait for its next message.")
_UNLESS_CANCELLED = message(
    "Unless somebody cancelled it, Cloud Run starts it again by itself. Wait for its next message."
)


def advice(report: Report, ledger: Ledger, commands: Commands, retry: bool = False) -> tuple[Step, ...]:
    """What to do next, in this order. `commands` know when it is read; `retry` is as in `Report.retry_comes`."""
    steps, sentence = list[Step](), report.outcome.about.next
    of_fault = any(fault.kind is FaultKind.VARIABLE for fault in report.faults)
    if report.job and (of_fault or any("{variable}" in group.what_to_do.id for group in failure_groups(ledger))):
        steps.append(Step("variables", message("Variables are set in terraform.tfvars, which an owner applies.")))
    if report.outcome is Outcome.AT_WORK:
        steps.extend(_waiting_steps(report))
    elif report.outcome is Outcome.SUCCEEDED:
        steps.extend(_steps_of_success(report, ledger, commands))
    elif sentence is not None:
        steps.extend(_steps(report, ledger, sentence, commands, retry))
    if any(fault.kind is FaultKind.IMAGE for fault in report.faults):  # this image would be refused again
        return tuple(step for step in steps if step.kind == "wait")
    return () if report.is_of_command else tuple(steps)


def command_of(steps: Sequence[Step], kind: StepKind) -> Command | None:
    return next((step.command for step in steps if step.kind == kind), None)


def _steps(report: Report, ledger: Ledger, sentence: str, commands: Commands, retry: bool) -> Iterator[Step]:
    if _may_have_asked(report):
        look = message("It is not known whether your request was recorded. First look at how the day stands:")
        if report.outcome is Outcome.BUSY and not report.task_attempt:
            look = message("Your request was not recorded. Look at how the day stands, then ask again:")
        elif report.outcome is Outcome.BUSY:
            look = message("Once no other start is at work, first look at how the day stands:")
        yield Step("look", look, commands.look(report.known_day))
        return
    if report.refused:
        sentence = template(
            "The engine refuses these calls until you correct them. Then this makes only what is missing{terms}:"
        )
    retry = retry and report.outcome is not Outcome.BAD_CONFIG and not report.refused  # that one fails too
    # If the day ends soon, the retry would be for the next one, unless the day is named.
    ends_soon = not report.names_day and commands.days.current(commands.now + SOON) != report.day
    names_day = retry and ends_soon
    now, *later = _start_steps(report, report.outcome, sentence, commands, names_day=names_day)
    others = _steps_without(report, ledger, commands, names_day=names_day)
    if retry and not names_day and now.command:
        yield Step("wait", _UNLESS_CANCELLED if report.outcome is Outcome.INTERRUPTED else _STARTED_AGAIN)
        if report.outcome is Outcome.INTERRUPTED and 0 < len(ledger.to_make_again) == report.cards.missing:
            return  # whoever cancelled it may not want these any more, which are paid for again
        yield from others  # which are not left below
        yield now._replace(kind="then")
        text = template("Only if no message comes, start it again. This makes only what is missing{terms}:")
        now = now._replace(sentence=message(text, terms=now.command.terms))
    yield from (*others, now, *later)
    if report.outcome is Outcome.BAD_CONFIG and any(fault.kind is FaultKind.OBJECT for fault in report.faults):
        look = message("In a checkout, this checks the config objects for faults, and calls no engine:")
        yield Step("plan", look, commands.read("plan", report.config_uri))


def _steps_without(report: Report, ledger: Ledger, commands: Commands, *, names_day: bool) -> Iterator[Step]:
    """How to go on without the targets at fault: a plain start would fail for them before it makes any card."""
    if report.at_fault:
        text = template("If nothing else is wrong, this makes the cards without {names}{terms}:")
        options = option("without", [*report.without, *report.at_fault])
        run = partial(commands.run, report.day, *options, names_day=names_day)
        cards = (card for card in ledger.missing("qa") if card.item.target not in report.at_fault)
        count = sum(card.state != "left_out" for card in cards)
        yield from _now_and_later("without", text, run, count, names=listed(report.at_fault))


def _steps_of_success(report: Report, ledger: Ledger, commands: Commands) -> Iterator[Step]:
    """How to make what was left out, and again the cards that have an error besides: many, only if of whole types."""
    if report.without:
        text = template("When you want what was left out, this makes it{terms}:")
        yield from _now_and_later("left_out", text, partial(commands.run, report.day), report.cards.left_out)
    cards = [card for card in ledger.with_error("qa") if card.target not in report.without]
    names = [f"{card.target}/{card.card_type}" for card in cards]
    if len(cards) > NAMED:
        types = {card.card_type: None for card in cards}
        whole = (card for card in ledger.plan.items("qa") if card.card_type in types)
        is_exact = len(cards) == sum(card.target not in report.without for card in whole)
        names = [f"/{name}" for name in types] if is_exact else []
    if names:
        options = [*option("again", names), *option("without", report.without)]
        command = commands.run(report.day, *options, *["--yes"] * (len(cards) > UNCONFIRMED_LIMIT), names_day=True)
        again = plural(
            "This makes 1 card again, which is paid for again{terms}:",
            "This makes {count} cards again, which are paid for again{terms}:",
            count=len(cards),
            terms=command.terms,
        )
        yield Step("again", again, command)


def _waiting_steps(start: Start) -> Iterator[Step]:
    if start.deadline is not None:
        ends = datetime.fromisoformat(start.started) + timedelta(seconds=start.deadline)
        yield Step("wait", message("Nothing has to be done: it ends by {time}.", time=clock(ends, start.day)))
    if (link := executions_link(start)) is not None:
        yield Step("look", message("All executions of the job"), Command(link))


def _may_have_asked(report: Report) -> bool:
    """Whether it is not known if what `--again` asks for is recorded: whoever asks once more may pay once more.

    A first try that was refused has asked for nothing. A retry asks for nothing, but its first try may have.
    """
    if report.number or not any(argument.startswith("--again") for argument in report.arguments):
        return False
    return report.outcome is not Outcome.BAD_CONFIG or report.task_attempt > 0


def first_steps(day: str, commands: Commands) -> tuple[Step, ...]:
    command = commands.run(day, is_new=True)
    return (Step("start", message("This makes all that the config asks for{terms}:", terms=command.terms), command),)


def late_steps(start: Start | None, runs_uri: str | None, days: Days, tick: datetime) -> tuple[Step, ...]:
    """What to do if the night of this tick has left nothing, whenever it is read; nothing if no `start` is known."""
    if start is None:
        return ()
    command = Commands.of(start, runs_uri, days, tick).run(None)
    return (Step("start", message("This makes what is missing of the latest night:"), command),)


def go_on(start: Start, outcome: Outcome, commands: Commands) -> tuple[Step, ...]:
    """How to go on with an attempt that has no report."""
    sentence = outcome.about.next
    return () if sentence is None else tuple(_start_steps(start, outcome, sentence, commands))


def _start_steps(
    start: Start, outcome: Outcome, sentence: str, commands: Commands, *, names_day: bool = False
) -> Iterator[Step]:
    # Until an attempt is recorded, nobody else knows what it was asked for.
    options = [argument for argument in start.arguments if not argument.startswith(("run", "--date"))]
    if start.number:  # without what was left out, or it could keep back what is missing
        options = option("without", start.without)
    # A refused start is recorded; and a day that was not current has to be confirmed by whoever names it.
    was_current = start.knows_days and start.days.current(datetime.fromisoformat(start.started)) == start.day
    is_new = was_current and not start.number and outcome is not Outcome.BAD_CONFIG
    names_day = names_day or not start.knows_days  # whether it is current is not known either
    run = partial(commands.run, start.known_day, *options, names_day=names_day, is_new=is_new)
    does, cards = list[Message](), 0
    if outcome is not Outcome.BAD_CONFIG and isinstance(start, Report):
        cards = start.cards.missing
        if tries := start.charged_tries or start.perhaps_charged:  # an older report counts only the cards
            does.append(charged(tries))
    yield from _now_and_later("start", sentence, run, cards, does)


def _now_and_later(
    kind: StepKind,
    sentence: str,
    run: Callable[..., Command],
    cards: int,
    does: Sequence[Message] = (),
    **values: Value,
) -> Iterator[Step]:
    """The command for now, which makes so many cards; and if it expires the one that does not."""
    made_cards = [counted("qa", cards)] if cards else []
    for one, made in ((kind, run()), ("later", run(names_day=True))):
        command = replace(made, does=(*(made.does or made_cards), *does))  # by another config it may be other cards
        yield Step(one, message(sentence, **values, terms=command.terms), command)
        if command.until is None:
            return


def last_words(start: Start, commands: Commands) -> Message:
    """What to do about a recorded start that is about to be ended at once."""
    command = commands.run(start.day, *option("without", start.without))
    text = template("Ended at once. What is recorded is kept; this makes only what is missing{terms}: {command}")
    return message(text, terms=command.terms, command=command.text)
