"""The closing report of a run, for machines: what the log's last line and the record say."""

from job.events import CallFinished
from job.outcome import Outcome
from job.tally import Ledger, Tally

LISTED = 200
"""Failures that are told one by one: an entry of Cloud Logging has 256 KiB at the most."""


def report_of(outcome: Outcome, ledger: Ledger | None) -> dict[str, object]:
    """How the run ended, and its accounts."""
    failures = ledger.failures if ledger else []
    return {
        "outcome": outcome.word,
        "exit_code": int(outcome.exit),
        "cards": _cards(ledger.cards if ledger else Tally(0)),
        "engines": {name: _engine(tally) for name, tally in ledger.engines.items()} if ledger else {},
        "failures": [advice(failure) for failure in failures[:LISTED]],
        "failures_not_listed": max(0, len(failures) - LISTED),
    }


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
