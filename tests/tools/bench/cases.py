"""What is measured, and which numbers come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.tools.bench.measure import Load, Measured, best, measure
from tests.tools.bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable

ALONE = Load(tickers=1, card_types=1, in_flight=1, latency=0.02)
"""A run that is little more than start-up."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done of each."""

    repeats: int
    compared: Load
    """What the script and the job do, in turn."""
    crowds: tuple[Load, ...]
    """What the CPU of a call is measured at; the memory is that of the first one, which the floor does too."""
    slow: Load
    """What the makespan is measured at: the ideal would be a whole number of rounds."""
    long: Load | None
    """Whose memory is measured."""
    wide: Load | None
    """As many calls in flight as the default memory allows, over TLS."""
    widest: Load | None
    """As many as the variable allows."""


FULL = Size(
    repeats=3,
    compared=Load(200, 6, 64, 0.02),
    crowds=(Load(1000, 6, 64, 0.02), Load(2500, 6, 256, 0.02), Load(4000, 6, 1024, 0.02)),
    slow=Load(320, 6, 64, 0.2),
    long=Load(10_000, 10, 64, 0.02),
    wide=Load(2048, 6, 4096, 8.0, tls=True),
    widest=Load(4096, 6, 8192, 8.0, tls=True),
)
QUICK = Size(
    repeats=1,
    compared=Load(200, 6, 64, 0.02),
    crowds=(Load(1000, 6, 64, 0.02), Load(1000, 6, 256, 0.02), Load(2000, 6, 1024, 0.02)),
    slow=Load(160, 6, 64, 0.2),
    long=None,
    wide=None,
    widest=None,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    measured: Measured
    cpu: float
    """Milliseconds a call, the client's start-up taken off but in the run of one card, which shows it."""
    against: float | None
    """Calls a second as a multiple of the script's; `None` if the script did not do the same."""


def run(size: Size, show: Callable[[Row], None]) -> list[Target]:
    """Measures everything, shows each row as it is there, and returns the targets with what was reached."""
    measure("job", ALONE)  # compiles the bytecode, which an image has
    # What is subtracted from every other run: noise in it would be in all of them.
    alone = {client: best(measure(client, ALONE) for _ in range(3)) for client in ("script", "floor", "job")}

    show(Row(alone["job"], alone["job"].cpu * 1000, None))

    def row(measured: Measured, script: Measured | None = None) -> Row:
        start = alone[measured.client]
        cpu = (measured.cpu - start.cpu) / (measured.load.calls - start.load.calls) * 1000
        made = Row(measured, cpu, measured.rate / script.rate if script else None)
        show(made)
        return made

    def job(load: Load) -> Row:
        return row(best(measure("job", load) for _ in range(size.repeats)))

    # In turn, so that whatever else keeps the machine busy is felt by all of them.
    turns = [[measure(client, size.compared) for client in ("script", "job")] for _ in range(size.repeats)]
    script, compared = (best(runs) for runs in zip(*turns, strict=True))
    row(script, script)
    against = row(compared, script).against
    floor = row(best(measure("floor", size.crowds[0]) for _ in range(size.repeats)))
    crowds = [job(load) for load in size.crowds]
    slow = job(size.slow)

    few = crowds[0]
    return [
        Target("speed", "calls/s, as a multiple of the script's", against or 0.0, least=8),
        *(
            Target(f"cpu-{made.measured.load.in_flight}", f"CPU ms a call, {_busy(made)}", made.cpu, most=0.55)
            for made in crowds
        ),
        Target("makespan", f"time as a multiple of the ideal, {_busy(slow)}", slow.measured.makespan, most=1.03),
        Target(
            "floor",
            f"CPU a call as a multiple of the floor's, {_busy(few)}",
            few.cpu / floor.cpu,
            most=4,
        ),
        Target("memory", f"peak MiB, {few.measured.load.calls:,} cards", _mib(few), most=120),
        *_large(size, row),
        Target("memory-small", "peak MiB, one card", alone["job"].peak / 2**20, most=75),
        Target("start", "seconds from process start to the first call", alone["job"].ready, most=0.45),
        Target(
            "connections",
            "connections a worker",
            max(made.measured.connections / made.measured.load.in_flight for made in crowds),
            most=1,
        ),
    ]


def _large(size: Size, row: Callable[[Measured], Row]) -> list[Target]:
    bounds = (
        (size.long, "memory-long", "cards", 150),
        (size.wide, "memory-wide", "cards over TLS", 350),
        (size.widest, "memory-widest", "cards over TLS", 600),
    )
    return [
        Target(
            name,
            f"peak MiB, {load.calls:,} {what}, {load.in_flight:,} in flight",
            _mib(row(measure("job", load))),
            most=most,
        )
        for load, name, what, most in bounds
        if load is not None
    ]


def _busy(made: Row) -> str:
    return f"{made.measured.load.in_flight:,} in flight, {made.measured.load.latency * 1000:g} ms"


def _mib(made: Row) -> float:
    return made.measured.peak / 2**20
