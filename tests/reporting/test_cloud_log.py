"""The log is complete for every reader that keeps up; one that does not keep up sees how many lines are missing."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from job.config.faults import Fault
from job.config.schema import LlmConfig
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.execution.events import CallRetried
from job.execution.gauge import Live
from job.ledger.ledger import Ledger
from job.planning.plan import Plan
from job.planning.targets import Target
from job.report.outcome import ending_of
from job.reporting import stdout
from job.reporting.cloud_log import CloudLogReporter
from job.text.messages import Message, message
from tests.support.endings import report_at
from tests.support.results import result_of

PLAN = Plan((Target("A", "equity", "A", None, (), ("c",)),), LlmConfig(), None, {})
CALL = next(PLAN.calls("qa"))
TRACEPARENT = RunIdentity("r").traceparent()
FAILURE = Failure(Cause.STATUS, message("no" * 3_000), 503)
RETRIED = CallRetried(CALL, FAILURE.reason, 1.0, 4, TRACEPARENT)
FINISHED = result_of(CALL, FAILURE, attempts=4, traceparent=TRACEPARENT)
WARNED = result_of(CALL, warning=message("it is odd"), traceparent=TRACEPARENT)


async def test_only_lines_about_calls_are_dropped_and_only_while_8_mib_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(stdout, "STDOUT", writing)
    live = Live.of(Ledger(PLAN))
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_start(live)
    for _ in range(2_000):
        log.on_event(RETRIED)
        log.on_event(FINISHED)
        log.on_event(WARNED)
    log.on_faults([Fault("a.json", Message("is wrong"), Message("correct it"))])
    log.on_notices([message("look")])
    log.on_storage(message("storage: down"), True)
    log.on_barrier(live)
    log.on_finish(report_at(ending_of(live.ledger, None), live.ledger), live.ledger, ())
    lines: list[dict[str, Any]] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            lines.extend(map(json.loads, pipe))

    reader = threading.Thread(target=read)
    reader.start()
    await log.drain(30.0)
    os.close(writing)
    reader.join()
    events = [line["event"] for line in lines]
    assert events[0] == "run.started"
    assert events[-5:] == ["config.faulty", "config.noticed", "storage.failed", "barrier.crossed", "run.finished"]
    about_calls = events[1:-5]
    assert about_calls == (["call.retried", "call.finished", "call.finished"] * 2_000)[: len(about_calls)], (
        "the first ones, in order"
    )
    assert 0 < lines[-1]["lines_dropped"] == 6_000 - len(about_calls)
    assert 8 * 2**20 <= sum(len(json.dumps(line)) for line in lines) < 9 * 2**20


async def test_a_lone_surrogate_is_not_a_bug(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_notices([message("{file} is odd", file="\udcff.json")])
    log.verified("run \ud800", done=False)
    await log.drain(5.0)
    shown = sorted(json.loads(line)["message"] for line in capfdbinary.readouterr().out.splitlines())
    assert shown == ["?.json is odd", "run ?"]
