"""What failed and what to do about it, and the calls that are worth a look: tables of a run's page."""

from collections import Counter
from collections.abc import Iterable, Sequence

from job.engines.catalog import TITLES
from job.page.links import log_link
from job.records.report import RunReport
from job.records.results import CUT_OFF, DONE, CallResult
from job.records.timeline import Timeline
from job.text import counted, duration, number, shortened, text

OPEN_ROWS = 15
"""A group of more failures than this is closed at first."""


REASON_LIMIT = 600


NAMES_LIMIT = 40
SHOWN = 1000
"""Failed calls that are shown; the rest is counted."""


ALL_CALLS = 400
"""Runs with fewer calls than this have all of them in a table."""


def failures(report: RunReport, timeline: Timeline) -> str:
    """Every failure under what to do about it: the remedy that helps most first."""
    calls = timeline.failures[:SHOWN]
    groups: dict[tuple[str, str], list[CallResult]] = {}
    for call in calls:
        groups.setdefault((call.engine, str(call.remedy)), []).append(call)
    if not groups:
        return ""
    # What was cut off has no fault of its own: it comes last.
    ranked = sorted(groups.values(), key=lambda group: (group[0].state == CUT_OFF, -_items(group)))
    parts = [_group(report, group) for group in ranked]
    told = sum(map(_items, ranked))
    failed = sum(engine.failed for engine in report.engines.values())
    if failed > told:
        parts.append(f'<p class="note">And {number(failed - told)} more, each with a line in the log.</p>')
    return f'<section id="failures"><h2>What failed, and what to do</h2>{"".join(parts)}</section>'


def _items(calls: Iterable[CallResult]) -> int:
    return sum(len(call.targets) for call in calls)


def _group(report: RunReport, calls: Sequence[CallResult]) -> str:
    engine = calls[0].engine
    word = "card" if engine == "qa" else "target"
    fate = "cut off" if calls[0].state == CUT_OFF else "failed"
    first = [_name(call) for call in calls[:3]]
    more = f" and {number(len(calls) - 3)} more" if len(calls) > 3 else ""
    names = f"{', '.join(map(text, first))}{more}"
    opened = " open" if len(calls) <= OPEN_ROWS and calls[0].state != CUT_OFF else ""
    rows = "".join(_row(report, call) for call in calls)
    heading = "<th>Target</th><th>Card</th>" if engine == "qa" else "<th>Target</th>"
    return (
        f'<div class="panel group"><h3>{TITLES[engine]}: {counted(_items(calls), word)} {fate}</h3>'
        f'<p class="soft">{names}</p><p class="remedy"><b>What to do:</b> {text(calls[0].remedy)}</p>'
        f"<details{opened}><summary>Attempts and last answers</summary>"
        f'<div class="scroll"><table><thead><tr>{heading}<th class="num">Attempts</th><th>Last answer</th><th>Span</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div></details></div>"
    )


def _name(call: CallResult) -> str:
    return shortened(f"{', '.join(call.targets)}{f' {call.card_type}' if call.card_type else ''}", 60)


def _row(report: RunReport, call: CallResult) -> str:
    card = f'<td class="card">{text(call.card_type)}</td>' if call.engine == "qa" else ""
    return (
        f'<tr><td class="id">{_targets(call)}</td>{card}<td class="num" data-is="attempts">{call.attempts}</td>'
        f'<td class="answer">{text(shortened(call.reason or "", REASON_LIMIT))}{_before(call)}</td>'
        f'<td class="mono" data-is="span">{_span(report, call)}</td></tr>'
    )


def _targets(call: CallResult) -> str:
    more = f" and {number(len(call.targets) - NAMES_LIMIT)} more" if len(call.targets) > NAMES_LIMIT else ""
    return ", ".join(f"<bdi>{text(name)}</bdi>" for name in call.targets[:NAMES_LIMIT]) + more


def _before(call: CallResult) -> str:
    """The attempts before the last, told once where they say the same."""
    told = Counter(shortened(reason, 120) for _, _, reason in call.failed_attempts)
    if not told or (len(told) == 1 and shortened(call.reason or "", 120) in told):
        return ""
    words = "; ".join(f"{reason}{f' ({times} times)' if times > 1 else ''}" for reason, times in told.items())
    return f'<div class="note">before: {text(words)}</div>'


def _span(report: RunReport, call: CallResult) -> str:
    """The call's span, with a link to all that the log says of its target under the run's trace."""
    span = text(call.traceparent[36:52])
    link = log_link(report, call.targets[0])
    return f'<a href="{text(link)}" title="{text(call.traceparent)}">{span}</a>' if link else span


def calls(report: RunReport, timeline: Timeline) -> str:
    """All calls of a small run; those that were retried or slow of a large one."""
    lanes = timeline.lanes.values()
    small = sum(map(len, lanes)) <= ALL_CALLS and all(lane.whole for lane in lanes)
    if small:
        title, shown = "Every call", [call for lane in lanes for call in lane.kept]
        shown.sort(key=lambda call: call.started)
    else:
        title = "Calls worth a look: retried, and the slowest"
        picked = {id(call): call for lane in lanes for call in lane.retried}
        picked |= {id(call): call for lane in lanes for _, _, call in lane.slowest}
        shown = sorted(picked.values(), key=lambda call: (-len(call.failed_attempts), -call.seconds))
    if not shown:
        return ""
    rows = "".join(_call_row(report, call) for call in shown)
    return (
        f'<details class="panel"><summary><h3>{title}</h3>'
        f'<span class="soft">{counted(len(shown), "call")}</span></summary>'
        f'<div class="scroll"><table><thead><tr><th>Engine</th>'
        '<th>Targets</th><th>Card</th><th class="num">Attempts</th><th class="num">Took</th>'
        f"<th>Answer</th><th>Span</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _call_row(report: RunReport, call: CallResult) -> str:
    answer = "done" if call.state == DONE else text(shortened(call.reason or "", 160))
    cells = (
        f"<td>{call.engine}</td>",
        f'<td class="id">{_targets(call)}</td>',
        f'<td class="card">{text(call.card_type or "")}</td>',
        f'<td class="num" data-is="attempts">{call.attempts}</td>',
        f'<td class="num" data-is="took">{duration(call.seconds)}</td>',
        f'<td class="answer">{answer}{_before(call)}</td>',
        f'<td class="mono" data-is="span">{_span(report, call)}</td>',
    )
    return f"<tr>{''.join(cells)}</tr>"
