"""Pages: that of a day, with its board of targets and card types, and that of the nights; and the documents that a
start writes beside its record.

A page is one HTML file without a script, which loads nothing from the network. It says until when each of its commands
holds, as nobody knows when it is read. Python computes all words and numbers, the templates draw them. This is the only
module that uses Jinja2.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from posixpath import relpath
from typing import TYPE_CHECKING

from job.config.days import Days
from job.config.environment import Settings
from job.config.plan import Target
from job.day.attempt import Outcome, Severity, Start
from job.day.ending import Ending
from job.day.history import Night, Nights
from job.day.ledger import Ledger
from job.day.report import CARDS, NIGHTS_PAGE, PAGE, REPORT, Report
from job.day.result import ItemState
from job.engines.calls import ENGINES
from job.outputs.cards import card_table, picture_url
from job.records.past_nights import PastNights
from job.records.record import Documents
from job.storage.uri import address_of
from job.telling.advice import CONSOLE, Commands, Step, advice, quoted
from job.telling.nights import done_at, marks_of, missing_of
from job.telling.reporting import report_of, when
from job.telling.sentence import LABELS
from job.telling.view import SIGNS, View, odd_lines
from job.text.messages import (
    Message,
    Translator,
    Value,
    colon,
    dated,
    dated_time,
    listed,
    message,
    plural,
    template,
    translator,
)
from job.text.shown import clock, printable, shortened

if TYPE_CHECKING:
    from jinja2 import Environment


def link(runs_uri: str, name: str, day: str = ".") -> str:
    """The link to an object below RUNS_URI, from the page of a `day` or from that of the nights.

    It is absolute in a bucket, where the browser is redirected and a relative one fails.
    """
    return address_of(runs_uri, name) if runs_uri.startswith("gs://") else relpath(name, day)


@dataclass(frozen=True, slots=True)
class Headline:
    """What both pages say of a day first."""

    severity: Severity
    sentence: Message
    day: str
    job: Sequence[str] = ()
    """The job and its project, as far as they are known: pages of two of them must not look alike."""
    link: str | None = None
    """The link to the page of the day, if that is another page."""
    when: Message | None = None
    notes: Sequence[Message] = ()
    """What was changed; and what is odd about a day that is done, on the page of the nights: the day's has it below."""
    has_cause: bool = False
    """Whether the page of the day, under `link`, says what is wrong."""
    detail: Message | None = None
    """The answer or the error behind it, if nothing else says it."""
    steps: Sequence[Step] = ()
    later: Sequence[Step] = ()
    """The steps after these, behind a fold."""
    later_heading: Message | None = None
    """When these hold."""
    next_night: Message | None = None


def headline_of(night: Night, steps: Sequence[Step], start: Start | None) -> Headline:
    """The headline of a day. `start` is one of its job, if any is known."""
    report = night.report
    expires = next((step.command.until for step in steps if step.command and step.command.until), None)
    return Headline(
        severity=night.severity,
        sentence=LABELS[night.outcome] if report is None else report.sentence,
        day=night.day,
        job=job_of(start),
        when=None if report is None else when(report),
        notes=() if report is None else [message("{sentence}.", sentence=change) for change in report.changed],
        detail=night.problem,
        steps=steps,
        later=[step.after for step in steps if step.after is not None],
        later_heading=None if expires is None else message("After {time}", time=f"{expires:%m-%d %H:%M}"),
    )


def job_of(start: Start | None) -> Sequence[str]:
    """The job and the project in which it started, as far as they are known; empty on a laptop."""
    return [] if start is None else [name for name in (start.job, start.project) if name is not None]


_MARGIN = timedelta(minutes=5)
"""Added on both sides: an engine may still log after the job has ended."""


