"""Remaking: which items a start with `remake` makes again, and what bars it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import CommandFault, ConfigError, Fault
from job.engines.catalog import DATA_ENGINES
from job.execution.request import RemakeOptions
from job.ledger.ledger import Ledger
from job.ledger.remakes import Remake
from job.planning.plan import Plan
from job.planning.selection import select_cards
from job.records.attempts import AttemptEntry, latest_number
from job.records.record import Record
from job.records.refusal import NotResumableError
from job.report.commands import Place
from job.report.format import ATTEMPTS, REPORT, name_of
from job.report.inputs import RunInputs, today_of
from job.report.outcome import not_remade
from job.report.report import read_report
from job.storage.store import ObjectStore, in_thread
from job.text.messages import Message, listed, message, plural, template

CONFIRMED_ABOVE = 20
"""More cards than these are made again only with `--yes`."""


def remakes_of(
    plan: Plan, inputs: RunInputs, options: RemakeOptions, settings: Settings, now: datetime
) -> list[Remake]:
    """The items to make again: the named cards, and the data of their targets if that is asked for.

    Raises `ConfigError` for a name that the plan lacks, and for data on another day than that of the run.
    """
    cards, faults = select_cards(plan, options.names)
    found = [Remake("qa", target, card_type) for target, card_type in cards]
    if options.with_data:
        today = today_of(inputs.started, now, settings.time_zone.key)
        if today != inputs.day:
            text = template("run {run} is of {day}, and the engines would prepare the data of today, {today}")
            what = message(text, run=inputs.run_id, day=inputs.day, today=today)
            remedy = message("leave it out: the cards are made from the data that is there")
            faults.append(CommandFault("--data", what, remedy))
        targets = {target for target, _ in cards}
        for engine in DATA_ENGINES:
            found += [Remake(engine, target) for target, _ in plan.items(engine) if target in targets]
    if faults:
        raise ConfigError(faults)
    return found


def what_is_paid(remakes: Sequence[Remake]) -> Message:
    """What will be made again, by number and name."""
    cards = [f"{one.target}/{one.card_type}" for one in remakes if one.engine == "qa"]
    text = plural(
        "1 card is made again, and paid for again: {names}",
        "{count} cards are made again, and paid for again: {names}",
        count=len(cards),
        names=listed(cards),
    )
    targets = dict.fromkeys(one.target for one in remakes if one.engine != "qa")
    if not targets:
        return text
    return message("{cards}. Their data is prepared again first: {targets}", cards=text, targets=listed(list(targets)))


def still_asked_for(ledger: Ledger) -> Iterator[Message]:
    """A notice of the cards that were to be made again, and that this attempt requests with what is missing."""
    cards = [f"{target}/{card_type}" for target, card_type, made in ledger.remakes.cards() if made is None]
    if cards:
        yield plural(
            "1 card was to be made again and was not: it is requested too, and paid for again: {names}",
            "{count} cards were to be made again and were not: they are requested too, and paid for again: {names}",
            count=len(cards),
            names=listed(cards),
        )


def confirmation(remakes: Sequence[Remake], options: RemakeOptions, settings: Settings) -> Fault | None:
    """The fault that a person has to confirm by `--yes` what is made again; `None` if that is not needed."""
    count = sum(one.engine == "qa" for one in remakes)
    can_ask = options.can_ask or settings.job is not None
    if options.is_confirmed or (count <= CONFIRMED_ABOVE and can_ask):
        return None
    what = message("is needed to pay for {count} cards again", count=count)
    if count <= CONFIRMED_ABOVE:
        what = message("is needed, as nobody can be asked without a terminal")
    return CommandFault("--yes", what, message("add it to the command"))


async def check_data(store: ObjectStore, inputs: RunInputs) -> None:
    """Raises `NotResumableError` if the run has ended and its report lacks data, so that nobody is asked in vain.

    Whether anything can be made again is known only once the run has the lease. Raises `RecordError`, `StorageError`.
    """
    name = name_of(inputs.run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    names = await in_thread(lambda: store.names(name_of(inputs.run_id, ATTEMPTS)))
    report = read_report(name, stored.data) if stored is not None else None
    if report is None or latest_number(inputs.run_id, names) != (report.attempt or 0):  # at work, or killed
        return
    data = (totals for engine, totals in report.engines.items() if engine in DATA_ENGINES)
    if any(totals.done + totals.skipped < totals.planned for totals in data):
        raise _not_ready(inputs, is_closed=True)


def _not_ready(inputs: RunInputs, *, is_closed: bool) -> NotResumableError:
    command = Place.of(inputs).resume(inputs.run_id)
    what = message("was ended before it closed its record")
    if is_closed:
        what = message("has not prepared all data")
    remedy = message("resume it first: `{command}`", command=command)
    fault = Fault(message("run {run}", run=inputs.run_id), what, remedy)
    return NotResumableError(fault, not_remade(inputs.run_id, command, is_closed=is_closed))


def with_remakes(record: Record, entry: AttemptEntry, remakes: Sequence[Remake], inputs: RunInputs) -> AttemptEntry:
    """The attempt's entry with what it makes again; nothing else is requested by it. The record has been read.

    A retry of an execution continues what that has opened. What is open already keeps its number, so that an engine
    that has made it meanwhile is not paid again. Raises `NotResumableError` if the run has to be resumed first.
    """
    ledger = record.ledger
    opened = (one for one in reversed(record.entries) if one.remakes and one.execution == entry.execution)
    own = next(opened, None) if entry.execution is not None else None
    if own is not None:
        continued = own.continued()
    else:
        targets = {one.target for one in remakes}
        is_ready = ledger.is_complete(DATA_ENGINES) and not ledger.remakes.open(DATA_ENGINES, except_for=targets)
        if not record.is_closed or not is_ready:
            raise _not_ready(inputs, is_closed=record.is_closed)
        continued = tuple(
            one._replace(number=ledger.remakes.number(one.engine, (one.target, one.card_type))) for one in remakes
        )
    ledger.remakes.limit(continued)
    return entry.model_copy(update={"remakes": continued})
