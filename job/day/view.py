"""View: all that is shown of a day, on its page, in a message, on a terminal and in the log.

The lines of a day are all that is said of it besides its sentence: the terminal prints them, a message cuts them. The
comparison with the nights before says what is new and gone, and what is still missing. The table of the cards,
`cards.csv`, has a row for each card, for spreadsheets and for the publisher's own tools: RFC 4180 in UTF-8, with a byte
order mark, without which Excel shows Chinese wrongly.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from enum import IntEnum
from io import BytesIO, TextIOWrapper
from itertools import chain
from urllib.parse import quote

from pydantic_core import to_json

from job.config.objects import LlmConfig, alike
from job.config.plan import Plan, Target
from job.config.values import CARD_URL_PLACES, spelling
from job.day.advice import Commands, Step, advice, page_address
from job.day.attempt import PAGE, Attempt, Mark, Outcome, RecordError, Severity
from job.day.ending import notices_of, unrecorded_note
from job.day.failing import FailureGroup, failure_groups, names_of, not_reached
from job.day.ledger import ItemStatus, Ledger
from job.day.report import COMPARED_BYTES, FAULTS_LISTED, Report, missing_by_item
from job.engines.calls import Item
from job.text.messages import ENGLISH, Message, Translator, colon, listed, message, plural, template
from job.text.shown import excerpt, quoted, zone_of

COLUMNS = (
    template("target"),
    template("kind"),
    template("card_type"),
    template("state"),
    template("cause"),
    template("attempts"),
    template("when ({zone})"),
    template("day"),
    template("url"),
    template("date"),
)
"""The headings, in the language of the reports. Their order never changes, and what is below them stays English."""
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""Characters with which a formula starts in a spreadsheet; the last four only in East Asian ones."""


def picture_url(report: Report, target: Target, card: ItemStatus) -> str | None:
    """Where the picture of a made card is; `None` of any other card, and without CARD_URL."""
    if report.card_url is None or not card.is_done:
        return None
    values = {"date": target.date or report.day, "ticker": target.id, "card_type": card.item.card_type or ""}
    return CARD_URL_PLACES.sub(lambda place: quote(values[place[1]], safe=""), report.card_url)


