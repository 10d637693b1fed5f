"""Rendering of the pages: HTML files that load nothing from the network. That of the nights alone has a script.

Python computes all numbers, the templates draw them. This is the only module that uses Jinja2.
"""

from base64 import b64encode
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from job.config.days import Days
from job.day.advice import advice, go_on
from job.day.commands import Commands, Links
from job.day.comparison import shrank_line, usual_line
from job.day.failures import failure_groups, not_reached
from job.day.ledger import Ledger
from job.day.notices import notices_of
from job.day.outcome import SIGNS
from job.day.view import View
from job.engines.catalog import ENGINES, TITLES
from job.outputs.board import board
from job.outputs.day import Headline, calls_of, execution_link, headline_of, log_link, names, trace_link, what
from job.outputs.pages import MARKS, WIDTH, cause_of, charts_of, next_night_of, row_of, undone_of
from job.records.nights import Night, Nights
from job.text.display import printable, shortened
from job.text.messages import Message, Translator, Value, colon, dated, dated_time, duration, message, plural

if TYPE_CHECKING:
    from jinja2 import Environment

NIGHTS_SHOWN = 14
"""Nights that are shown at first."""


def _xy(value: float) -> str:
    """A coordinate in few characters: a page may have thousands."""
    return f"{value:.1f}".removesuffix(".0")


@lru_cache(maxsize=4)
def environment(translator: Translator) -> "Environment":
    """The templates in a language. `_` and `ngettext` make messages, which `finalize` translates.

    Thus a value within a sentence is escaped and cleaned like any other value. Jinja2's own i18n extension would fill
    in values after `finalize`; it is used only to collect the sentences.

    Jinja2 is imported here, since a run needs it at its end and no other command may need it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  see above
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
        "duration": duration,
        "names": names,
        "number": "{:,}".format,
        "csp_hash": lambda script: b64encode(sha256(script.encode()).digest()).decode(),
        "percent": lambda x: f"{x / WIDTH * 100:.2f}%",
        "shortened": beginning,
        "what": what,
        "xy": _xy,
    }
    made.globals = {
        "_": message,
        "ngettext": plural,
        "colon": colon,
        "language": translator.tag,
        "engines": {name: engine.label for name, engine in ENGINES.items()},
        "titles": TITLES,
        "signs": SIGNS,
    }
    return made


def render_day(view: View, links: Links, *, has_table: bool, translator: Translator) -> bytes:
    """The page of a day. `has_table` is whether the table of its cards is stored beside it."""
    report, ledger = view.report, view.ledger
    groups = failure_groups(ledger)
    headline = headline_of(Night(report.day, report.outcome, report), view.steps, report)
    page = (
        environment(translator)
        .get_template("day.html.j2")
        .render(
            headline=headline if groups else replace(headline, detail=report.detail),
            nights_link=links.nights,
            report=report,
            comparison=view.comparison,
            errors=ledger.first_errors,
            notices=notices_of(ledger.plan),
            groups=groups,
            steps={step.kind: step for step in view.steps},
            not_reached=not_reached(ledger),
            board=board(report, ledger),
            table_link=links.table(report.day) if has_table else None,
            calls=calls_of(ledger),
            number_of_calls=sum(map(len, ledger.calls.values())),
            log_link=log_link(report),
            log_link_of=lambda words: log_link(report, words),
            trace_link=trace_link(report),
            execution_link=execution_link(report),
        )
    )
    return page.encode()


def render_nights(
    nights: Nights, links: Links, days: Days, deadline: float | None, now: datetime, translator: Translator
) -> bytes:
    """The page of the nights, as it is right at `now`, and from the tick of the next night on; see `NextNight`."""
    rows = [row_of(night, links) for night in nights.nights]
    tick, next_night = nights.next_tick(days), next_night_of(nights, links, days, deadline)
    fresh = _headline(nights, links, days, now) if nights.nights else None
    if fresh and tick:
        fresh = replace(fresh, next_night=message("Next night: {time}", time=dated_time(tick)))
    page = (
        environment(translator)
        .get_template("nights.html.j2")
        .render(
            headline=next_night.late if next_night and now.timestamp() >= next_night.due else fresh,
            fresh=fresh,
            old=_headline(nights, links, days, tick) if tick else None,
            next_night=next_night,
            now=now.timestamp(),
            undone=undone_of(nights.nights, links),
            period=nights.period,
            usual=usual_line(nights.reports),
            rows=rows[:NIGHTS_SHOWN],
            earlier=rows[NIGHTS_SHOWN:],
            is_odd=any(MARKS["odd"] in row.engines for row in rows),
            charts=charts_of(nights.nights),
        )
    )
    return page.encode()


def _headline(nights: Nights, links: Links, days: Days, now: datetime) -> Headline:
    """That of the latest night, as it is right at `now`."""
    latest = nights.nights[0]
    report, start = latest.report, latest.start
    known = start or nights.latest_start
    if report is None:
        steps = () if start is None else go_on(start, latest.outcome, Commands.of(start, links.runs_uri, days, now))
        return headline_of(latest, [step for step in steps if step.kind != "later"], known)
    steps = advice(report, Ledger.empty(report.day), Commands.of(report, links.runs_uri, days, now))
    headline = headline_of(latest, [step for step in steps if step.kind != "later"], known, links.day(latest.day))
    cause, failed = cause_of(report)
    return replace(headline, shrank=shrank_line(report, nights.reports), cause=cause, failed=failed)
