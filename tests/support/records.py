"""Records like those that runs leave, for tests of what reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from job.config.environment import read_settings
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.page.render import render_page
from job.records.journal import Journal
from job.records.lease import LEASE, Holder, machine
from job.records.record import pack_report
from job.report.advice import advice, with_commands
from job.report.commands import Place
from job.report.format import BARRIER, FORMAT, INPUTS, PAGE, REPORT, STARTED, entry_of, name_of, sealed
from job.report.inputs import ConfigObject, RunInputs, pack, without_plan
from job.report.outcome import Ending, ExitCode, Outcome, bad_config
from job.report.report import AttemptSummary, report_of
from job.text.messages import message
from tests.support.results import result_of, tried
from tests.support.stores import Memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from job.config.faults import Fault

ZONE = "+08:00"
CODES = {"succeeded": ExitCode.DONE, "cards_missing": ExitCode.CARDS_MISSING}


@dataclass
class Recorded:
    """A run that is recorded: what it was made of, and how it ended; `None` if it has not closed its record."""

    run_id: str = "night"
    tickers: Sequence[str] = ("AAPL", "MSFT")
    outcome: str | None = "succeeded"
    day: str = "2026-11-24"
    has_date: bool = True
    """Whether it was started with RUN_DATE."""
    started: str = f"2026-11-24T02:00:03{ZONE}"
    seconds: float = 1500.0
    attempts: int = 1
    config_uri: str = "gs://cards/config"
    generation: str = "7"
    """Of every config object."""
    number: int = 0
    job: str | None = None
    """The Cloud Run job that it began as."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Further config objects."""

    @property
    def contents(self) -> dict[str, str]:
        """What its config objects hold."""
        return {
            "ticker_list.json": json.dumps(list(self.tickers)),
            "card_types.json": '["news_card"]',
            **self.more,
        }

    @property
    def inputs(self) -> RunInputs:
        return RunInputs(
            run_id=self.run_id,
            started=self.started,
            day=self.day,
            date=self.day if self.has_date else None,
            batch_sizes={"financial": 2, "trading": 2},
            config_uri=self.config_uri,
            objects={
                name: ConfigObject(generation=self.generation, content=text) for name, text in self.contents.items()
            },
            version="1",
            number=self.number,
            job=self.job,
        )

    def results(self) -> list[CallResult]:
        """A result for each call. The first card fails unless the run succeeded; the others took two attempts."""
        inputs, at = self.inputs, datetime.fromisoformat(self.started).timestamp()
        plan, identity = inputs.plan(), RunIdentity(self.run_id)
        found: list[CallResult] = []
        for engine in plan.engines():
            for call in plan.calls(engine):
                fails = engine == "qa" and self.outcome != "succeeded" and not any(one.engine == "qa" for one in found)
                failure = Failure(Cause.STATUS, message("HTTP 500"), 500) if fails else None
                found.append(
                    result_of(
                        call,
                        failure,
                        attempts=2,
                        started=at + 10.0,
                        ended=at + 12.0,
                        status=200,
                        traceparent=identity.traceparent(),
                        failed_attempts=tried((at + 1.0, at + 2.0, "HTTP 503")),
                    )
                )
                at += 3.0
        return found

    def objects(self) -> dict[str, bytes]:
        """The objects of its record, as the job writes them."""
        inputs = self.inputs
        plan = inputs.plan()
        ledger = Ledger(plan)
        for result in self.results():
            ledger.add(result)
        begun = datetime.fromisoformat(self.started)
        found = {
            f"{STARTED}{begun.astimezone(UTC):%Y%m%dT%H%M%SZ}_{self.run_id}": b"{}\n",
            name_of(self.run_id, INPUTS): pack(inputs),
            **self.journal("owner"),
            name_of(self.run_id, f"{BARRIER}{plan.digest()[:16]}.json"): sealed(
                {"format": FORMAT, "run_id": self.run_id, "plan": plan.digest()}
            ),
        }
        if self.outcome is not None:
            ended = begun + timedelta(seconds=self.seconds)
            code = CODES.get(self.outcome, ExitCode.FAILED)
            ending = Ending(Outcome(self.outcome), code, message("How it ended."))
            attempt = AttemptSummary.of(ending, inputs, begun, self.seconds)
            report = report_of(inputs, ledger, [attempt] * self.attempts)
            assert report.ended == ended.isoformat(timespec="seconds")
            report = report.model_copy(update={"journal": {"owner": 1}})
            found[name_of(self.run_id, REPORT)] = report.model_dump_json().encode()
            found[name_of(self.run_id, PAGE)] = render_page(report, ledger, advice(report, Place.of(inputs), begun))
        return found

    def journal(self, owner: str, hours: int = 0) -> dict[str, bytes]:
        """The results as an object of this attempt, whose machine's clock is so many hours ahead."""
        journal = Journal(Memory(), self.run_id, owner, lambda _: None)
        for one in self.results():
            started, ended = (moment + hours * 3600 for moment in (one.started, one.ended))
            journal.append(replace(one, started=started, ended=ended))
        chunk = journal._next_chunk()
        return {chunk.name: chunk.data}

    def lease(
        self, owner: str = "owner", since: str | None = None, pid: int = 1, execution: str | None = "night"
    ) -> bytes:
        """A lease that this run holds."""
        holder = Holder(
            owner=owner,
            run_id=self.run_id,
            plan="",
            day=self.day,
            since=since or self.started,
            machine=machine(),
            pid=pid,
            execution=execution,
            task_attempt=0,
        )
        return holder.model_dump_json().encode()


def write(place: Path, *runs: Recorded, **objects: bytes) -> None:
    """Writes records where runs are recorded; `objects` are others, by name."""
    found = {name: data for run in runs for name, data in run.objects().items()} | objects
    if "lease" in found:
        found[LEASE] = found.pop("lease")
    for name, data in found.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def refused(place: Path, run_id: str, faults: Sequence[Fault], started: datetime) -> None:
    """Writes the record of a run whose configuration had these faults."""
    variables = {"CONFIG_URI": "gs://cards/config", "RUN_DATE": "2026-11-24"}
    settings, _ = read_settings(variables, started)
    inputs = RunInputs.unread(settings, run_id, started)
    attempt = AttemptSummary.of(bad_config(len(faults)), inputs, started, 0.4)
    report = report_of(inputs, Ledger(without_plan()), [attempt], faults=faults, is_recorded=False)
    report = with_commands(report, Place.of(settings, (), settings.run_date))
    write(place, **{name_of(run_id, REPORT): pack_report(report), entry_of(run_id, inputs.started): b"{}\n"})
