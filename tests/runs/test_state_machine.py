"""Whatever happens to it, in whatever order, the job keeps its promise: days in virtual time, as a state machine.

Hypothesis chooses what happens: starts of all kinds, faults of engines and storage, signals, kills, pauses, changes of
the config, ticks of the schedule. `tests.support.promise` is held against all of it. A failure prints the steps that
lead to it, as few as possible, and a line that plays them again.
"""

import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import Any

import pytest
import trio
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.job import Job
from tests.simulators.seen import Seen
from tests.simulators.service import Do, Fault
from tests.support.promise import WRONG, Promise
from tests.support.virtual_time import in_virtual_time
from tests.support.world import START, VirtualProcess, VirtualWorld, open_virtual_world

TICKERS = ["AAPL", "MSFT", "GC=F"]
CARDS = ["news_card", "price_card", "risk_card"]
NAMES = ["AAPL/news_card", "AAPL", "MSFT/price_card", "/news_card", "美联储", "GC=F", "all"]
"""What a person may want to have made again: some of it may never have been made, or has left the config."""
ENGINES = ["financial", "trading", "news", "qa"]
FAULTS: dict[str, Do] = {
    **{str(code): do.status(code) for code in (401, 403, 422, 429, 500, 503)},
    "late 401": do.status(401, after=1.0),
    "late 504": do.late_status(504),
    "null": do.body(None),
    "a token in the answer": do.echo_token(),
    "hang": do.hang(),
    "reset": broken.reset(),
    "reset after work": broken.reset_after_work(),
    "half an answer": broken.truncated(),
    "slow": do.slow(7.0),
    "none": do.nothing(),
}
LONGEST = 7200.0
"""Seconds that no run takes."""


@dataclass
class Blow:
    """What a run meets from outside: a signal, so many requests of engines and seconds after its start."""

    signal: Signals
    requests: int
    seconds: float


@dataclass
class Started:
    """A process, and how it was started."""

    arguments: tuple[str, ...]
    env: dict[str, str]
    job: Job
    day: str
    """What it has to make."""
    is_recorded: bool
    """Whether its day was recorded, or current, when it was started."""
    outages: int
    """As many as there were; -1 in the middle of one."""
    was_paused: bool = False

    @property
    def process(self) -> VirtualProcess:
        assert isinstance(self.job.process, VirtualProcess)
        return self.job.process

    @property
    def is_over(self) -> bool:
        return self.process.returncode is not None


@dataclass
class Player:
    """Trio in a thread of its own, in which time passes only while a step is played."""

    steps: queue.SimpleQueue[Callable[[], Awaitable[None]] | None] = field(default_factory=queue.SimpleQueue)
    answers: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)

    def start(self, config: dict[str, object]) -> VirtualWorld:
        """Returns the world in which steps are played."""
        self._thread = threading.Thread(target=self._run, args=(config,))
        self._thread.start()
        world = self._answer()
        assert isinstance(world, VirtualWorld)
        return world

    def play(self, step: Callable[[], Awaitable[None]]) -> None:
        """Plays a step to its end; raises what it raises, or what failed meanwhile."""
        self.steps.put(step)
        self._answer()

    def stop(self) -> None:
        """Ends the world."""
        self.steps.put(None)
        self._thread.join()

    def _answer(self) -> object:
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _run(self, config: dict[str, object]) -> None:
        try:
            in_virtual_time(partial(self._main, config))
        except BaseException as error:  # noqa: ASYNC103, BLE001  the other thread raises it
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.answers.put(error)

    async def _main(self, config: dict[str, object]) -> None:
        async with trio.open_nursery() as nursery, open_virtual_world(nursery, config, latency=steady(0.3)) as world:
            self.answers.put(world)
            while (step := self.steps.get()) is not None:
                await step()
                self.answers.put(None)


moments = st.sampled_from([0.0, 0.001, 0.05, 0.4, 3.0, 7.5, 8.5])
"""Seconds."""
blows = st.none() | st.builds(Blow, st.sampled_from([SIGKILL, SIGTERM, SIGINT, SIGSTOP]), st.integers(0, 16), moments)
waits = st.sampled_from([LONGEST, LONGEST, 0.5, 20.0])
"""Seconds until the next step, if the run has not ended before."""
on_cloud = st.booleans()
deadlines = st.sampled_from([None, None, None, "3", "30"])
dates = st.sampled_from([None, None, None, None, 0, 1])
"""How many days ago the day was that a person names, if one does."""
confirmed = st.booleans()
which = st.integers(0, 4)
asks = st.sampled_from([True, True, False])
gaps = st.sampled_from([0.0, 0.01, 0.2, 1.0, 3.0, 20.0, 58.0])
"""Seconds before a start. A lease that is watched for 60 s is stale."""


