"""One night in virtual time: the plan of tonight, the executor of every night, the answers of a recorded one."""

import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import trio

from job.config.environment import EngineSettings
from job.engines.catalog import EngineName
from job.engines.identity import RunIdentity
from job.execution.events import Event
from job.execution.executor import RunContext
from job.execution.gauge import Live
from job.execution.phases import EngineFailedError, Phases
from job.execution.shutdown import Shutdown, ShutdownReason
from job.ledger.ledger import Ledger, SetAside
from job.ledger.result import CallResult
from job.orchestrator import run_phases
from job.planning.plan import Plan
from job.rehearsal.recorded import RecordedNight
from job.rehearsal.stand_in import Outage, StandIns, Tokens


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is rehearsed."""

    plan: Plan
    engines: Mapping[EngineName, EngineSettings]
    medians: Mapping[str, float] = field(default_factory=dict)
    """The median seconds of each card type on the night before."""
    outages: Sequence[Outage] = ()

    def sample(self, every: int) -> "Scenario":
        """The same with one of so many targets."""
        return self if every == 1 else replace(self, plan=replace(self.plan, targets=self.plan.targets[::every]))


@dataclass(frozen=True, slots=True)
class Played:
    """How a rehearsed night went. Times are seconds from the start of the run."""

    day: str
    """That of the recorded night whose answers it had."""
    planned: int
    ends: "array[float]"
    """When each card that was made was there, sorted."""
    ended: float
    """When the last call had ended."""
    failed_engine: EngineName | None
    """The data engine that failed, if one did: no card was requested then."""
    is_down: bool
    """Whether the run stopped early, since the QA engine could not be reached."""
    paid: int
    """How many requests for cards may have cost money."""
    most_in_flight: Mapping[EngineName, int]
    requests: Mapping[EngineName, int]
    unknown: Mapping[str, int]
    """How many cards are of types that no recorded night has, by type."""

    @property
    def came_to_its_end(self) -> bool:
        """Whether every call was made that the plan has."""
        return self.failed_engine is None and not self.is_down

    @property
    def lacks_some(self) -> bool:
        """Whether the run came to its end, and some cards failed."""
        return self.came_to_its_end and not self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether all cards were made."""
        return len(self.ends) == self.planned


def play(scenario: Scenario, nights: Sequence[RecordedNight], seed: str, every: int = 1) -> Played:
    """Plays the night. The answers are those of the first of `nights`; of the others where it has none.

    With `every` above 1, one of so many targets is played, and the times are extended.
    """
    from trio.testing import MockClock  # noqa: PLC0415  it imports pytest, where that is installed

    sampled = scenario.sample(every)
    chance, night = random.Random(seed), nights[0]  # noqa: S311
    engines = StandIns(nights, sampled.plan, seed, scenario.outages, every=every)
    stretched = _Stretched(sampled, every, night.first_call)
    ledger, shutdown = Ledger(sampled.plan), Shutdown()
    failed: list[EngineName] = []

    async def main() -> None:

        def emit(event: Event) -> None:
            if isinstance(event, CallResult):
                ledger.add(event)
                stretched.add(event)
            elif isinstance(event, SetAside):
                ledger.set_aside.append(event)

        async def cross_barrier() -> None:
            await trio.sleep(night.barrier)
            stretched.next_phase(night.barrier)

        context = RunContext(
            run=RunIdentity("rehearsal"),
            tokens=Tokens(),
            connect=engines.connect,
            shutdown=shutdown,
            emit=emit,
            gauges=Live.of(ledger).gauges,
            jitter=chance.random,
        )
        await trio.sleep(night.first_call)
        try:
            await run_phases(Phases(ledger, sampled.engines, context), cross_barrier)
        except EngineFailedError as error:
            failed.append(error.result.engine)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return Played(
        day=night.day,
        planned=sampled.plan.count("qa"),
        ends=array("d", sorted(end for end, is_done in stretched.ends("qa") if is_done)),
        ended=stretched.ended,
        failed_engine=failed[0] if failed else None,
        is_down=shutdown.reason is ShutdownReason.QA_DOWN,
        paid=engines.paid,
        most_in_flight=dict(engines.most_in_flight),
        requests=dict(engines.requests),
        unknown={str(what): count for (engine, what), count in engines.unknown.items() if engine == "qa"},
    )


class _Stretched:
    """The times of a sampled phase, as if all of its calls had been made.

    Later calls start when earlier ones have ended: with so many times the calls, so many times later. Those of the
    first round start at once in a sample, though most of what they stand for waits.
    """

    def __init__(self, scenario: Scenario, every: int, begin: float) -> None:
        self._concurrency = {name: engine.concurrency for name, engine in scenario.engines.items()}
        self._every = every
        self._began = self._begin = begin
        """When the phase began, in the sample and really."""
        self._calls: dict[EngineName, list[CallResult]] = {}

    def next_phase(self, pause: float) -> None:
        """The next phase begins, after a pause."""
        self._began, self._begin = trio.current_time(), self.ended + pause
        self._calls.clear()

    def add(self, result: CallResult) -> None:
        """Adds the result of a call of the present phase."""
        self._calls.setdefault(result.engine, []).append(result)

    @property
    def ended(self) -> float:
        """When the phase ended."""
        return max((end for engine in self._calls for end, _ in self.ends(engine)), default=self._begin)

    def ends(self, engine: EngineName) -> Iterator[tuple[float, bool]]:
        """When each call of the phase ended, and whether it was done."""
        calls, most = self._calls.get(engine, []), self._concurrency[engine]
        rounds = max(0.0, min(len(calls), most) / most * self._every - 1.0) if self._every > 1 else 0.0
        wait = rounds * sum(call.seconds for call in calls) / max(1, len(calls))
        for call in calls:
            yield self._begin + (call.started - self._began) * self._every + wait + call.seconds, call.done
