"""The tables of a run's page: failed calls, and the calls that are worth a look."""

from collections import Counter
from collections.abc import Mapping, Sequence

from job.records.groups import FailureGroup
from job.records.results import CallResult
from job.records.timeline import Timeline
from job.text.display import shortened
from job.text.messages import Message, Translator, Value, listed, message

NAME_LIMIT = 60
OPEN_ROWS = 15
"""A group of more failures than this is closed at first."""

FAILURES_SHOWN = 1000
"""Failed calls that are shown; the rest is counted."""
CHANGES: Mapping[str, Message] = {
    "new": message("new"),
    "added": message("new, not planned then"),
    "still": message("still missing"),
    "mended": message("mended"),
}
"""What became of an item since the night before, in words, in the order in which the items are shown."""
CHANGES_SHOWN = 200
"""Items of each kind that are shown; the rest is counted."""
ALL_CALLS = 400
"""A run with at most so many calls has all of them in a table."""


def is_open(group: FailureGroup) -> bool:
    """Whether the calls of a group are shown at first."""
    return len(group.calls) <= OPEN_ROWS and not group.is_cut_off


def names(group: FailureGroup) -> Value:
    """The targets or cards of a group, as its heading counts them: the first of them, and how many more."""
    return listed([shortened(name, NAME_LIMIT) for name in group.names])


def before(call: CallResult, translator: Translator) -> Sequence[tuple[str, int]]:
    """The answers before the last, each with how often it came; nothing if all were the same as the last."""
    answers = Counter(shortened(translator.text(answer), 120) for answer in call.answers_before)
    if len(answers) == 1 and shortened(translator.text(call.last_answer or ""), 120) in answers:
        return ()
    return list(answers.items())


def worth_a_look(timeline: Timeline) -> tuple[bool, Sequence[CallResult]]:
    """Whether these are all calls, as of a small run, and the calls; else those that were retried, and the slowest."""
    lanes = timeline.lanes.values()
    if sum(map(len, lanes)) <= ALL_CALLS and all(lane.whole for lane in lanes):
        return True, sorted((call for lane in lanes for call in lane.kept), key=lambda call: call.started)
    picked = {id(call): call for lane in lanes for call in lane.retried}
    picked |= {id(call): call for lane in lanes for _, _, call in lane.slowest}
    return False, sorted(picked.values(), key=lambda call: (-len(call.failed_attempts), -call.seconds))
