"""The page of a run: one HTML file without scripts or anything from the network. A pure function of the record."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from job.engines.catalog import TITLES
from job.execution.progress import EngineTotals
from job.page.charts import draw_flight, draw_latencies, latencies
from job.page.lanes import draw_lane, svg
from job.page.links import execution_link, log_link, trace_link
from job.page.summary import headline, severity, tiles, verdict
from job.page.tables import calls, failures
from job.page.time_scale import WIDTH, TimeScale, time_scale_of
from job.records.report import RunReport
from job.records.timeline import Timeline
from job.text import counted, duration, number, text, xy

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


_MARK = {"good": "✓", "warn": "!", "bad": "✗"}


def render_page(report: RunReport, timeline: Timeline) -> bytes:
    """The page. `timeline` has every result of the run's journal."""
    axis = _axis(report, timeline)
    sections = (
        verdict(report),
        tiles(report.cards),
        failures(report, timeline),
        _times(timeline, axis),
        _engines(report, timeline, axis),
        calls(report, timeline),
        _about(report),
    )
    title = f"{_MARK[severity(report)]} {headline(report)} · {report.day} · {report.run_id}"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><link rel="icon" href="data:,">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>"
    )
    skip = '<a class="skip" href="#time">To the timeline</a>'
    return f"{head}<body><main>{skip}{''.join(sections)}</main></body></html>\n".encode()


def _axis(report: RunReport, timeline: Timeline) -> TimeScale:
    lanes = timeline.lanes.values()
    spans = [span for lane in lanes for span in zip(lane.started, lane.ended, strict=True)]
    spans += [span for lane in lanes for span in zip(lane.failed_started, lane.failed_ended, strict=True)]
    zone = datetime.fromisoformat(report.started).tzinfo
    return time_scale_of(spans, zone) if zone else time_scale_of(spans)


def _times(timeline: Timeline, axis: TimeScale) -> str:
    lanes = {engine: lane for engine, lane in timeline.lanes.items() if len(lane)}
    if not lanes:
        return '<section id="time"><h2>Timeline</h2><p class="panel time soft">Nothing was called.</p></section>'
    parts, said = [], set()
    for engine, lane in lanes.items():
        picture = draw_lane(lane, axis, TITLES[engine])
        note = "" if picture.note in said else f'<span class="note">{picture.note}</span>'
        said.add(picture.note)
        title = f"<span><b>{TITLES[engine]}</b></span>{note}"
        drawn = f'<div class="drawn" style="height:{picture.height}px">{picture.svg}</div>'
        parts.append(f'<div class="lane"><header>{title}</header>{drawn}</div>')
    barrier = timeline.prepared if len(timeline.lanes["qa"]) else None
    return (
        f'<section id="time"><h2>Timeline</h2><div class="panel time">{_legend(barrier is not None)}<div class="plot">'
        f"{_over(axis, barrier)}{_marks(axis, barrier)}{''.join(parts)}</div>{_ticks(axis)}</div></section>"
    )


def _legend(crossed: bool) -> str:
    kinds = [("k-c", "done"), ("k-r", "failed, tried again"), ("k-f", "failed for good"), ("k-i", "cut off")]
    if crossed:
        kinds.append(("k-b", "barrier: all data are prepared, the cards follow"))
    return f'<p class="legend">{"".join(f"<span><i class={kind}></i>{word}</span>" for kind, word in kinds)}</p>'


def _over(axis: TimeScale, barrier: float | None) -> str:
    """Lines through all lanes."""
    lines = f'<path class="g" d="{axis.grid()}"/>'
    lines += "".join(f'<path class="x" d="M{xy(x)} 0V100"/>' for x, _ in axis.cuts())
    if barrier is not None:
        lines += f'<path class="w" d="M{xy(axis.x(barrier))} 0V100"/>'
    return f'<div class="over">{svg(WIDTH, 100, lines, "Clock times and the barrier")}</div>'


