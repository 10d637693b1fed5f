"""The top of a run's page: whether the night was good and what is missing, to be seen at a glance."""

from datetime import datetime

from job.engines.failures import Cause
from job.execution.progress import CardTotals
from job.records.report import UNFINISHED, RunReport
from job.text import counted, duration, number, text

_GOOD = '<circle cx="12" cy="12" r="11" fill="currentColor"/><path d="M7 12.5l3.4 3.4L17.2 9" {stroke}/>'


_BAD = '<circle cx="12" cy="12" r="11" fill="currentColor"/><path d="M8 8l8 8M16 8l-8 8" {stroke}/>'


_WARN = '<path d="M12 1.5L23.5 22H.5Z" fill="currentColor"/><path d="M12 8.5v6.5M12 18v1" {stroke}/>'


_STROKE = 'style="stroke:var(--panel);stroke-width:2.4;stroke-linecap:round;stroke-linejoin:round"'


_LEADS = {
    "deadline": "The deadline passed",
    "interrupted": "Interrupted",
    "lease_lost": "Stopped: the lease was lost",
    "qa_engine_down": "The QA engine is down",
    "unforeseen": "The job has a bug",
    UNFINISHED: "Not closed",
}


_MILD = {"interrupted", UNFINISHED, "deadline", "lease_lost"}
"""Outcomes of a run that only has to be resumed."""


def severity(report: RunReport) -> str:
    """`good`, `warn` or `bad`."""
    if report.outcome == "succeeded":
        return "good"
    cut_off = sum(call.engine == "qa" and call.cause == Cause.INTERRUPTED for call in report.failures)
    return "warn" if report.outcome in _MILD and report.cards.failed == cut_off else "bad"


def headline(report: RunReport) -> str:
    """The outcome in a few words."""
    cards = report.cards
    if report.outcome == "succeeded":
        if not cards.planned:
            return "All data are prepared"
        return "The card is there" if cards.planned == 1 else f"All {number(cards.planned)} cards are there"
    gap = missing(cards)
    if report.outcome == "data_engine_failed" and gap == cards.planned:
        return "No card was made: a data engine failed"
    lead = f"{_LEADS[report.outcome]}: " if report.outcome in _LEADS else ""
    if not gap:
        return f"{lead}not everything is done"
    return f"{lead}{number(gap)} of {counted(cards.planned, 'card')} {'is' if gap == 1 else 'are'} missing"


def missing(cards: CardTotals) -> int:
    """Cards that were planned and are not there."""
    return cards.planned - cards.generated - cards.skipped


def verdict(report: RunReport) -> str:
    """The outcome: a headline, the job's own sentence, when it was, and what to do next."""
    kind = severity(report)
    icon = {"good": _GOOD, "bad": _BAD, "warn": _WARN}[kind].format(stroke=_STROKE)
    return (
        f'<section class="verdict panel {kind}" aria-label="Outcome">'
        f'<svg viewBox="0 0 24 24" aria-hidden="true">{icon}</svg>'
        f'<h1>{text(headline(report))}</h1><p class="says">{text(report.sentence)}</p>'
        f'<p class="when num">{_when(report)}</p>{_next(report)}</section>'
    )


def _when(report: RunReport) -> str:
    began = datetime.fromisoformat(report.started)
    parts = [f"For <b>{text(report.day)}</b>"]
    if report.ended is None or report.seconds is None:
        parts.append(f"since {began:%Y-%m-%d %H:%M:%S}")
    else:
        ended = datetime.fromisoformat(report.ended)
        pattern = "%H:%M:%S" if ended.date() == began.date() else "%Y-%m-%d %H:%M:%S"
        parts.append(f"{began:%Y-%m-%d %H:%M:%S} to {ended:{pattern}}")
        if len(report.attempts) > 1:
            parts.append(f"{len(report.attempts)} attempts, the last took {duration(report.seconds)}")
        elif report.continued:
            parts.append(f"the last attempt took {duration(report.seconds)}")
        else:
            parts.append(duration(report.seconds))
    parts.append(f'run <span class="mono">{text(report.run_id)}</span>')
    if report.exit_code is not None:
        parts.append(f"exit code {report.exit_code}")
    return " · ".join(parts)


def _next(report: RunReport) -> str:
    if report.outcome == "succeeded":
        return ""
    command = f"<code>python -m job resume {text(report.run_id)}</code>"
    if report.outcome == UNFINISHED:
        return f'<p class="next">If it is not at work any more, go on with {command}: what is done stays done.</p>'
    if report.outcome == "lease_lost":
        return f'<p class="next">Once no other run is at work, {command} asks only for what is missing.</p>'
    if report.outcome in _MILD:
        return f'<p class="next">Go on with {command}: it asks only for what is missing.</p>'
    return f'<p class="next">Once that is put right, {command} asks only for what is missing.</p>'


def tiles(cards: CardTotals) -> str:
    """The account of the cards."""
    shown = (
        ("planned", cards.planned, "", ""),
        ("generated", cards.generated, "ok", ""),
        ("skipped", cards.skipped, "ok", "there from an earlier attempt"),
        ("failed", cards.failed, "hot", ""),
        ("not attempted", cards.not_attempted, "wait", ""),
    )
    parts = [_tile(word, count, kind, small) for word, count, kind, small in shown]
    return f'<dl class="tiles" aria-label="Cards">{"".join(parts)}</dl>{_share(cards)}'


def _tile(word: str, count: int, kind: str, small: str) -> str:
    classes = f"tile panel {kind if count else 'zero'}"
    note = f"<small>{small}</small>" if small and count else ""
    return f'<div class="{classes}"><dt>{word}{note}</dt><dd>{number(count)}</dd></div>'


def _share(cards: CardTotals) -> str:
    if not cards.planned:
        return ""
    kinds = (("k-d", cards.generated), ("k-e", cards.skipped), ("k-f", cards.failed), ("k-n", cards.not_attempted))
    parts = [f'<i class="{kind}" style="flex-grow:{count}"></i>' for kind, count in kinds if count]
    return f'<div class="share" aria-hidden="true">{"".join(parts)}</div>'
