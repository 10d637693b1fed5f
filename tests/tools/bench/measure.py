"""One measurement: a client as a process of its own, against a fresh engine, counted by the engine and the kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from resource import struct_rusage

ROOT = Path(__file__).resolve().parents[3]
CLIENTS = {
    "job": ("job", "run"),
    "script": ("tests.tools.bench.script",),
    "script, default pool": ("tests.tools.bench.script", "--default-pool"),
    "floor": ("tests.tools.bench.floor",),
}
LIMIT_SECONDS = 300.0
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What a client is to do: one call a card, and no data engine, whose calls cost the same."""

    tickers: int
    card_types: int
    in_flight: int
    latency: float
    """Seconds."""

    @property
    def calls(self) -> int:
        """One a card."""
        return self.tickers * self.card_types

    @property
    def ideal(self) -> float:
        """Seconds that it takes a client that costs nothing."""
        return -(-self.calls // self.in_flight) * self.latency

    def configure(self, directory: Path) -> None:
        """Writes the config objects."""
        objects = {
            "ticker_list.json": [f"{600000 + number}.SS" for number in range(self.tickers)],
            "card_types.json": [f"card_type_{number}" for number in range(self.card_types)],
            "engine_control.json": dict.fromkeys(
                ("run_financials_engine", "run_trading_engine", "run_news_engine"), False
            ),
        }
        for name, value in objects.items():
            (directory / name).write_text(json.dumps(value))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of a client took."""

    client: str
    load: Load
    ready: float
    """Seconds from the start of the process to the arrival of its first call."""
    span: float
    """Seconds from the arrival of the first call to the answer to the last."""
    cpu: float
    """Seconds, user and system, of the whole process."""
    peak: int
    """Bytes of resident memory at their peak; on Linux never less than the (small) measuring process's."""
    connections: int

    @property
    def rate(self) -> float:
        """Calls a second, without start-up."""
        return self.load.calls / self.span

    @property
    def makespan(self) -> float:
        """The span as a multiple of the ideal."""
        return self.span / self.load.ideal


def best(runs: Iterable[Measured]) -> Measured:
    """Each time at its least: what else the machine was doing only ever adds to one. Memory at its most."""
    runs = list(runs)
    return replace(
        runs[0],
        ready=min(run.ready for run in runs),
        span=min(run.span for run in runs),
        cpu=min(run.cpu for run in runs),
        peak=max(run.peak for run in runs),
    )


def measure(client: str, load: Load) -> Measured:
    """Runs the client once; fails where it does not succeed with each call at its first attempt, within its bound."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _engine(load.latency) as engine:
        directory = Path(name)
        load.configure(directory)
        assert engine.stdout is not None
        port = int(engine.stdout.readline())
        started = time.monotonic()
        code, usage = _run(CLIENTS[client], _environment(load, directory, port), directory / "output")
        account = json.loads(engine.communicate()[0])
        complete = account["calls"] == load.calls and not account["refused"]
        if code != 0 or not complete or account["peak_in_flight"] > load.in_flight:
            raise AssertionError(f"{client}, {load}: exit code {code}, {account}, {_tail(directory / 'output')}")
    return Measured(
        client=client,
        load=load,
        ready=account["first"] - started,
        span=account["last"] - account["first"],
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * _MAXRSS_UNIT,
        connections=account["connections"],
    )


@contextmanager
def _engine(latency: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.tools.bench.engine", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        try:
            yield engine
        finally:
            engine.kill()


def _environment(load: Load, directory: Path, port: int) -> dict[str, str]:
    """Nothing of the developer's shell but PATH; compiled bytecode is written and used, as in the image."""
    host = f"127.0.0.1:{port}"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GCE_METADATA_HOST": host,
        "GCE_METADATA_IP": host,
        "CONFIG_URI": str(directory),
        "RUNS_URI": str(directory / "runs"),
        "QA_ENGINE_URL": f"http://{host}",
        "QA_ENGINE_CONCURRENCY": str(load.in_flight),
    }


def _run(module: tuple[str, ...], environment: dict[str, str], output: Path) -> tuple[int, struct_rusage]:
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    alarm = threading.Timer(LIMIT_SECONDS, process.kill)
    alarm.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _tail(output: Path) -> str:
    return output.read_bytes()[-2000:].decode(errors="replace")