def _marks(axis: TimeScale, barrier: float | None) -> str:
    marks = []
    if barrier is not None:
        x = axis.x(barrier)
        side = "right" if x < WIDTH * 0.15 else "left" if x > WIDTH * 0.85 else ""
        marks.append(f'<span class="{side}" style="left:{_percent(x)}">barrier {axis.clock(barrier)}</span>')
    marks += [f'<span class="cut" style="left:{_percent(x)}">{gap} idle</span>' for x, gap in axis.cuts()]
    return f'<div class="marks">{"".join(marks)}</div>'


def _ticks(axis: TimeScale) -> str:
    def classes(x: float) -> str:
        return "first" if x < 40 else "last" if x > WIDTH - 72 else ""

    ticks = (f'<span class="{classes(x)}" style="left:{_percent(x)}">{label}</span>' for x, label in axis.ticks())
    return f'<div class="axis clock" aria-hidden="true">{"".join(ticks)}</div>'


def _percent(x: float) -> str:
    return f"{x / WIDTH * 100:.2f}%"


def _engines(report: RunReport, timeline: Timeline, axis: TimeScale) -> str:
    parts = []
    for engine, account in report.engines.items():
        lane = timeline.lanes[engine]
        charts = ""
        if len(lane):
            flight = draw_flight(lane, axis, TITLES[engine])
            charts += f'<div class="chart"><header><b>Calls in flight, and their bound</b>{flight.top}</header>'
            charts += f"{flight.svg}{_ticks(axis)}</div>"
            if found := latencies(lane):
                spread = draw_latencies(found, TITLES[engine])
                charts += f'<div class="chart"><header><b>How long an answer took</b>{spread.top}</header>{spread.svg}'
                labels = (f'<span style="left:{_percent(x)}">{label}</span>' for x, label in spread.ticks)
                charts += f'<div class="axis">{"".join(labels)}</div></div>'
        word = "cards" if engine == "qa" else "targets"
        facts = f'<div><h3>{TITLES[engine]}</h3><dl class="facts">{_facts(account, word)}</dl></div>'
        parts.append(f'<div class="panel engine">{facts}{charts}</div>')
    note = ""
    if report.continued or any(account.skipped for account in report.engines.values()):
        note = '<p class="note">Calls and retries are those of the last attempt at the run; the pictures show all.</p>'
    return f"<section><h2>Engines</h2>{note}{''.join(parts)}</section>" if parts else ""


def _facts(account: EngineTotals, word: str) -> str:
    rows = (
        (f"{word} planned", account.planned, ""),
        ("done", account.done, ""),
        ("skipped", account.skipped, ""),
        ("failed", account.failed, "hot"),
        ("not attempted", account.not_attempted, "wait"),
        ("calls", account.calls, ""),
        ("retries", account.retries, "wait"),
    )
    return "".join(
        f'<dt>{name}</dt><dd class="{kind if count else ""}">{number(count)}</dd>' for name, count, kind in rows
    )


def _about(report: RunReport) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in _known(report))
    return f'<section><h2>This run</h2><dl class="panel about">{rows}</dl></section>'


def _known(report: RunReport) -> Iterator[tuple[str, str]]:
    yield "run id", f'<span class="mono">{text(report.run_id)}</span>'
    yield "day", text(report.day) + ("" if report.date else " (the engines were left to choose their own today)")
    for place, attempt in enumerate(report.attempts, 1):
        began = f"{datetime.fromisoformat(attempt.started):%Y-%m-%d %H:%M:%S}"
        ended = f"{text(attempt.outcome)}, exit code {attempt.exit_code}, after {duration(attempt.seconds)}"
        yield f"attempt {place}" if len(report.attempts) > 1 else "attempt", f"{began}: {ended}"
    links = (("log", log_link(report)), ("execution's log", execution_link(report)), ("trace", trace_link(report)))
    for name, link in links:
        if link is not None:
            yield name, f'<a href="{text(link)}">in Google\'s console</a>'
    yield "trace id", f'<span class="mono">{text(report.trace_id)}</span>'
    if report.execution:
        yield "execution", text(report.execution)
    yield "version", text(report.version) + (f" (commit {text(report.commit)})" if report.commit else "")
    yield "config", f"{text(report.config_uri)}, {counted(len(report.config_generations), 'object')}"
    for name, generation in report.config_generations.items():
        yield text(name), f'generation <span class="mono">{text(generation)}</span>'