def log_link(report: Report) -> str | None:
    """The log of the job and of the engines under the day's trace, with every call.

    And that of the execution on Cloud Run, which also has what the job cannot log itself, such as crashes.
    """
    if report.start.project is None:
        return None
    query = f'trace="projects/{report.start.project}/traces/{report.start.trace_id}"'
    if report.start.execution is not None:
        query += f'\nOR labels."run.googleapis.com/execution_name"="{report.start.execution}"'
    began = datetime.fromisoformat(report.start.began) - _MARGIN
    ended = (datetime.fromisoformat(report.ended) if report.ended else began + timedelta(days=1)) + _MARGIN
    span = quoted("/".join(f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (began, ended)))
    return f"{CONSOLE}/logs/query;query={quoted(query)};timeRange={span}?project={quoted(report.start.project)}"


BOARD_TARGETS = 300
"""Of more targets than these there is no board: the table of the cards has them."""
CARD_MARKS: Mapping[ItemState, tuple[str, str]] = {
    "done": ("good", "✓"),
    "with_error": ("warn", "!"),
    "failed": ("bad", "✗"),
    "cut_off": ("warn", "–"),
    "not_attempted": ("warn", "–"),
    "left_out": ("soft", "○"),
}
NOT_PLANNED = ("soft", "·")


@dataclass(frozen=True, slots=True)
class Cell:
    kind: str
    mark: str
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """The targets that have cards, each with a cell for each card type; none if they are too many.

    Those of which a card failed come first, then those that lack one, or have one with an error.
    """

    targets: int
    card_types: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    marks: Collection[str]
    is_open: bool


def board(report: Report, ledger: Ledger) -> Board | None:
    """The board of a day; `None` if no card was reached."""
    counts = ledger.counts("qa")
    if counts.done + counts.failed == 0:
        return None
    targets = [target for target in ledger.plan.targets if target.card_types]
    odd = {item.target for item in ledger.with_error("qa")} | {card.item.target for card in ledger.missing("qa")}
    failed = {card.item.target for card in ledger.missing("qa") if card.has_failed}
    shown = targets if len(targets) <= BOARD_TARGETS else []
    ordered = sorted(shown, key=lambda target: (target.id not in failed, target.id not in odd))
    types = list(dict.fromkeys(name for target in shown for name in target.card_types))
    rows = [(target.id, _cells(report, ledger, target, types)) for target in ordered]
    return Board(
        targets=len(targets),
        card_types=types,
        rows=rows,
        marks={cell.mark for _, cells in rows for cell in cells},
        is_open=counts.missing > 0 or counts.with_error > 0,
    )


def _cells(report: Report, ledger: Ledger, target: Target, types: Sequence[str]) -> Sequence[Cell]:
    cards = {card.item.card_type: card for card in ledger.of("qa", target.id)}
    return [
        Cell(*CARD_MARKS["failed" if card.has_failed else card.state], picture_url(report, target, card))
        if (card := cards.get(name))
        else Cell(*NOT_PLANNED)
        for name in types
    ]


NIGHTS_SHOWN = 14


