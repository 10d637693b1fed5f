"""Command `check`: validates the config and asks each engine whether it is healthy."""

from collections.abc import Callable

import trio

from job.config.environment import Settings
from job.config.faults import ConfigError, Fault
from job.engines.catalog import EngineName
from job.engines.health import health_problem
from job.engines.http_connection import HttpConnection, tls_context
from job.engines.id_tokens import IdTokens
from job.execution.outcome import ExitCode
from job.planning.prepare import prepare
from job.text.display import counted


async def check(settings: Settings, faults: list[Fault], say: Callable[[str], None]) -> ExitCode:
    """Prints one line for each fault, notice and engine, with what is wrong if anything is."""
    for notice in settings.notices:
        say(f"! {notice}")
    try:
        prepared = await prepare(settings, faults)
    except ConfigError as error:
        for fault in error.faults:
            say(f"✗ {fault}")
        return ExitCode.USAGE  # noqa: ASYNC910  prepare() was awaited
    for notice in prepared.notices:
        say(f"! {notice}")
    plan = prepared.plan
    say(f"✓ config: {counted(len(plan.targets), 'target')}, {counted(plan.count('qa'), 'card')}")
    wrong: dict[str, str | None] = {}
    tls = tls_context()
    async with trio.open_nursery() as helpers:
        tokens = IdTokens(helpers, settings.impersonate)

        async def examine(name: EngineName) -> None:
            engine = settings.engines[name]
            wrong[name] = await health_problem(engine.url or "", engine.audience or "", HttpConnection(tls), tokens)

        async with trio.open_nursery() as nursery:
            for name in plan.engines():
                nursery.start_soon(examine, name)
        helpers.cancel_scope.cancel()
    for name in plan.engines():
        say(f"✗ {name}: {wrong[name]}" if wrong[name] else f"✓ {name}: {settings.engines[name].url} is healthy")
    return ExitCode.FAILED if any(wrong.values()) else ExitCode.DONE
