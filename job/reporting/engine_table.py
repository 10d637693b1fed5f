"""Engine table: the totals of each engine at the end of a run. A narrow terminal cuts off no number."""

from collections.abc import Mapping, Sequence

from rich.measure import Measurement
from rich.table import Table

from job.engines.catalog import EngineName
from job.execution.progress import EngineTotals
from job.reporting.screen import Screen
from job.text.messages import Message, message

_WIDEST = 1000
_DROPPED = ((), ("p50", "p95"), ("p50", "p95", "retries"), ("p50", "p95", "retries", "calls"))
"""The columns that are left out, step by step, until the table fits the terminal."""


def print_table(screen: Screen, engines: Mapping[EngineName, EngineTotals]) -> None:
    """Prints a row for each engine, with as many columns as fit; if not even the totals fit, a line for each engine."""
    for dropped in _DROPPED:
        table = _table(engines, dropped, screen)
        if Measurement.get(screen, screen.options.update(max_width=_WIDEST), table).maximum <= screen.width:
            screen.print(table)
            return
    for name, engine in engines.items():
        text = message(
            "{engine}: {done} done, {failed} failed, {cut_off} cut off, {not_attempted} not attempted",
            engine=name,
            done=engine.done + engine.skipped,
            failed=engine.failed - engine.cut_off,
            cut_off=engine.cut_off,
            not_attempted=engine.not_attempted,
        )
        screen.print_line(text)


def _table(engines: Mapping[EngineName, EngineTotals], dropped: Sequence[str], screen: Screen) -> Table:
    table = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False, header_style="bold")
    table.add_column(screen.shown(message("engine")), no_wrap=True)
    columns: dict[str, list[str]] = {}

    def add(heading: Message, value: str) -> None:
        if heading.id not in dropped:
            columns.setdefault(screen.shown(heading), []).append(value)

    is_cut_off = any(engine.cut_off for engine in engines.values())
    for engine in engines.values():
        add(message("calls"), f"{engine.calls:,}")
        add(message("retries"), f"{engine.retries:,}")
        add(message("done"), f"{engine.done + engine.skipped:,}")
        add(message("failed"), f"{engine.failed - engine.cut_off:,}")
        if is_cut_off:
            add(message("cut off"), f"{engine.cut_off:,}")
        add(message("not attempted"), f"{engine.not_attempted:,}")
        for heading, value in ((message("p50"), engine.p50_seconds), (message("p95"), engine.p95_seconds)):
            add(heading, "-" if value is None else screen.shown(message("{seconds} s", seconds=f"{value:,.2f}")))
    for shown in columns:
        table.add_column(shown, justify="right", no_wrap=True)
    for name, *values in zip(engines, *columns.values(), strict=True):
        table.add_row(name, *values)
    return table