@lru_cache(maxsize=4)
def environment(translator: Translator) -> "Environment":
    """The templates in a language. `_` and `ngettext` make messages, which `finalize` translates.

    Thus a value within a sentence is escaped and cleaned like any other value. Jinja2's own i18n extension would fill
    in values after `finalize`; it is used only to collect the sentences.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  only the end of a run needs it
    from markupsafe import Markup, escape  # noqa: PLC0415  as above

    def shown(value: Value) -> Markup:
        return value if isinstance(value, Markup) else escape(printable(translator.text(value)))

    def finalized(value: object) -> str:
        if isinstance(value, Message):
            template = escape(printable(translator.template(value)))  # that of a sentence may be from a record
            return Markup(value.filled(template, shown))  # noqa: S704  both are escaped
        return value if isinstance(value, Markup) else printable(value)

    def beginning(value: object, limit: int) -> str:
        return shortened(translator.text(value), limit)

    made = Environment(
        loader=PackageLoader("job.outputs"),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "dated": dated,
        "done_at": done_at,
        "marks": marks_of,
        "missing": missing_of,
        "names": listed,
        "number": "{:,}".format,
        "shortened": beginning,
    }
    made.globals = {
        "_": message,
        "ngettext": plural,
        "colon": colon,
        "language": translator.tag,
        "engines": {name: engine.label for name, engine in ENGINES.items()},
        "signs": SIGNS,
    }
    return made


def render_day(view: View, runs_uri: str, *, has_table: bool, translator: Translator) -> bytes:
    """The page of a day. `has_table` is whether the table of its cards is stored beside it."""
    report, ledger, groups = view.report, view.ledger, view.groups
    headline = headline_of(Night(report.day, report.outcome, report), view.steps, report.start)
    page = environment(translator).get_template("day.html.j2")
    return page.render(
        headline=replace(headline, detail=None if groups else report.detail),
        nights_link=link(runs_uri, NIGHTS_PAGE, report.day),
        report=report,
        groups=groups,
        odd=[line.text for line in odd_lines(view)],
        board=board(report, ledger),
        table_link=link(runs_uri, f"{report.day}/{CARDS}", report.day) if has_table else None,
        log_link=log_link(report),
    ).encode()


def render_nights(nights: Nights, runs_uri: str, days: Days, now: datetime, translator: Translator) -> bytes:
    """The page of the nights, as it is right at `now`."""
    headline = _headline(nights, runs_uri, days, now) if nights.nights else None
    page = environment(translator).get_template("nights.html.j2")
    return page.render(
        headline=headline,
        undone=nights.undone(headline.day) if headline else [],
        link_of=lambda day: link(runs_uri, f"{day}/{PAGE}"),
        nights=nights.nights[:NIGHTS_SHOWN],
        earlier=nights.nights[NIGHTS_SHOWN:],
        columns=nights.engines,
        marks={mark for night in nights.nights for _, mark in marks_of(night.report, nights.engines)},
    ).encode()


def _headline(nights: Nights, runs_uri: str, days: Days, now: datetime) -> Headline:
    """That of the latest night, as it is right at `now`; and when the next one begins."""
    latest, tick = nights.nights[0], nights.next_tick(days)
    report, start = latest.report, latest.start
    known = report
    if known is None and start is not None:  # nothing but how to go on
        known = report_of(start, Ledger.empty(latest.day), Ending(latest.outcome))
    steps = () if known is None else advice(known, None, Commands.of(known.start, runs_uri, days, now))
    headline = headline_of(latest, steps, start or nights.latest_start)
    if tick is not None:
        text = template("Next night: {time}. If it is later than that, this page does not know how it went.")
        headline = replace(headline, next_night=message(text, time=dated_time(tick)))
    if report is None or not report.ended:  # it may have no page
        return replace(headline, when=message("As of {time}", time=clock(now.astimezone(days.zone), latest.day)))
    notes = report.notes if report.outcome is Outcome.SUCCEEDED else ()  # else what failed is what counts
    has_cause = bool(report.faults or report.answers)
    return replace(
        headline, link=link(runs_uri, f"{latest.day}/{PAGE}"), notes=(*headline.notes, *notes), has_cause=has_cause
    )


def documents(view: View, past: PastNights, settings: Settings) -> Documents:
    """The documents of a day, in the order in which they are written; the page of the nights only if they are read."""
    report, runs_uri, day = view.report, settings.runs_uri or "", view.report.day
    to, has_table = translator(settings.language), report.cards.planned > 0
    made: dict[str, Callable[[], bytes]] = {
        f"{day}/{REPORT}": report.as_text,
        f"{day}/{PAGE}": partial(render_day, view, runs_uri, has_table=has_table, translator=to),
    }
    if has_table:
        made[f"{day}/{CARDS}"] = partial(card_table, report, view.ledger, to)
    nights = None if past.nights is None else past.nights.with_report(report)
    # A start that is at work writes it at its end.
    if nights is not None and all(night.outcome is not Outcome.AT_WORK for night in nights.nights):
        made[NIGHTS_PAGE] = partial(render_nights, nights, runs_uri, report.start.days, datetime.now(UTC), to)
    return made
