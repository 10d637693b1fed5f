"""Groups of failures: the failed calls of one engine that have the same remedy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from job.engines.catalog import ENGINES, EngineName
from job.engines.failures import NOTHING_TO_DO, Cause, Then
from job.ledger.ledger import Ledger
from job.ledger.result import CUT_OFF, CallResult
from job.planning.left_out import LEFT_OUT_LIMIT
from job.text.messages import Message, Value, listed, message, plural


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The calls of one engine that failed, or that were cut off, and that have the same remedy."""

    engine: EngineName
    remedy: Message
    then: Then
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
    def needs_nothing(self) -> bool:
        """Whether there is nothing to put right: the calls were only cut off."""
        return self.remedy.id == NOTHING_TO_DO

    @property
    def card_type(self) -> str | None:
        """The card type, if several calls have the same one."""
        types = {call.card_type for call in self.calls}
        return types.pop() if len(types) == 1 and len(self.calls) > 1 else None

    @property
    def names(self) -> list[str]:
        """The targets, each with its card type unless that is the same for all."""
        is_shared = self.card_type is not None
        return [
            f"{target} {call.card_type}" if call.card_type and not is_shared else target
            for call in self.calls
            for target in call.targets
        ]

    @property
    def heading(self) -> Message:
        """What failed or was cut off: the engine, the number of items, the first names."""
        names = listed(self.names)
        if self.card_type is not None:
            names = message("{card_type}: {names}", card_type=self.card_type, names=names)
        values: dict[str, Value] = {"engine": ENGINES[self.engine].title, "names": names}
        return _counted(self.engine, self.items, values, is_cut_off=self.is_cut_off)

    @property
    def alike(self) -> Sequence["FailureGroup"]:
        """The group in parts whose calls failed in the same way: after the same attempts, with the same answers."""
        parts: dict[tuple[object, ...], list[CallResult]] = {}
        for call in self.calls:
            answers = tuple(str(answer) for answer in call.answers_before)
            parts.setdefault((call.attempts, str(call.reason), answers), []).append(call)
        return [replace(self, calls=calls) for calls in parts.values()]

    @property
    def answers(self) -> Sequence[tuple[Message, int]]:
        """The last answers, each with its number of targets or cards, the most frequent first."""
        reasons: dict[str, Message] = {}
        counts: Counter[str] = Counter()
        for call in self.calls:
            if call.reason is not None:
                text = str(call.reason)
                reasons.setdefault(text, call.reason)
                counts[text] += len(call.targets)
        return [(reasons[text], count) for text, count in counts.most_common()]


def failure_groups(calls: Sequence[CallResult]) -> list[FailureGroup]:
    """Groups the failed calls by remedy. The largest group is first; calls that were cut off are last."""
    groups: dict[tuple[EngineName, bool, str], list[CallResult]] = {}
    for call in calls:
        groups.setdefault((call.engine, call.state == CUT_OFF, str(call.remedy)), []).append(call)
    found = [FailureGroup(engine, calls[0].remedy, calls[0].then, calls) for (engine, _, _), calls in groups.items()]
    return sorted(found, key=lambda group: (group.is_cut_off, -group.items))


def targets_at_fault(ledger: Ledger) -> tuple[str, ...]:
    """The targets without which the data would be there, for all that is known: the engines answered, and failed for
    these alone. Empty if an engine failed otherwise, if these are too many to leave out, or if no ticker would be left.
    """
    failed = [call for call in ledger.failures if call.engine != "qa" and call.state != CUT_OFF]
    if not all(_is_about_target(call, done=ledger.counts(call.engine).done > 0) for call in failed):
        return ()
    names, targets = {target for call in failed for target in call.targets}, ledger.plan.targets
    rest = any(target.kind == "equity" and target.id not in names for target in targets)
    if not rest or len(names) + len(ledger.plan.left_out) > LEFT_OUT_LIMIT:
        return ()
    return tuple(target.id for target in targets if target.id in names)


def _is_about_target(call: CallResult, *, done: bool) -> bool:
    """Whether the engine fails for the target, and is not down; `done` is whether it has done another one."""
    may_be = call.then == "new_config" or call.cause == Cause.DENIED or call.status == 500
    return call.status in {400, 422} or (done and may_be)


def _counted(engine: EngineName, count: int, values: dict[str, Value], *, is_cut_off: bool) -> Message:
    match engine == "qa", is_cut_off:
        case True, True:
            return plural(
                "{engine}: 1 card cut off: {names}", "{engine}: {count} cards cut off: {names}", count=count, **values
            )
        case True, False:
            return plural(
                "{engine}: 1 card failed: {names}", "{engine}: {count} cards failed: {names}", count=count, **values
            )
        case False, True:
            return plural(
                "{engine}: 1 target cut off: {names}",
                "{engine}: {count} targets cut off: {names}",
                count=count,
                **values,
            )
    return plural(
        "{engine}: 1 target failed: {names}", "{engine}: {count} targets failed: {names}", count=count, **values
    )