def card_table(report: Report, ledger: Ledger, translator: Translator = ENGLISH) -> bytes:
    zone = zone_of(datetime.fromisoformat(report.started))
    table = BytesIO()
    text = TextIOWrapper(table, "utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([translator.text(message(heading, zone=zone)) for heading in COLUMNS])
    writer.writerows(_rows(report, ledger))
    text.detach()
    return table.getvalue()


def _rows(report: Report, ledger: Ledger) -> Iterator[tuple[str, ...]]:
    zone = report.offset
    for target in ledger.plan.targets:
        name = _cell(target.id)
        for card in ledger.of("qa", target.id):
            state = "made" if card.is_done else card.state
            tries, when = str(card.tries), _when(card.ended, zone)
            url = picture_url(report, target, card) or ""
            card_type, day = _cell(card.item.card_type or ""), report.day
            yield name, target.kind, card_type, state, card.cause or "", tries, when, day, url, target.date or day


def _when(moment: float, zone: tzinfo | None) -> str:
    """The moment as a spreadsheet takes it for a time: it understands no offset, so the headings have that."""
    return f"{datetime.fromtimestamp(moment, zone):%Y-%m-%d %H:%M:%S}" if moment else ""


def _cell(text: str) -> str:
    """The text, with a leading `'` if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def complete_line(ledger: Ledger) -> Message | None:
    """How many of the targets that have cards are complete; `None` if no card is planned."""
    targets = [target for target in ledger.plan.targets if target.card_types]
    if not targets:
        return None
    incomplete = {card.item.target for card in ledger.missing("qa")}
    complete = sum(target.id not in incomplete for target in targets)
    return plural(
        "Complete: {complete} of 1 target", "Complete: {complete} of {count} targets", len(targets), complete=complete
    )


def night_before(nights: Sequence[Report], day: str) -> Report | None:
    """The latest night before `day` that had a plan; `nights` are in any order."""
    return max(
        (night for night in nights if night.day < day and night.had_plan), key=lambda night: night.day, default=None
    )


def plan_before(plan: Plan, before: Attempt | None) -> Plan | None:
    """The plan of an earlier attempt; `None` if that was the same, or if none can be made again."""
    if before is not None and before.plan != replace(plan, date=before.day).digest():
        with suppress(RecordError):  # this day can be shown without
            return before.plan_again()
    return None


def comparison_lines(report: Report, ledger: Ledger, earlier: Report, planned: Plan | None) -> Iterator[Message]:
    """The comparison with the night before, which `planned` this if it was another plan and is known."""
    if planned is not None:
        yield from differences(planned, ledger.plan)  # of a million cards, that takes seconds
    # What failed only because its whole engine did, the headline says.
    down = {engine for group in failure_groups(ledger) if group.is_down for engine in group.engines}
    if report.outcome is Outcome.QA_ENGINE_DOWN:
        down.add("qa")
    failed = [group for group in report.missing if group.state == "failed" and group.engine not in down]
    then = missing_by_item(earlier)
    still: dict[int, list[Item]] = {}
    for item in chain(*(group.items for group in failed)):
        if (group_then := then.get(item)) is not None:
            still.setdefault(group_then.nights + 1, []).append(item)
    for count, items in sorted(still.items(), reverse=True):
        yield message("Still missing, for {count} nights: {names}", count=count, names=listed(names_of(items)))


def differences(then: Plan, now: Plan) -> Iterator[Message]:
    if new := lacked(then, (item for item in now.items("qa") if item.target not in now.left_out)):
        yield plural(
            "New since {day}, 1 card: {names}",
            "New since {day}, {count} cards: {names}",
            count=len(new),
            day=then.date,
            names=listed(names_of(new)),
        )
    if gone := lacked(now, then.items("qa")):
        yield plural(
            "No longer asked for since {day}, 1 card: {names}",
            "No longer asked for since {day}, {count} cards: {names}",
            count=len(gone),
            day=then.date,
            names=listed(names_of(gone)),
        )
    old, ids = {target.id: target for target in then.targets}, {target.id for target in now.targets}
    lost = {spelling(name): name for name in old if name not in ids}
    if twins := sorted(alike(name, lost[key]) for name in ids - old.keys() if (key := spelling(name)) in lost):
        yield message(
            "Spelled like a removed name: {names}; correct it if the same is meant",
            names=listed(twins),
        )
    kept = [(old[target.id], target) for target in now.targets if target.id in old]
    yield from _made_otherwise(then, now, kept)


def _made_otherwise(then: Plan, now: Plan, kept: Iterable[tuple[Target, Target]]) -> Iterator[Message]:
    """What the same cards are made with otherwise; `kept` has each of their targets as it was and as it is."""
    all_changes: dict[str, dict[tuple[object, object], list[Item]]] = {}
    is_common = then.common() == now.common()
    for before, target in kept:
        if is_common and before == target:
            continue
        for card_type in (card_type for card_type in target.card_types if card_type in before.card_types):
            was, is_now = then.made_with(before, card_type), now.made_with(target, card_type)
            if before.kind != target.kind:  # all else follows from that
                was, is_now = {"target_type": before.kind}, {"target_type": target.kind}
            for name in was | is_now:
                if was.get(name) != is_now.get(name):
                    changes = all_changes.setdefault(name, {})
                    changes.setdefault((was.get(name), is_now.get(name)), []).append(Item("qa", target.id, card_type))
    for name, changes in all_changes.items():
        items = [item for some in changes.values() for item in some]
        yield plural(
            "{name} has changed since {day} ({changes}) for 1 card: {names}",
            "{name} has changed since {day} ({changes}) for {count} cards: {names}",
            count=len(items),
            day=then.date,
            name=name,
            changes=listed([" → ".join(excerpt(quoted(value, 40).encode()) for value in pair) for pair in changes]),
            names=listed(names_of(items)),
        )


def lacked(plan: Plan, items: Iterable[Item]) -> list[Item]:
    """Those of the items that a plan does not have; data that it has no target for."""
    types = {target.id: target.card_types for target in plan.targets}
    return [
        item
        for item in items
        if item.target not in types or (item.card_type is not None and item.card_type not in types[item.target])
    ]


@dataclass(frozen=True, slots=True)
class View:
    """A day as a person sees it: live, ended, killed, or refused."""

    report: Report
    ledger: Ledger
    """That of an empty plan if the day has none."""
    steps: tuple[Step, ...] = ()
    page: str | None = None
    unrecorded: int | None = None
    """How many results the record lacks, if its end could not be written."""
    undone: Message | None = None
    """Which nights besides are not done; `None` without any."""
    models_before: LlmConfig | None = None
    """The models of the night before, if it had another plan."""
    severity_before: Severity | None = None
    """How grave it was before this attempt, or else the night before; `None` if that is not known."""

    @classmethod
    def of(
        cls,
        report: Report,
        ledger: Ledger,
        nights: Sequence[Report],
        before: Attempt | None,
        commands: Commands,
        undone: Message | None = None,
    ) -> "View":
        """What is shown of a report to whom the `commands` are given.

        `nights` are those before, in any order; `before` is the latest attempt at the last of them.
        """
        earlier, planned, notes = night_before(nights, report.day), None, report.notes
        if earlier is not None and report.had_plan:
            planned = plan_before(ledger.plan, before) if before and before.day == earlier.day else None
            ids = {note.id for note in notes}  # a day that has ended has been compared then
            compared = [line for line in comparison_lines(report, ledger, earlier, planned) if line.id not in ids]
            notes = (*notes, *compared) if len(to_json(compared)) <= COMPARED_BYTES else notes
        noted = report.model_copy(update={"notes": notes})
        steps = advice(report, ledger, commands, report.retry_comes(commands.now))
        return cls(noted, ledger, steps, undone=undone, models_before=planned.models if planned else None)

    @property
    def groups(self) -> list[FailureGroup]:
        return failure_groups(self.ledger, self.models_before)

    def unended(self, unrecorded: int) -> "View":
        """The same if the end could not be written, nor so many results."""
        note = unrecorded_note(unrecorded, is_done=self.ledger.is_complete)
        report = self.report.model_copy(update={"notes": (*self.report.notes, note)})
        return replace(self, report=report, unrecorded=unrecorded)

    def with_page(self, runs_uri: str | None) -> "View":
        """The same with the address of its page there, if that was written."""
        if runs_uri is None or f"{self.report.day}/{PAGE}" in self.report.not_written:
            return self
        return replace(self, page=page_address(runs_uri, self.report.day))


class Rank(IntEnum):
    """How much a line is needed in a message, if that has to be shortened."""

    ASIDE = -1
    """A message leaves it out: it quotes an answer, needs a checkout, or is too much for a chat."""
    DETAIL = 0
    """What failed and why: the last goes first."""
    EXTRA = 1
    """What else one may know or do: the longest goes first, as of `NEXT`."""
    NEXT = 2
    """What to do next, and where to read more."""
    KEPT = 3
    """How the day stands."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and perhaps a command below it, which goes with it."""

    text: Message
    rank: Rank = Rank.DETAIL
    mark: Mark = ""
    command: str | None = None
    what_to_do: Message | None = None
    """About what failed, as a sentence; `beside_answers` is the same where these are shown too."""
    beside_answers: Message | None = None
    is_of_config: bool = False
    """Whether it is a fault or a notice of the config, which a start says as soon as it knows it."""


def day_lines(view: View, faults: int = FAULTS_LISTED) -> Iterator[Line]:
    """What failed, what is odd, how the day compares and what to do next; so many faults of the config."""
    report, ledger, groups = view.report, view.ledger, view.groups
    if (complete := complete_line(ledger)) is not None:
        yield Line(complete, Rank.ASIDE)
    for group in groups:
        failed = colon(group.heading, listed(group.names)) if group.names else group.heading
        yield Line(failed, mark="✗", what_to_do=group.what_to_do, beside_answers=group.beside_answers)
        for answer in group.answers:
            yield Line(message("Last answer: {answer}", answer=answer), Rank.ASIDE, " ")
    if groups and (rest := not_reached(ledger, report.outcome)) is not None:
        yield Line(rest, Rank.EXTRA if report.outcome is Outcome.CARDS_MISSING else Rank.ASIDE)
    if groups:
        yield Line(colon(message("trace id"), report.trace_id), Rank.ASIDE)
    yield from (Line(note, Rank.EXTRA) for note in report.notes)
    yield from (Line(error, Rank.ASIDE, "!") for error in ledger.errors)
    yield from _fault_lines(report, faults)
    yield from (Line(notice, mark="!", is_of_config=True) for notice in notices_of(ledger.plan))
    if view.undone is not None:
        yield Line(view.undone, Rank.NEXT)
    yield from step_lines(view.steps)
    if view.page is not None:
        yield Line(message("Page: {page}", page=view.page), Rank.NEXT)
    if report.detail is not None and not groups:  # else the answers are above
        yield Line(report.detail, Rank.ASIDE)


def step_lines(steps: Iterable[Step]) -> Iterator[Line]:
    """What to do, and the commands for it; those for later are left out, as this is read now."""
    for step in steps:
        command, rank = step.command, Rank.EXTRA if step.kind in {"variables", "again"} else Rank.NEXT
        if command is not None and command.wants_checkout:
            rank = Rank.ASIDE
        if step.kind not in {"then", "later"}:
            yield Line(step.sentence, rank, command=command.text if command else None)


def _fault_lines(report: Report, count: int) -> Iterator[Line]:
    for fault in report.faults[:count]:
        yield Line(fault.sentence, mark="✗", is_of_config=True)
    if more := max(0, len(report.faults) - count) + report.faults_not_listed:
        yield Line(message("and {count} more", count=more), is_of_config=True)
