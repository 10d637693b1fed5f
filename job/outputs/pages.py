"""Pages: that of a day, with its board of targets and card types, and that of the nights; and the documents that a
start writes beside its record.

A page is one HTML file without a script, which loads nothing from the network. It says until when each of its commands
holds, as nobody knows when it is read. Python computes all words and numbers, the templates draw them. This is the only
module that uses Jinja2.
"""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from posixpath import relpath
from typing import TYPE_CHECKING, Literal

from job.config.days import Days
from job.config.environment import Settings
from job.config.plan import Target
from job.day.attempt import Outcome, Severity
from job.day.history import Night, Nights
from job.day.ledger import Ledger
from job.day.report import CARDS, NIGHTS_PAGE, PAGE, REPORT, Report
from job.day.result import ItemState
from job.engines.calls import ENGINES
from job.outputs.cards import card_table, picture_url
from job.records.past_nights import PastNights
from job.records.record import Documents
from job.storage.uri import address_of
from job.telling.advice import CONSOLE, Commands, escaped, later_step
from job.telling.fields import report_json
from job.telling.lines import SIGNS, Line, Rank
from job.telling.nights import done_at, fact_of_night, marks_of
from job.telling.sentence import LABELS, outcome_of, when
from job.telling.view import View, day_lines
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


_MARGIN = timedelta(minutes=5)
"""Added on both sides: an engine may still log after the job has ended."""


def log_lines(report: Report) -> Iterator[Line]:
    """Where the log of the job and of the engines is, under the day's trace, with every call.

    And that of the execution on Cloud Run, which also has what the job cannot log itself, such as crashes.
    """
    if report.project is None:
        return
    query = f'trace="projects/{report.project}/traces/{report.trace_id}"'
    if report.execution is not None:
        query += f'\nOR labels."run.googleapis.com/execution_name"="{report.execution}"'
    began = datetime.fromisoformat(report.began) - _MARGIN
    ended = (datetime.fromisoformat(report.ended) if report.ended else began + timedelta(days=1)) + _MARGIN
    span = escaped("/".join(f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (began, ended)))
    address = f"{CONSOLE}/logs/query;query={escaped(query)};timeRange={span}?project={escaped(report.project)}"
    yield Line(message("The log of the job and of the engines, with every call"), below=address, is_link=True)


