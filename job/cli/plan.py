"""The command `plan`."""

import json
from collections.abc import Sequence

import trio

from job.config.environment import Settings
from job.config.faults import ConfigError, Fault
from job.engines.calls import METHOD, Call
from job.execution.outcome import ExitCode
from job.planning.plan import Plan
from job.planning.prepare import prepare
from job.reporting.stdout import say, say_error, write_line

FAULTS_SHOWN = 100


def plan_command(settings: Settings, faults: list[Fault], *, as_json: bool) -> ExitCode:
    try:
        prepared = trio.run(prepare, settings, faults)
    except ConfigError as error:
        for fault in error.faults[:FAULTS_SHOWN]:
            say_error(fault)
        if len(error.faults) > FAULTS_SHOWN:
            say_error(f"and {len(error.faults) - FAULTS_SHOWN} more")
        return ExitCode.USAGE
    for notice in prepared.notices:
        say_error(notice)
    plan = prepared.plan
    for engine in plan.engines():
        url = settings.engines[engine].url or ""
        if as_json:
            for call in plan.calls(engine):
                write_line(json.dumps(_as_json(call, url), ensure_ascii=False).encode())
        else:
            _say_calls(plan, list(plan.calls(engine)))
    return ExitCode.DONE


def _as_json(call: Call, url: str) -> dict[str, object]:
    line: dict[str, object] = {"engine": call.engine, "method": METHOD, "url": url + call.path}
    if call.body is not None:
        line["body"] = json.loads(call.body)
    return line


def _say_calls(plan: Plan, calls: Sequence[Call]) -> None:
    engine = calls[0].engine
    items = f"{plan.count(engine)} cards" if engine == "qa" else f"{plan.count(engine)} targets"
    say(f"{engine}: {items}, {len(calls)} call{'s' if len(calls) > 1 else ''}")
    if engine == "qa":
        for target in plan.targets:
            if target.card_types:
                say(f"  {target.id} ({target.kind}): {', '.join(target.card_types)}")
    else:
        for call in calls:
            say(f"  {', '.join(call.targets)}")
