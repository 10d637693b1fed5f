"""Rendering of the pages: HTML files without scripts, which load nothing from the network.

Python computes all numbers, the templates draw them. This is the only module that uses Jinja2.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING

from job.engines.catalog import TITLES
from job.engines.failures import CAUSES
from job.ledger.ledger import Ledger
from job.ledger.result import DONE
from job.page.board import board
from job.page.charts import WIDTH, TimeScale, flight_chart, lane_chart, latency_chart, time_scale_of
from job.page.nights import PHASE_TITLES, card_chart, rows_by_day, trend_of
from job.page.rehearsal import histogram
from job.page.run_page import (
    CHANGES,
    CHANGES_SHOWN,
    FAILURES_SHOWN,
    before,
    execution_link,
    explanation,
    headline,
    is_cut,
    is_open,
    log_link,
    names,
    period,
    plan_notes,
    severity,
    since_lines,
    trace_link,
    worth_a_look,
)
from job.records.past import Past
from job.report.advice import Step, advice
from job.report.commands import NO_LINKS, PageLinks, missing_command, page_link, table_command
from job.report.failures import failure_groups
from job.report.outcome import Outcome, left_out_line
from job.report.report import RunReport
from job.report.summary import more_often_line, most_often
from job.text.display import clock, printable, shortened
from job.text.messages import ENGLISH, Message, Translator, Value, duration, listed, message, plural

if TYPE_CHECKING:
    from jinja2 import Environment


DAYS_SHOWN = 10
"""Days of the page of the nights that are shown at first."""


def _cause(word: str | None) -> Value:
    """A cause in words; one that only another version of the job knows as it is."""
    return message(CAUSES[word]) if word is not None and word in CAUSES else word or ""


def _number(value: int) -> str:
    return f"{value:,}"


def _xy(value: float) -> str:
    """A coordinate in few characters: a page may have tens of thousands."""
    return f"{value:.1f}".removesuffix(".0")


def _percent(x: float) -> str:
    return f"{x / WIDTH * 100:.2f}%"


def _moment(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M:%S}"


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
            template = escape(printable(translator.template(value)))  # that of an outcome or a cause is from a record
            return Markup(value.filled(template, shown))  # noqa: S704  both are escaped
        return value if isinstance(value, Markup) else printable(value)

    def beginning(value: object, limit: int) -> str:
        return shortened(translator.text(value), limit)

    made = Environment(
        loader=PackageLoader("job.page"),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "before": partial(before, translator=translator),
        "cause": _cause,
        "is_cut": is_cut,
        "is_open": is_open,
        "listed": listed,
        "duration": duration,
        "moment": _moment,
        "names": names,
        "number": _number,
        "percent": _percent,
        "shortened": beginning,
        "xy": _xy,
    }
    made.globals |= {
        "_": message,
        "ngettext": plural,
        "language": translator.tag,
        "DONE": DONE,
        "CHANGES": CHANGES,
        "CHANGES_SHOWN": CHANGES_SHOWN,
        "PHASES": PHASE_TITLES,
        "Outcome": Outcome,
        "titles": TITLES,
        "execution_link": execution_link,
        "log_link": log_link,
        "trace_link": trace_link,
    }
    return made


def render_page(
    report: RunReport,
    ledger: Ledger,
    steps: Sequence[Step],
    links: PageLinks = NO_LINKS,
    *,
    translator: Translator = ENGLISH,
) -> bytes:
    """The page of a run, a pure function of its record. `ledger` has every result of the journal."""
    scale = _time_scale(report, ledger)
    lanes = {engine: lane for engine, lane in ledger.lanes.items() if len(lane)}
    failures = failure_groups(ledger.failures[:FAILURES_SHOWN])
    failed = sum(engine.failed for engine in report.engines.values())
    is_every_call, calls = worth_a_look(ledger)
    page = (
        environment(translator)
        .get_template("page.html.j2")
        .render(
            **_verdict(report, steps),
            links=links,
            since=list(since_lines(report)),
            plan_notes=list(plan_notes(report)),
            failures=[group for group in failures if not group.needs_nothing],
            cut_off=[group for group in failures if group.needs_nothing],
            warnings=ledger.warnings,
            # Cards that were not made again are no failed items, but are shown.
            failures_not_shown=max(0, failed - sum(group.items for group in failures)),
            remade=[(card, _clock(card.made, report.day)) for card in report.remade],
            board=board(report, ledger),
            missing_command=missing_command(report.run_id, report.runs_uri),
            table_command=table_command(report.run_id, report.runs_uri),
            scale=scale,
            barrier=ledger.barrier,
            lanes={engine: lane_chart(lane, scale) for engine, lane in lanes.items()},
            flights={engine: flight_chart(lane, scale) for engine, lane in lanes.items()},
            latencies={engine: latency_chart(lane) for engine, lane in lanes.items()},
            calls=calls,
            is_every_call=is_every_call,
        )
    )
    return page.encode()


def render_nights(past: Past, runs_uri: str, *, beside: bool, translator: Translator = ENGLISH) -> bytes:
    """The page of the nights; `beside` is whether it is stored with the runs."""
    link = partial(page_link, runs_uri, beside=beside)
    often, more = most_often(past.summaries)
    days, latest, verdict = rows_by_day(past, link), None, None
    if past.last_night is not None:
        report, place = past.last_night.report, past.last_night.place
        verdict = _verdict(report, advice(report, place, None), link(report.run_id))
    elif days:
        latest = next(row for row in days[0][1] if row.counts)
    page = (
        environment(translator)
        .get_template("nights.html.j2")
        .render(
            verdict=verdict,
            latest=latest,
            period_line=past.period_line(),
            done=past.done_line(),
            zone=past.zone,
            days=days[:DAYS_SHOWN],
            earlier=days[DAYS_SHOWN:],
            cards=card_chart(past, link),
            trends=[trend for phase in PHASE_TITLES if (trend := trend_of(past, phase, link)) is not None],
            often=often,
            more_often=more_often_line(more) if more else None,
        )
    )
    return page.encode()


def _verdict(report: RunReport, steps: Sequence[Step], link: str | None = None) -> dict[str, object]:
    """What both pages say of a run first. `link` is the link to its page, if that is another."""
    return {
        "report": report,
        "severity": severity(report),
        "headline": headline(report),
        "explanation": explanation(report),
        "left_out": left_out_line(report.left_out, None if explanation(report) is None else report.outcome),
        "period": period(report),
        "steps": [step for step in steps if step.kind != "wait"],
        "run_link": link,
    }


def _clock(stamp: str | None, day: str) -> str:
    return "" if stamp is None else clock(datetime.fromisoformat(stamp), day)


def render_rehearsal(
    lines: Sequence[Message], ends: Sequence[float], shown: Callable[[float], str], translator: Translator = ENGLISH
) -> bytes:
    """The page of a rehearsal: its sentences, and when its nights ended, in seconds, which `shown` shows."""
    page = environment(translator).get_template("rehearsal.html.j2").render(lines=lines, chart=histogram(ends, shown))
    return page.encode()


def _time_scale(report: RunReport, ledger: Ledger) -> TimeScale:
    spans = chain.from_iterable(lane.spans() for lane in ledger.lanes.values())
    return time_scale_of(spans, datetime.fromisoformat(report.started).tzinfo or UTC)