class Days(RuleBasedStateMachine):
    """People, schedulers and faults, and the job among them."""

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "ticker_list.json": TICKERS[:2],
            "card_types.json": CARDS[:2],
            "card_targets.json": [{"id": "美联储", "topic_key": "fed", "card_types": CARDS[:1], "date": "2026-11-20"}],
            "llm_config.json": {"default": {"backend": "local", "model_name": "small/1"}},
        }
        self.player = Player()
        self.world = self.player.start(self.config)
        self.promise = Promise(self.world)
        self.promise.watch()
        self.started: list[Started] = []
        self.executions = 0
        self.outages = 0
        self.outage = trio.CancelScope()
        self.is_out = False
        self.is_ending = False
        self.failed = False
        self.world.news.latency = steady(2.0)  # the other engines have results meanwhile, which are not written
        self.world.runs.refuse = lambda _verb, _name: self.is_out

    # --- what happens ---

    @rule(cloud=on_cloud, date=dates, yes=confirmed, deadline=deadlines, blow=blows, seconds=waits)
    def start(
        self, cloud: bool, date: int | None, yes: bool, deadline: str | None, blow: Blow | None, seconds: float
    ) -> None:
        self._start(("run", *(["--yes"] if yes else [])), self._env(cloud, deadline), blow, seconds, date)

    @rule(
        cloud=on_cloud,
        date=dates,
        named=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
        without=st.sampled_from([None, None, "AAPL", "MSFT"]),
        blow=blows,
        seconds=waits,
    )
    def start_again(
        self, cloud: bool, date: int | None, named: list[str], without: str | None, blow: Blow | None, seconds: float
    ) -> None:
        """A person wants something again, which the plan may lack, and perhaps something else left out."""
        left_out = () if without is None else (f"--without={without}",)
        arguments = ("run", *(f"--again={name}" for name in named), *left_out, "--yes")
        self._start(arguments, self._env(cloud, None), blow, seconds, date)

    @rule(cloud=on_cloud, date=dates, name=st.sampled_from([*TICKERS, "美联储"]), blow=blows, seconds=waits)
    def start_without(self, cloud: bool, date: int | None, name: str, blow: Blow | None, seconds: float) -> None:
        """Perhaps without what the config does not have."""
        self._start(("run", f"--without={name}"), self._env(cloud, None), blow, seconds, date)

    @rule(engine=st.sampled_from(["news", "trading", "qa"]), cloud=on_cloud, blow=blows, seconds=waits)
    def start_with_a_wrong_url(self, engine: str, cloud: bool, blow: Blow | None, seconds: float) -> None:
        """The next one has the right one."""
        url = {f"{engine.upper()}_ENGINE_URL": self.world.engines[engine].url + WRONG}
        self._start(("run",), self._env(cloud, None) | url, blow, seconds)

    @rule(
        named=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
        starts=st.lists(st.tuples(on_cloud, asks, gaps, blows), min_size=2, max_size=4),
        after=st.sampled_from([None, None, SIGKILL, SIGSTOP]),
    )
    def several_start_at_once(
        self, named: list[str], starts: list[tuple[bool, bool, float, Blow | None]], after: Signals | None
    ) -> None:
        """Perhaps people who want the same again, beside what is alive, dead or paused, or `after` it was."""

        async def step() -> None:
            arguments = (*(f"--again={name}" for name in named), "--yes")
            begun: list[Started] = []
            if after is not None:
                await self._until_over([await self._start_job(("run",), self._env(False, None))], LONGEST)
                struck = await self._start_job(("run", *arguments), self._env(False, None))
                await self._strike(struck, Blow(after, 0, 0.4), len(self.world.seen))
            for cloud, is_asking, gap, blow in starts:
                await trio.sleep(gap)
                one = await self._start_job(("run", *(arguments if is_asking else ())), self._env(cloud, None))
                if blow is not None:
                    self.world.nursery.start_soon(self._strike, one, blow, len(self.world.seen))
                begun.append(one)
            await self._until_over(begun, LONGEST)
            await self._retry(begun, LONGEST)

        self._play(step)

    @rule(
        engine=st.sampled_from([*ENGINES, "qa", "qa"]),
        skipped=st.integers(0, 6),
        names=st.lists(st.sampled_from([*FAULTS]), min_size=1, max_size=4),
    )
    def engine_fails(self, engine: str, skipped: int, names: list[str]) -> None:
        service = self.world.engines[engine]
        first = len(service.requests) + 1 + skipped
        faults = dict(enumerate((FAULTS[name] for name in names), first))
        service.script += [Fault(when.nth(number), fault) for number, fault in faults.items()]

    @rule(requests=st.integers(0, 8), seconds=moments, name=st.sampled_from([None, *NAMES]), cloud=on_cloud, blow=blows)
    def a_start_is_paused_and_overtaken(
        self, requests: int, seconds: float, name: str | None, cloud: bool, blow: Blow | None
    ) -> None:
        """Another start takes its lease."""
        again = () if name is None else (f"--again={name}", "--yes")
        self._start(("run", *again), self._env(False, None), Blow(SIGSTOP, requests, seconds), LONGEST)
        self._start(("run",), self._env(cloud, None), blow, LONGEST)

    @rule(
        limiting=st.sampled_from(["429", "503"]),
        signal=st.sampled_from([SIGTERM, SIGINT, SIGKILL]),
        requests=st.integers(8, 10),
        seconds=st.sampled_from([0.05, 3.0, 8.5]),
    )
    def a_token_expires(self, limiting: str, signal: Signals, requests: int, seconds: float) -> None:
        """While another card has the only slot, and a signal comes."""
        self.engines_are_slow(cards=3.0, tokens=8.0)
        self.engine_fails(engine="qa", skipped=0, names=["late 401", limiting])
        arguments = ("run", "--again=all", "--yes")
        self._start(arguments, self._env(True, None), Blow(signal, requests, seconds), LONGEST)

    @rule(cards=st.sampled_from([0.3, 3.0]), tokens=st.sampled_from([0.0, 8.0]))
    def engines_are_slow(self, cards: float, tokens: float) -> None:
        self.world.qa.latency = steady(cards)
        self.world.token_seconds = tokens

    @rule(after=st.sampled_from([0.0, 0.2, 1.0, 3.0]), seconds=st.sampled_from([8.0, LONGEST]))
    def storage_is_away(self, after: float, seconds: float) -> None:
        async def step() -> None:
            self.outage.cancel()
            self.outage = trio.CancelScope()
            self.world.nursery.start_soon(self._be_out, self.outage, after, seconds)
            await trio.lowlevel.checkpoint()

        self._play(step)

    @rule(seconds=st.sampled_from([0.02, 1.0, 6.0]))
    def storage_is_slow(self, seconds: float) -> None:
        """So that signals come while the attempt or the lease is written; some answers are lost."""
        self.outages += 1
        self.promise.was_out |= seconds > 1
        self.world.storage_seconds = seconds

    @rule(part=st.sampled_from(["_lease.json", "/attempts/", "/attempts/", "/results/", "/ends/"]))
    def an_answer_will_be_lost(self, part: str) -> None:
        """The next one to a write of this."""

        def lose(_verb: str, name: str) -> bool:
            if part not in name:
                return False
            self.world.runs.lose = lambda _verb, _name: False
            self.outages += 1
            self.promise.was_out = True
            return True

        self.world.runs.lose = lose

    @rule(number=which)
    def config_changes(self, number: int) -> None:
        match number:
            case 0:
                names = self.config["ticker_list.json"]
                self.config["ticker_list.json"] = TICKERS if len(names) == 2 else TICKERS[1:]
            case 1:
                target = self.config["card_targets.json"][0]
                day = "2026-11-19" if target["date"] == "2026-11-20" else "2026-11-20"
                self.config["card_targets.json"] = [target | {"date": day}]
            case 2:
                self.config["card_types.json"] = CARDS if len(self.config["card_types.json"]) == 2 else CARDS[:2]
            case 3:
                target = self.config["card_targets.json"][0]
                key = "ecb" if target["topic_key"] == "fed" else "fed"
                self.config["card_targets.json"] = [target | {"topic_key": key}]
            case _:
                self.config["llm_config.json"] = {
                    "default": {"backend": "local", "model_name": f"large/{len(self.started)}"}
                }

        async def step() -> None:
            for name, content in self.config.items():
                await self.world.configure(name, content)

        self._play(step)

    @rule(hour=st.sampled_from([0.0, 6.0, 12.0, 22.5, 22.5]), seconds=st.integers(-700, 1300))
    def time_passes(self, hour: float, seconds: int) -> None:
        """Until about that hour of a day: midnight, or one whose tick is near."""
        self._play(lambda: self._until(hour * 3600 + seconds))

    @rule(
        engines=st.lists(st.sampled_from(ENGINES), min_size=1, max_size=2, unique=True),
        name=st.sampled_from(["401", "403", "429", "503"]),
        after=st.sampled_from([0.0, 1.0, 3.0]),
        seconds=st.sampled_from([1.0, 30.0, 300.0]),
    )
    def an_outage_is_shorter_than_the_patience(
        self, engines: list[str], name: str, after: float, seconds: float
    ) -> None:
        """All else is well, so the day is done."""

        async def step() -> None:
            await self._mend()
            await self._wake(LONGEST)
            begin = trio.current_time() + after

            def is_out(_: Seen) -> bool:
                return begin <= trio.current_time() < begin + seconds

            for engine in engines:
                self.world.engines[engine].script.append(Fault(is_out, FAULTS[name]))
            await self._succeed()

        self._play(step)

    @precondition(lambda self: any(one.process.is_paused for one in self.started))
    @rule(seconds=waits)
    def what_is_paused_goes_on(self, seconds: float) -> None:
        self._play(lambda: self._wake(seconds))

    @rule()
    def all_is_mended(self) -> None:
        self._play(self._mend)

    # --- what holds ---

    @invariant()
    def the_promise_is_kept(self) -> None:
        self._play(self.promise.check)

    def teardown(self) -> None:
        """At the end all is well again, so everything is done by one start, and another one finds nothing to do."""
        try:
            if not self.failed:
                self._play(self._end)
        finally:
            self.player.stop()

    async def _end(self) -> None:
        self.is_ending = True
        await self._mend()
        await self._wake(LONGEST)
        assert all(one.is_over for one in self.started), "a start does not end"
        await self.promise.check()
        if self._now().hour == 22:
            await trio.sleep(3600)  # or the next night could begin between the two
        await self._succeed()
        before = len(self.world.seen)
        await self._succeed()
        assert self.world.seen[before:] == [], "all was done, and something was called"
        await self.promise.check()
        self.promise.check_secrets([(await one.job.outcome()).stdout for one in self.started])

    async def _succeed(self) -> None:
        last = await self._start_job(("run",), self._env(True, None))
        outcome = await last.job.outcome()
        assert outcome.exit_code == 0, outcome.stdout

    # --- how it happens ---

    def _play(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            self.player.play(step)
        except BaseException:
            self.failed = True
            raise

    def _env(self, cloud: bool, deadline: str | None) -> dict[str, str]:
        env = {"RUNS_URI": self.world.runs_uri, "QA_ENGINE_CONCURRENCY": "2", "FINANCIAL_ENGINE_BATCH_SIZE": "2"}
        env |= {f"{name.upper()}_ENGINE_TIMEOUT": "20" for name in ENGINES}
        if deadline is not None:
            env["RUN_DEADLINE_SECONDS"] = deadline
        if cloud:
            self.executions += 1
            env |= {"CLOUD_RUN_EXECUTION": f"execution-{self.executions}", "CLOUD_RUN_TASK_ATTEMPT": "0"}
        return env

    def _start(
        self, command: tuple[str, ...], env: dict[str, str], blow: Blow | None, seconds: float, ago: int | None = None
    ) -> None:
        """`ago` is how many days ago the day was that is named."""

        async def step() -> None:
            dated = () if ago is None else (f"--date={(self._now() - timedelta(days=ago)).date().isoformat()}",)
            before, arguments = len(self.world.seen), (*command, *dated)
            one = await self._start_job(arguments, env)
            if blow is not None:
                self.world.nursery.start_soon(self._strike, one, blow, before)
            await self._until_over([one], seconds)
            await self._retry([one], seconds)

        self._play(step)

    async def _retry(self, some: list[Started], seconds: float) -> None:
        """Cloud Run's own: the same execution with the same arguments."""
        for one in some:
            if "CLOUD_RUN_EXECUTION" in one.env and one.process.returncode:
                retry = await self._start_job(one.arguments, one.env | {"CLOUD_RUN_TASK_ATTEMPT": "1"})
                await self._until_over([retry], seconds)

    async def _start_job(self, arguments: tuple[str, ...], env: dict[str, str]) -> Started:
        dates = [argument.removeprefix("--date=") for argument in arguments if argument.startswith("--date=")]
        day = dates[0] if dates else self._current()
        is_recorded = day == self._current() or any(name.startswith(f"{day}/") for name in self.world.runs.objects)
        job = await self.world.start_job(*arguments, env=env)
        outages = -1 if self.world.storage_seconds > 1 else self.outages + self.is_out
        one = Started(arguments, env, job, day, is_recorded, outages)
        self.started.append(one)
        self.world.nursery.start_soon(self._attend, one)
        return one

    async def _attend(self, one: Started) -> None:
        """Holds its end against the promise."""
        outcome = await one.job.outcome()
        if outcome.exit_code == -SIGKILL or (outcome.exit_code in {130, 143} and not outcome.events("run.finished")):
            return
        is_out = self.is_out or self.outages != one.outages
        if outcome.exit_code == 2:
            faults = {fault["where"] for fault in outcome.events("config.faulty")}
            if is_out or one.was_paused:
                faults -= {"CONFIG_URI"}  # it could not be read either
            assert faults, outcome.stdout
            assert faults <= {"--again", "--without", "--date"}, outcome.stdout
            if "--date" in faults:
                assert "--yes" not in one.arguments
                assert one.is_recorded is ("today's config is not that of" in outcome.stdout), outcome.stdout
        if outcome.exit_code != 2:
            assert "--again" not in (outcome.finished.get("start_command") or ""), "it would be paid for twice"
        if outcome.exit_code == 75:
            assert is_out or one.was_paused or any("--again" in argument for argument in one.arguments), outcome.stdout
        self.promise.ended(outcome, None if is_out else one.day, is_out=is_out)

    async def _strike(self, one: Started, blow: Blow, before: int) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(until: Callable[..., Awaitable[None]], *conditions: Callable[[list[Seen]], bool]) -> None:
                await until(*conditions)
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, one.process.wait)
            for service in self.world.engines.values():
                nursery.start_soon(wait, service.until, lambda _: len(self.world.seen) >= before + blow.requests)
        await trio.sleep(blow.seconds)
        if not one.is_over and not self.is_ending:
            one.was_paused |= blow.signal == SIGSTOP
            one.job.send_signal(blow.signal)

    async def _until_over(self, some: list[Started], seconds: float) -> None:
        limit = trio.current_time() + seconds
        while trio.current_time() < limit:
            if all(one.is_over or one.process.is_paused for one in some):
                break
            await trio.sleep(0.5)

    async def _be_out(self, scope: trio.CancelScope, after: float, seconds: float) -> None:
        with scope:
            await trio.sleep(after)
            self.outages += 1
            self.is_out = self.promise.was_out = True
            await trio.sleep(seconds)
            self.is_out = False

    async def _mend(self) -> None:
        self.outage.cancel()
        self.is_out = False
        self.world.runs.lose = lambda _verb, _name: False
        self.world.storage_seconds = 0.02
        self.world.token_seconds = 0.0
        for service in self.world.engines.values():
            service.script.clear()
        await trio.lowlevel.checkpoint()

    async def _wake(self, seconds: float) -> None:
        for one in self.started:
            if not one.is_over:
                one.job.send_signal(SIGCONT)
        await self._until_over(self.started, seconds)

    async def _until(self, seconds: float) -> None:
        """Waits until so many seconds after a midnight."""
        since = self._now() - datetime(2026, 11, 24, tzinfo=UTC)
        await trio.sleep((seconds - since.total_seconds()) % 86_400)

    def _current(self) -> str:
        """The day that a start is for: that of the latest 22:30, ten minutes before that already."""
        return (self._now() - timedelta(hours=22, minutes=20)).date().isoformat()

    def _now(self) -> datetime:
        return START.astimezone(UTC) + timedelta(seconds=trio.current_time())


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Days,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            print_blob=True,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.timeout(900)  # a failure takes minutes to be made as short as possible
def test_a_few_days_of_faults_break_no_promise() -> None:
    play(5, 12)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_days_of_faults_break_a_promise() -> None:
    play(150, 12)
