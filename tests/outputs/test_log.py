"""The log is complete for every reader that keeps up; its last line says how the day stands, for programs."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from job.config.faults import Fault
from job.day.ledger import Ledger
from job.engines.calls import trading
from job.engines.failures import CUT_OFF, Cause, Failure
from job.engines.identity import COMMIT, VERSION, RunIdentity
from job.execution.progress import CallRetried, EngineFailing, EngineRecovered, Progress
from job.outputs.log import CloudLog, Reporter
from job.telling.advice import start_fields
from job.text.messages import Message, message
from tests.support.days import SCENES
from tests.support.fakes import plan_of, target
from tests.support.records import DAY, TRACE_ID, start_at
from tests.support.results import result_of

PLAN = plan_of([target("A", ["c"])])
CALL = next(PLAN.calls("qa"))
TRACEPARENT = RunIdentity(TRACE_ID).traceparent()
FAILURE = Failure(Cause.STATUS, message("no" * 3_000), 503)
RETRIED = CallRetried(CALL, FAILURE.reason, 1.0, 4, TRACEPARENT)
FINISHED = result_of(CALL, FAILURE, tries=4, traceparent=TRACEPARENT)
WARNED = result_of(CALL, warning=message("it is odd"), traceparent=TRACEPARENT)
Log = dict[str, Any]


@pytest.fixture
def lines(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[[Callable[[Reporter], object]], Any]:
    """The lines that a reporter writes."""

    async def written(report: Callable[[Reporter], object]) -> list[Log]:
        log = Reporter(CloudLog())
        log.on_day(start_at(number=2, project="p"))
        report(log)
        await log.drain(5.0)
        found = capfdbinary.readouterr().out.splitlines()
        assert all(len(line) < 256 * 1024 for line in found), "as large as an entry of Cloud Logging may be"
        return [json.loads(line) for line in found]

    return written


async def test_a_line_of_a_call_has_its_day_its_trace_and_its_span(lines: Any) -> None:
    (line,) = await lines(lambda log: log.on_event(replace(FINISHED, done=True, cause=None, status=200)))
    assert (line["day"], line["event"], line["severity"]) == (DAY, "call.finished", "INFO")
    assert line["logging.googleapis.com/trace"] == f"projects/p/traces/{TRACE_ID}"
    assert line["logging.googleapis.com/spanId"] == TRACEPARENT.split("-")[2]
    assert line["message"] == "qa A c: done in 2.00 s"
    assert (line["engine"], line["targets"], line["card_type"], line["attempts"], line["outcome"]) == (
        "qa", ["A"], "c", 4, "done",
    )  # fmt: skip


FAULT = Fault("a.json: [0]", message("is wrong"), message("correct it"))
NOT_UNICODE = message("{file} is odd", file="\udcff.json")
PROGRESS = Progress.of(Ledger(PLAN))
PLANNED = f"{DAY}: 1 card"
RECOVERED = "The QA engine works again, after 1 min 30 s"
FAILED_SINCE = datetime.fromisoformat(f"{DAY}T02:10:00+08:00").timestamp()
FAILING = EngineFailing("qa", message("HTTP 500"), 600.0, FAILED_SINCE, 300.0, 31, FAILED_SINCE + 1_500)
CHARGED = "31 tries may have been charged."
OUT = (
    "The QA engine has been out since 02:10 UTC+08:00: HTTP 500. {} If it stays out, this start ends by {} UTC+08:00; "
    "the execution may be cancelled."
)


@pytest.mark.parametrize(
    ("report", "severity", "event", "words", "fields"),
    [
        (lambda log: log.on_faults([FAULT]), "ERROR", "config.faulty", "a.json: [0]: is wrong; correct it", {
            "where": "a.json: [0]", "what": "is wrong", "remedy": "correct it",
        }),
        (lambda log: log.on_start(PROGRESS), "INFO", "run.started", PLANNED, {
            "number": 2, "version": VERSION, "commit": COMMIT, "planned": dict.fromkeys(PLAN.engines(), 1),
        }),
        (lambda log: log.on_barrier(PROGRESS), "INFO", "barrier.crossed", "All data is ready", {"cards": 1}),
        (lambda log: log.on_event(RETRIED), "WARNING", "call.retried", "qa A c: no", {"wait": 1.0}),
        (lambda log: log.on_event(FINISHED), "ERROR", "call.finished", "qa A c: no", {"cause": "status"}),
        (lambda log: log.on_event(result_of(CALL, CUT_OFF)), "WARNING", "call.finished", "qa A c: cut off", {}),
        (lambda log: log.on_event(WARNED), "WARNING", "call.finished", "qa A c: done in 2.00 s; it is odd", {
            "warning": "it is odd",
        }),
        (lambda log: log.on_event(FAILING), "WARNING", "engine.failing", OUT.format(CHARGED, "02:35"), {
            "engine": "qa", "patience_seconds": 600.0, "since": f"{DAY}T02:10:00+08:00", "seconds": 300.0,
            "answer": "HTTP 500", "charged_tries": 31, "ends_if_out": f"{DAY}T02:35:00+08:00", "ends_by": None,
        }),
        (lambda log: log.on_event(EngineRecovered("qa", 90.0)), "NOTICE", "engine.recovered", RECOVERED, {
            "engine": "qa", "seconds": 90.0,
        }),
        (lambda log: log.on_message("storage.failed", message("down")), "ERROR", "storage.failed", "down", {}),
        (lambda log: log.on_message("storage.recovered", message("up")), "NOTICE", "storage.recovered", "up", {}),
        (lambda log: log.on_message("notification.failed", message("no")), "ERROR", "notification.failed", "no", {}),
        (lambda log: log.on_message("config.noticed", NOT_UNICODE), "NOTICE", "config.noticed", "?.json is odd", {}),
    ],
)  # fmt: skip
async def test_what_happens_is_a_line(
    lines: Any, report: Callable[[Reporter], object], severity: str, event: str, words: str, fields: Log
) -> None:
    (line,) = await lines(report)
    assert (line["severity"], line["event"]) == (severity, event)
    assert line["message"].startswith(words)
    assert line.items() >= fields.items()


@pytest.mark.parametrize(("fails_in", "end"), [(3_000.0, "03:00"), (30_000.0, "05:00")])
@pytest.mark.parametrize(
    ("charged", "told"), [(0, None), (1, "1 try may have been charged."), (31, CHARGED)], ids=["0", "1", "31"]
)
async def test_a_line_of_an_outage_says_what_it_costs_and_by_when_the_start_ends(
    lines: Any, charged: int, told: str | None, fails_in: float, end: str
) -> None:
    def report(log: Reporter) -> None:
        log.on_day(start_at(deadline=10_740.0))
        log.on_event(replace(FAILING, charged_tries=charged, fails_by=FAILED_SINCE + fails_in))

    (line,) = await lines(report)
    assert line["ends_by"] == f"{DAY}T05:00:03+08:00"
    assert line["ends_if_out"][:16] == f"{DAY}T{end}"
    assert line["charged_tries"] == charged
    assert line["message"] == OUT.format(told or "-", end).replace("- ", "")


@pytest.mark.parametrize(("wait", "again"), [(0.0, "when it is its turn"), (29.7, "in 30 s at the earliest")])
async def test_when_a_call_is_repeated_is_said_if_it_is_known(lines: Any, wait: float, again: str) -> None:
    (line,) = await lines(lambda log: log.on_event(replace(RETRIED, reason=message("no"), wait=wait)))
    assert line["message"] == f"qa A c: no; again {again}"


@pytest.mark.parametrize("words", ["没有数据" * 50, "x" * 200, "😀" * 99])
async def test_a_line_is_within_an_entry_though_a_batch_has_a_thousand_answers(lines: Any, words: str) -> None:
    batch = trading([f"{number:06}.SS" for number in range(1000)])
    text = "; ".join(f"{name}: {words}" for name in batch.targets)
    result = result_of(batch, Failure(Cause.DENIED, message(text), 200), traceparent=TRACEPARENT)
    (line,) = await lines(lambda log: log.on_event(result))
    assert line["severity"] == "ERROR"


@pytest.mark.parametrize("scene", SCENES)
async def test_the_last_line_says_how_the_day_stands(lines: Any, scene: str) -> None:
    view = SCENES[scene]()
    report = view.report
    (line,) = await lines(lambda log: log.on_finish(view))
    assert (line["event"], line["message"]) == ("run.finished", str(view.sentence))
    assert (line["outcome"], line["exit_code"], line["ended"]) == (report.outcome, report.exit_code, report.ended)
    done = "WARNING" if scene == "made with errors" else "INFO"
    assert line["severity"] == (done if report.exit_code == 0 else "ERROR")
    assert line["cards"]["done"] == report.cards.done
    assert line.get("notes", []) == [str(note) for note in view.notes]
    assert line.get("detail") == (report.detail and str(report.detail))
    starts = [step for step in view.steps if step.is_start]
    assert {name: value for name, value in line.items() if name.startswith("start_")} == (
        start_fields(starts) if starts else {}
    )
    is_error = report.exit_code not in {0, 70}  # a bug has a traceback on standard error
    assert ("@type" in line) is is_error
    if is_error:
        assert line["context"]["reportLocation"]["functionName"] == report.outcome, "one group for each outcome"


async def test_a_long_answer_is_shortened_in_the_last_line(lines: Any) -> None:
    view = SCENES["data failed"]()
    report = view.report.model_copy(update={"detail": Message("图" * 100_000)})
    long = replace(view, report=report, notes=(Message("记" * 100_000),))
    (line,) = await lines(lambda log: log.on_finish(long))
    assert len(line["detail"]) == len(line["notes"][0]) == 8_000
