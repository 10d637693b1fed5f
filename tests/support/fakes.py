"""Fakes of what surrounds the executor, for runs in virtual time: engines as functions, tokens as numbers."""

import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trio

from job.config.environment import EngineSettings
from job.config.objects import LlmConfig
from job.config.plan import Plan, Target
from job.day.ledger import Ledger
from job.day.result import CallResult, Counts, EngineFailedError, ShutdownReason
from job.engines.answers import Response
from job.engines.calls import ALL_ENGINES, BATCHES, ENGINES, TARGET_ENGINES, EngineName
from job.engines.id_tokens import IdTokens
from job.engines.identity import RunIdentity
from job.execution.executor import RunContext
from job.execution.phases import Phases
from job.execution.progress import Event, Progress
from job.execution.shutdown import Shutdown
from job.orchestrator import run_phases


@dataclass(slots=True)
class Asked:
    """A request that arrived at a fake engine."""

    engine: EngineName
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str]
    time: float
    attempt: int
    """1 if no request of the same path, query and body came before."""
    ended: float | None = None
    cut_off: bool = False
    how: int | str | None = None
    """What befell it; `None` if nothing did."""

    @property
    def tickers(self) -> tuple[str, ...]:
        if self.engine in BATCHES:
            return tuple(self.body["tickers"])
        if self.engine == "qa":
            return (self.query["ticker"],)
        return (self.path.rpartition("/")[2],) if ENGINES[self.engine].kinds else (self.engine,)


Script = Callable[[Asked], Awaitable[Response]]


def well(asked: Asked) -> Response:
    """What the engine answers if nothing goes wrong."""
    if asked.engine == "financial":
        return reply({"message": "Batch processing initiated"})
    if asked.engine == "trading":
        return reply({"message": "", "results": {ticker.upper(): {"status": "success"} for ticker in asked.tickers}})
    return reply({"status": "success"})


def reply(value: object, status: int = 200, retry_after: float | None = None) -> Response:
    return Response(status, json.dumps(value).encode(), retry_after)


async def at_once(asked: Asked) -> Response:
    await trio.lowlevel.checkpoint()
    return well(asked)


@dataclass
class World:
    """Every fake of a run, and what they saw."""

    script: Script = at_once
    asked: list[Asked] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    """How often each call was asked for, by its key."""
    events: list[Event] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    tokens_given: list[tuple[str, str | None]] = field(default_factory=list)
    token: Callable[[str, str | None], Awaitable[str]] | None = None
    connect_seconds: dict[EngineName, float] = field(default_factory=dict)
    """How long a connection to an engine takes."""

    @property
    def finished(self) -> list[CallResult]:
        return [event for event in self.events if isinstance(event, CallResult)]

    def of(self, engine: EngineName) -> list[Asked]:
        return [asked for asked in self.asked if asked.engine == engine]


@dataclass
class Tokens(IdTokens):
    """The fake of the run's tokens, which fetches a new one for each call."""

    world: World

    def cached(self, audience: str, rejected: str | None = None) -> str | None:  # noqa: ARG002
        return None

    async def get(self, audience: str, rejected: str | None = None) -> str:
        self.world.tokens_given.append((audience, rejected))
        await trio.lowlevel.checkpoint()
        if self.world.token is not None:
            return await self.world.token(audience, rejected)
        return f"token {rejected}" if rejected else "token"


@dataclass
class Client:
    """The fake of an engine's client."""

    world: World
    engine: EngineName

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        on_sending: Callable[[], None] = lambda: None,
    ) -> Response:
        assert method == "POST"
        assert path.startswith("/")
        if seconds := self.world.connect_seconds.get(self.engine):
            async with trio.open_nursery() as attempts:  # noqa: ASYNC112  as trio connects: a cancellation arrives in a group
                attempts.start_soon(trio.sleep, seconds)
        on_sending()
        world, parts = self.world, urlsplit(path)
        asked = Asked(
            engine=self.engine,
            path=parts.path,
            query={key: values[0] for key, values in parse_qs(parts.query).items()},
            body=None if body is None else json.loads(body),
            headers=headers,
            time=trio.current_time(),
            attempt=world.attempts[headers["Idempotency-Key"]] + 1,
        )
        world.attempts[headers["Idempotency-Key"]] += 1
        world.asked.append(asked)
        count = world.in_flight[asked.engine] = world.in_flight.get(asked.engine, 0) + 1
        world.peak[asked.engine] = max(count, world.peak.get(asked.engine, 0))
        try:
            return await world.script(asked)
        except trio.Cancelled:
            asked.cut_off = True
            raise
        finally:
            asked.ended = trio.current_time()
            world.in_flight[asked.engine] -= 1


