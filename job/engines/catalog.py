"""Catalog of the four engines: their names and the defaults of their variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from job.text.messages import Message, message

EngineName = Literal["financial", "trading", "news", "qa"]
DataEngineName = Literal["financial", "trading", "news"]
Kind = Literal["equity", "topic", "person"]
"""The kind of a target."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The fixed properties of one engine."""

    title: Message
    label: Message
    """Its name within a sentence: the `label` engine."""
    timeout: float
    """Seconds for one try."""
    concurrency: int
    """Default of the variable: the maximum number of calls in flight."""
    concurrency_limit: int = 1024
    """The highest value of that variable."""
    batch_size: int = 1
    """Tickers per call; 1 if the engine takes no batches."""
    is_costly: bool = False
    """Whether each try may have cost money: the second that says it failed is final, and after two whose answers were
    lost or useless only another card that is done brings a third.
    """
    keeps_connections: bool = False
    """Whether a connection serves many calls. A data engine's connection serves one: a late second answer to that call
    would be read as the answer to the next call, and cards would be made without its data."""


ENGINES: Mapping[EngineName, EngineSpec] = {
    "financial": EngineSpec(
        message("Financial engine"), message("financial"), timeout=900, concurrency=4, batch_size=5
    ),
    "trading": EngineSpec(message("Trading engine"), message("trading"), timeout=900, concurrency=4, batch_size=5),
    "news": EngineSpec(message("News engine"), message("news"), timeout=300, concurrency=8),
    "qa": EngineSpec(
        message("QA engine"),
        message("QA"),
        timeout=300,
        concurrency=16,
        concurrency_limit=8192,
        is_costly=True,
        keeps_connections=True,
    ),
}
DATA_ENGINES: tuple[DataEngineName, ...] = ("financial", "trading", "news")
ALL_ENGINES: tuple[EngineName, ...] = tuple(ENGINES)
TITLES: Mapping[EngineName, Message] = {name: engine.title for name, engine in ENGINES.items()}
