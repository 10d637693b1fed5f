"""Tables of a run's page: failed calls, and all, retried or slow calls."""

from collections import Counter
from collections.abc import Mapping, Sequence

from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.report.comparison import Comparison
from job.report.failures import FailureGroup
from job.text.display import shortened
from job.text.messages import Message, Translator, Value, listed, message

NAME_LIMIT = 60
OPEN_ROWS = 15
"""A group with more failures is closed at first."""

FAILURES_SHOWN = 1000
"""Failed calls that are shown; further ones are only counted."""
CHANGES: Mapping[str, Message] = {
    "new": message("new"),
    "added": message("new, not planned then"),
    "still": message("still missing"),
    "mended": message("mended"),
}
"""The names of the kinds of changes since the night before, in the order in which they are shown."""
CHANGES_SHOWN = 200
"""Items of each kind that are shown; further ones are only counted."""
ALL_CALLS = 400
"""The table shows all calls of a run that has at most this many."""


def is_cut(comparison: Comparison) -> bool:
    """Whether some changes since the night before are not shown."""
    return any(getattr(comparison, kind).count > CHANGES_SHOWN for kind in CHANGES)


def is_open(group: FailureGroup) -> bool:
    """Whether a group is open at first."""
    return len(group.calls) <= OPEN_ROWS and not group.is_cut_off


def names(group: FailureGroup) -> Value:
    """The first targets or cards of a group, and the number of further ones."""
    return listed([shortened(name, NAME_LIMIT) for name in group.names])


def before(call: CallResult, translator: Translator) -> Sequence[tuple[str, int]]:
    """The answers before the last one, each with its count; empty if all were the same as the last."""
    answers = Counter(shortened(translator.text(answer), 120) for answer in call.answers_before)
    if len(answers) == 1 and shortened(translator.text(call.reason or ""), 120) in answers:
        return ()
    return list(answers.items())


def worth_a_look(ledger: Ledger) -> tuple[bool, Sequence[CallResult]]:
    """Whether the table has all calls, and its calls; if not all, these are the retried and the slowest calls."""
    lanes = ledger.lanes.values()
    if sum(map(len, lanes)) <= ALL_CALLS and all(lane.whole for lane in lanes):
        return True, sorted((call for lane in lanes for call in lane.kept), key=lambda call: call.started)
    picked = {id(call): call for lane in lanes for call in lane.retried}
    picked |= {id(call): call for lane in lanes for _, _, call in lane.slowest}
    return False, sorted(picked.values(), key=lambda call: (-len(call.failed_attempts), -call.seconds))