PATIENCE: float = EngineSettings.model_fields["patience"].default
"""As the job ships it."""


def engine_settings(name: EngineName, **changes: Any) -> EngineSettings:
    given: dict[str, Any] = {
        "name": name,
        "url": f"https://{name}",
        "audience": f"https://{name}",
        "timeout": 300.0,
        "concurrency": 4,
        "attempts": EngineSettings.model_fields["attempts"].default,
        "patience": PATIENCE,
        "per_minute": None,
        "batch_size": 2 if name in BATCHES else 1,
    }
    return EngineSettings.model_construct(**(given | changes))


def target(
    name: str, card_types: Sequence[str] = ("news_card",), engines: Sequence[EngineName] = TARGET_ENGINES
) -> Target:
    return Target(name, "equity", name, None, tuple(engines), tuple(card_types))


def plan_of(
    targets: Sequence[Target], engines: Mapping[EngineName, EngineSettings] | None = None, date: str = "2026-11-24"
) -> Plan:
    sizes = {name: settings.batch_size for name, settings in (engines or settings_of()).items()}
    return Plan(targets=tuple(targets), models=LlmConfig(), date=date, batch_sizes=sizes)


def settings_of(changes: Mapping[EngineName, Mapping[str, Any]] | None = None) -> dict[EngineName, EngineSettings]:
    return {name: engine_settings(name, **(changes or {}).get(name, {})) for name in ALL_ENGINES}


@dataclass
class Stage:
    """Phases that are ready to start, among fakes."""

    world: World
    phases: Phases
    live: Progress
    shutdown: Shutdown

    @property
    def ledger(self) -> Ledger:
        return self.live.ledger

    @property
    def cards(self) -> Counts:
        return self.counts("qa")

    def counts(self, engine: EngineName) -> Counts:
        return self.ledger.counts(engine)

    async def play(self, *stops: tuple[float, ShutdownReason]) -> None:
        """Both phases, as a run does them, which is asked at these times to stop. Nothing is lost, however they end."""

        deadline = min((time for time, why in stops if why is ShutdownReason.DEADLINE), default=FOREVER)
        self.shutdown.deadline = trio.current_time() + deadline

        async def stop(seconds: float, reason: ShutdownReason) -> None:
            await trio.sleep(seconds)
            self.shutdown.request(reason)

        failure: EngineFailedError | None = None
        async with trio.open_nursery() as nursery:
            for one in stops:
                nursery.start_soon(stop, *one)
            try:
                await run_phases(self.phases, trio.lowlevel.checkpoint)
            except EngineFailedError as error:
                failure = error
            nursery.cancel_scope.cancel()
        self.assert_nothing_lost()
        if failure is not None:
            raise failure

    def assert_nothing_lost(self) -> None:
        """What was planned is done, failed or not attempted, and nothing is still in progress."""
        for engine, progress in self.live.engines.items():
            account = self.counts(engine)
            assert progress.in_flight == 0, engine
            assert min(account.done, account.failed, account.not_attempted) >= 0, engine
            assert account.planned == account.done + account.failed + account.not_attempted
            ended = [event for event in self.world.finished if event.engine == engine]
            done = [item for event in ended if event.done for item in event.items]
            failed = [item for event in ended if not event.done for item in event.items]
            assert len(done) == account.done, engine
            assert len(failed) == account.failed, engine
            assert len({*done, *failed}) == len(done) + len(failed), "something finished twice"


def stage(
    targets: Sequence[Target],
    script: Script = at_once,
    changes: Mapping[EngineName, Mapping[str, Any]] | None = None,
    jitter: Callable[[], float] = lambda: 1.0,
) -> Stage:
    engines = settings_of(changes)
    plan = plan_of(targets, engines)
    world, live, shutdown = World(script), Progress.of(Ledger(plan)), Shutdown()

    def on_event(event: Event) -> None:
        world.events.append(event)
        if isinstance(event, CallResult):
            live.ledger.add(event)

    context = RunContext(
        run=RunIdentity("test"),
        tokens=Tokens(world),
        client_of=partial(Client, world),
        shutdown=shutdown,
        emit=on_event,
        call_of=plan.call,
        progress=live.engines,
        rerun_of=live.ledger.rerun_of,
        jitter=jitter,
    )
    return Stage(world, Phases(live.ledger, engines, context), live, shutdown)


FOREVER = math.inf