BOARD_TARGETS = 300
"""How many targets the board has: the table of the cards has all."""
CARD_MARKS: Mapping[ItemState, tuple[str, str]] = {
    "done": ("good", "✓"),
    "with_error": ("warn", "!"),
    "failed": ("bad", "✗"),
    "cut_off": ("warn", "–"),
    "not_attempted": ("warn", "–"),
    "left_out": ("soft", "○"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    kind: str
    mark: str
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """The first targets that have cards, each with a cell for each card type; `more` have none.

    Those of which a card failed come first, then those that lack one or have one with an error, unless it is left out.
    """

    card_types: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    more: Message | None
    marks: Collection[str]
    is_open: bool


def board(report: Report, ledger: Ledger) -> Board | None:
    """The board of a day; `None` if no card was reached."""
    counts = ledger.counts("qa")
    if counts.done + counts.failed == 0:
        return None
    targets = [target for target in ledger.plan.targets if target.card_types]
    ranks = _ranks(ledger)
    shown = sorted(targets, key=lambda target: ranks.get(target.id, len(_FIRST)))[:BOARD_TARGETS]
    types = list(dict.fromkeys(name for target in shown for name in target.card_types))
    rows = [(target.id, _cells(report, ledger, target, types)) for target in shown]
    marks = {cell.mark for _, cells in rows for cell in cells}
    hidden = len(targets) - len(shown)
    more = plural("and 1 more target", "and {count} more targets", count=hidden) if hidden else None
    return Board(types, rows, more, marks, is_open=counts.missing > 0 or counts.with_error > 0)


_FIRST = ("bad", "warn")


def _ranks(ledger: Ledger) -> Mapping[str, int]:
    """The place in `_FIRST` of each target that has a card of such a kind."""
    ranks: dict[str, int] = {}
    for item, result in ledger.items["qa"].items():
        if result is None or not result.done or result.warning is not None:
            kind = CARD_MARKS[ledger.state(item)][0]
            if kind in _FIRST:
                ranks[item.target] = min(_FIRST.index(kind), ranks.get(item.target, len(_FIRST)))
    return ranks


def _cells(report: Report, ledger: Ledger, target: Target, types: Sequence[str]) -> Sequence[Cell]:
    cards = {card.item.card_type: card for card in ledger.of("qa", target.id)}
    return [
        Cell(*CARD_MARKS[card.state], picture_url(report, target, card))
        if (card := cards.get(name))
        else Cell("soft", "·")
        for name in types
    ]


def _tone(night: Night) -> Severity | Literal["calm"]:
    """How a page draws a night: one that is at work needs nobody, and is not done."""
    return "calm" if night.outcome is Outcome.AT_WORK else night.severity


_SIGNS = {"calm": "…"} | dict[str, str](SIGNS.items())


@lru_cache(maxsize=4)
def environment(translator: Translator) -> "Environment":
    """The templates in a language. `_` makes a message, which `finalize` translates.

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
            return Markup(value.filled(template, shown, translator.begins_with_words))  # noqa: S704  both are escaped
        return value if isinstance(value, Markup) else printable(value)

    def beginning(value: object, limit: int) -> str:
        return shortened(translator.text(value), limit)

    templates = Environment(
        loader=PackageLoader("job.outputs"),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "dated": dated,
        "done_at": done_at,
        "fact": fact_of_night,
        "tone": _tone,
        "marks": marks_of,
        "number": "{:,}".format,
        "shortened": beginning,
    }
    templates.globals = {
        "_": message,
        "colon": colon,
        "language": translator.tag,
        "engines": {name: engine.label for name, engine in ENGINES.items()},
        "signs": _SIGNS,
        "kinds": {sign: severity for severity, sign in SIGNS.items()},
    }
    return templates


def render_day(view: View, runs_uri: str, now: datetime, *, has_table: bool, translator: Translator) -> bytes:
    """The page of a day, as it is right at `now`. `has_table` is whether the table of its cards is stored beside it."""
    report = view.report
    return _rendered(
        "day.html.j2",
        translator,
        Night(report.day, report.outcome, report),
        lines=[*_lines(view, runs_uri), *log_lines(report)],
        when=_when(report.day, report, report.days, now),
        nights_link=link(runs_uri, NIGHTS_PAGE, report.day),
        board=board(report, view.ledger),
        table_link=link(runs_uri, f"{report.day}/{CARDS}", report.day) if has_table else None,
        foot=list(_foot(report)),
        **_own_tone(view),
    )


AFTER_THAT = message("After that, paste")


def _lines(view: View, runs_uri: str) -> Iterator[Line]:
    """The lines of a day; below the command that holds until the next night, the one that holds at any time."""
    report = view.report
    for line in day_lines(view):
        yield line
        if line.is_start and line.until is not None:
            later = later_step(report, Commands(report, runs_uri, report.days, line.until), AFTER_THAT)
            yield from [] if later is None else [later]


def _foot(report: Report) -> Iterator[Message]:
    """What made the page, for whoever looks for a cause."""
    yield colon(message("trace id"), report.trace_id)
    yield colon(message("arguments"), shlex.join(report.arguments))
    if report.generations:
        yield colon(report.config_uri, listed([f"{name}#{one}" for name, one in report.generations.items()]))
    yield colon(message("version"), report.version if report.commit is None else f"{report.version} ({report.commit})")


def render_nights(nights: Nights, view: View, runs_uri: str, now: datetime, translator: Translator) -> bytes:
    """The page of the nights, as it is right at `now`: the latest, a row for each, and how to go on with each other one
    that is not done. `view` is that of the day whose start writes it. It is good only if nobody is needed.
    """
    latest, days = nights.nights[0], view.report.days
    undone = nights.undone(view.report.day)
    lines = []
    if view.report.day == latest.day:
        lines += [line for line in day_lines(replace(view, undone=())) if line.rank is not Rank.ASIDE]
    if days.schedule:
        text = template("Next night: {time}. If it is later than that, this page does not know how it went.")
        lines.append(Line(message(text, time=dated_time(days.after(latest.day)))))
    return _rendered(
        "nights.html.j2",
        translator,
        latest,
        lines=lines,
        when=_when(latest.day, latest.report, days, now),
        link_of=partial(_page_link, runs_uri),
        nights=nights.nights,
        columns=nights.engines,
        marks={mark for night in nights.nights for _, mark in marks_of(night.report, nights.engines)},
        undone=[(night, _undone_line(night, Commands(view.report, runs_uri, days, now))) for night in undone],
        **({"severity": "warn"} if latest.severity == "good" and undone else {}),
        **(_own_tone(view) if view.report.day == latest.day else {}),
    )


def _own_tone(view: View) -> Mapping[str, Severity]:
    """That of a day with which a retry goes on: its message says it so."""
    return {"severity": view.severity} if view.goes_on else {}


def _undone_line(night: Night, commands: Commands) -> Line | None:
    """How to go on with a night of the past, if that is known."""
    if night.report is None:
        return None if night.problem is None else Line(night.problem)
    return later_step(night.report, commands)


def _when(day: str, report: Report | None, days: Days, now: datetime) -> Message:
    """When it ended, or when that is written which has not ended: a start that is killed then leaves no lie."""
    ended = None if report is None else when(report)
    return ended or message("As of {time}", time=clock(now.astimezone(days.zone), day))


def _page_link(runs_uri: str, night: Night) -> str | None:
    """Where the page of a night is; `None` if it has left none."""
    has_page = night.report is not None or night.outcome is Outcome.OTHER_FORMAT
    return link(runs_uri, f"{night.day}/{PAGE}") if has_page else None


def _rendered(name: str, translator: Translator, night: Night, **more: object) -> bytes:
    """A page that opens with a night."""
    sentence = LABELS[night.outcome] if night.report is None else outcome_of(night.report)
    more = {"severity": _tone(night), "day": night.day, "sentence": sentence, **more}
    # Pages of two jobs must not look alike.
    job = [part for part in (night.start.job, night.start.project) if part] if night.start else []
    return environment(translator).get_template(name).render(job=job, **more).encode()


def pages(view: View, past_nights: PastNights, settings: Settings, *, has_table: bool = False) -> Documents:
    """Both pages, as a day stands now; that of the nights only if they are read."""
    report, runs_uri, to = view.report, settings.runs_uri or "", translator(settings.language)
    nights, now = past_nights.nights, datetime.now(UTC)
    contents: dict[str, Callable[[], bytes]] = {}
    # Another start that is at work writes it.
    if nights is not None and all(
        night.outcome is not Outcome.AT_WORK or night.day == report.day for night in nights.nights
    ):
        nights = nights if report.done_since and not report.was_early else nights.with_report(report)
        contents[NIGHTS_PAGE] = partial(render_nights, nights, view, runs_uri, now, to)
    contents[f"{report.day}/{PAGE}"] = partial(render_day, view, runs_uri, now, has_table=has_table, translator=to)
    return contents


def documents(view: View, past_nights: PastNights, settings: Settings) -> Documents:
    """The documents of a day whose start has ended, in the order in which they are written: what people read first."""
    report, has_table = view.report, view.report.cards.planned > 0
    contents: dict[str, Callable[[], bytes]] = {
        **pages(view, past_nights, settings, has_table=has_table),
        f"{report.day}/{REPORT}": partial(report_json, view),
    }
    if has_table:
        contents[f"{report.day}/{CARDS}"] = partial(card_table, report, view.ledger, translator(settings.language))
    return contents
