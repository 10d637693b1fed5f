"""One measurement: the job as a process of its own, against a fresh engine, counted by the engine and the kernel."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.altered import ACCOUNT, altered
from tests.support.environment import bare

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Load:
    """What the job is to do: one call a card, and no data engine, whose calls cost the same."""

    tickers: int
    card_types: int
    in_flight: int
    latency: float
    """Seconds."""
    tls: bool = False

    @property
    def calls(self) -> int:
        """One a card."""
        return self.tickers * self.card_types

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
    """What one run of the job took."""

    cpu: float
    """Seconds, user and system, of the whole process."""
    engine_cpu: float
    """The same of the engine, without its start."""
    peak: int
    """Bytes of the process's resident memory at their peak."""
    connections: int


def measure(load: Load) -> Measured:
    """Runs the job once; fails if it does not succeed with each call at its first attempt, within its bound."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        load.configure(directory)
        output = directory / "output"
        with engine_of(load, directory) as (engine, environment):
            ended = run_process(("job", "run"), environment, output)
            account = json.loads(engine.communicate()[0])
        printed = output.read_text(errors="replace")
    assert (ended.code, account["calls"]) == (0, load.calls), printed[-2000:]
    assert account["peak_in_flight"] <= load.in_flight
    assert json.loads(printed.splitlines()[-1])["engines"]["qa"]["retries"] == 0
    return Measured(ended.cpu, account["cpu"], ended.peak, account["connections"])


@contextmanager
def engine_of(load: Load, directory: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A fresh engine, and the environment of a job that calls it: nothing of the developer's shell but PATH."""
    command = [sys.executable, "-m", "tests.tools.bench.engine", str(load.latency)]
    authority, certificate = trustme.CA(), directory / "engine.pem"
    authority.cert_pem.write_to_path(directory / "ca.pem")
    if load.tls:
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        command.append(str(certificate))
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stdout is not None
            metadata, port = engine.stdout.readline().split()
            yield (
                engine,
                {
                    **bare(),
                    "HOME": str(directory),
                    "GCE_METADATA_HOST": f"127.0.0.1:{metadata}",
                    "GCE_METADATA_IP": f"127.0.0.1:{metadata}",
                    "CONFIG_URI": str(directory),
                    "LOG_FORMAT": "json",
                    "RUNS_URI": str(directory / "runs"),
                    "QA_ENGINE_URL": f"{'https' if load.tls else 'http'}://127.0.0.1:{port}",
                    "QA_ENGINE_CONCURRENCY": str(load.in_flight),
                    "SSL_CERT_FILE": str(directory / "ca.pem"),
                },
            )
        finally:
            engine.kill()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it took."""

    code: int
    cpu: float
    """Seconds, user and system."""
    peak: int
    """Bytes."""


def run_process(module: tuple[str, ...], environment: dict[str, str], output: Path, *changes: str) -> Ended:
    """Runs a Python module to its end; what it prints is in `output`, beside which it may leave files. For `changes`
    see `tests.support.altered`.
    """
    account = output.with_name("account")
    account.unlink(missing_ok=True)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=environment | altered(output.parent, ACCOUNT.format(file=str(account)), *changes),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", account.read_text(), re.MULTILINE)
    return Ended(process.returncode, usage.ru_utime + usage.ru_stime, int(peak) * 1024)
