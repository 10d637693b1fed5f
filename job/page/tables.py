"""The tables of a run's page: failures by what to do about them, and the calls that are worth a look."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from job.engines.catalog import EngineName
from job.records.results import CUT_OFF, CallResult
from job.records.timeline import Timeline
from job.text import shortened

OPEN_ROWS = 15
"""A group of more failures than this is closed at first."""

FAILURES_SHOWN = 1000
"""Failed calls that are shown; the rest is counted."""
ALL_CALLS = 400
"""A run with at most so many calls has all of them in a table."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failed calls of one engine that have the same remedy."""

    engine: EngineName
    remedy: object
    calls: Sequence[CallResult]

    @property
    def items(self) -> int:
        """How many targets or cards failed."""
        return sum(len(call.targets) for call in self.calls)

    @property
    def is_cut_off(self) -> bool:
        """Whether the end of the run interrupted these calls."""
        return self.calls[0].state == CUT_OFF

    @property
    def card_type(self) -> str | None:
        """The card type of all these calls, if it is one and there are several calls."""
        types = {call.card_type for call in self.calls}
        return types.pop() if len(types) == 1 and len(self.calls) > 1 else None

    @property
    def answers(self) -> Sequence[tuple[object, int]]:
        """The last answers, each with its targets or cards, the most frequent first."""
        reasons: dict[str, object] = {}
        counts: Counter[str] = Counter()
        for call in self.calls:
            if call.reason:
                reasons.setdefault(str(call.reason), call.reason)
                counts[str(call.reason)] += len(call.targets)
        return [(reasons[text], count) for text, count in counts.most_common()]

    @property
    def is_open(self) -> bool:
        """Whether the calls are shown at first."""
        return len(self.calls) <= OPEN_ROWS and not self.is_cut_off


def failure_groups(timeline: Timeline) -> list[FailureGroup]:
    """Every failure under its remedy. The remedy that helps most is first; what was cut off has no fault of its own."""
    groups: dict[tuple[EngineName, str], list[CallResult]] = {}
    for call in timeline.failures[:FAILURES_SHOWN]:
        groups.setdefault((call.engine, str(call.remedy)), []).append(call)
    found = [FailureGroup(engine, calls[0].remedy, calls) for (engine, _), calls in groups.items()]
    return sorted(found, key=lambda group: (group.is_cut_off, -group.items))


def name(call: CallResult) -> str:
    """What a call asks for."""
    targets = ", ".join(call.targets)
    return f"{targets} {call.card_type}" if call.card_type else targets


def before(call: CallResult) -> Sequence[tuple[str, int]]:
    """The answers before the last, each with how often it came; nothing if all were the same as the last."""
    answers = Counter(shortened(str(reason), 120) for _, _, reason in call.failed_attempts)
    if len(answers) == 1 and shortened(str(call.reason or ""), 120) in answers:
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
