"""The closing report of a run, for machines: what the log's last line and the record say."""

from collections.abc import Sequence

from job.events import CallFinished
from job.markup import shortened
from job.outcome import Outcome
from job.tally import Ledger, Tally

LISTED = 200
"""Failures that are told one by one."""
LISTED_BYTES = 150_000
"""And no more than so much of them: an entry of Cloud Logging has 256 KiB at the most."""

LINE_LIMIT = 2_000
"""Characters of one of them: a batch may have a thousand answers."""


def report_of(outcome: Outcome, ledger: Ledger | None) -> dict[str, object]:
    """How the run ended, and its accounts."""
    failures = ledger.failures if ledger else []
    listed = _listed(failures)
    return {
        "outcome": outcome.word,
        "exit_code": int(outcome.exit),
        "cards": _cards(ledger.cards if ledger else Tally(0)),
        "engines": {name: _engine(tally) for name, tally in ledger.engines.items()} if ledger else {},
        "failures": listed,
        "failures_not_listed": len(failures) - len(listed),
    }


def _listed(failures: Sequence[CallFinished]) -> list[str]:
    left, listed = LISTED_BYTES, []
    for failure in failures[:LISTED]:
        line = shortened(advice(failure), LINE_LIMIT)
        left -= len(line.encode(errors="replace"))
        if left < 0:
            break
        listed.append(line)
    return listed


def advice(finished: CallFinished) -> str:
    """A line on a call that failed: its targets, its attempts and the last answer."""
    attempts = f"{finished.attempts} attempt{'s' if finished.attempts > 1 else ''}"
    return f"{finished.call.label}: {finished.failure.text if finished.failure else 'done'} ({attempts})"


def _cards(tally: Tally) -> dict[str, int]:
    """The account of the cards; the last four add up to the first."""
    return {
        "planned": tally.planned,
        "generated": tally.done,
        "skipped": tally.skipped,
        "failed": tally.failed,
        "not_attempted": tally.not_attempted,
    }


def _engine(tally: Tally) -> dict[str, object]:
    return {
        "planned": tally.planned,
        "done": tally.done,
        "skipped": tally.skipped,
        "failed": tally.failed,
        "not_attempted": tally.not_attempted,
        "calls": tally.calls,
        "retries": tally.retries,
        "p50_seconds": tally.percentile(50),
        "p95_seconds": tally.percentile(95),
    }
