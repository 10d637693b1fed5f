"""Calls: the requests for targets and cards, as in the engines' own code; and the catalog of the four engines."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple
from urllib.parse import quote, urlencode

from job.text.messages import Message, listed, message, plural

EngineName = Literal["financial", "trading", "news", "qa"]
Kind = Literal["equity", "topic", "person"]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    title: Message
    label: Message
    """Its name within a sentence: the `label` engine."""
    timeout: float
    concurrency: int
    """Default of the variable: the maximum number of calls in flight."""
    path: str = ""
    """Of all its calls, if it takes batches or no targets."""
    switch: str = ""
    """Its name in the keys of engine_control.json and of `run_engines`; empty for QA, which is never switched off."""
    is_on: bool = True
    """Whether it prepares data if engine_control.json does not say so."""
    kinds: Collection[Kind] = ()
    """The kinds of targets whose data it prepares without `run_engines`. With none, it is called once a day."""
    batch_size: int = 1
    is_costly: bool = False
    """Whether a failed try may have cost money, and then counts."""


ENGINES: Mapping[EngineName, EngineSpec] = {
    "financial": EngineSpec(
        message("Financial engine"),
        message("financial"),
        timeout=900,
        concurrency=4,
        path="/batch_refresh",
        switch="financials",
        kinds=["equity"],
        batch_size=5,
    ),
    "trading": EngineSpec(
        message("Trading engine"),
        message("trading"),
        timeout=900,
        concurrency=4,
        path="/trading_data/batch_refresh",
        switch="trading",
        kinds=["equity"],
        batch_size=5,
    ),
    "news": EngineSpec(
        message("News engine"),
        message("news"),
        timeout=300,
        concurrency=8,
        switch="news",
        kinds=["equity", "topic", "person"],
    ),
    "qa": EngineSpec(
        message("QA engine"),
        message("QA"),
        timeout=300,
        concurrency=16,
        is_costly=True,
    ),
}
ALL_ENGINES: tuple[EngineName, ...] = tuple(ENGINES)
DATA_ENGINES: tuple[EngineName, ...] = tuple(name for name in ENGINES if name != "qa")
TARGET_ENGINES: tuple[EngineName, ...] = tuple(name for name in DATA_ENGINES if ENGINES[name].kinds)

METHOD = "POST"

_NEWS_PATHS: dict[Kind, str] = {
    "equity": "/batch/process_ticker/",
    "topic": "/batch/process_topic/dynamic/",
    "person": "/batch/process_person/dynamic/",
}


class Item(NamedTuple):
    """The unit of all totals: the data that an engine prepares of a target, or a card of it."""

    engine: EngineName
    target: str
    card_type: str | None


def counted(engine: EngineName, count: int) -> Message:
    if engine == "qa":
        return plural("1 card", "{count} cards", count=count)
    return plural("1 target", "{count} targets", count=count)


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a day, without the engine's URL, the token and the headers that identify the run.

    `targets` are the ids that it is for, several only in a batch. `card_type` is set only for the QA engine.
    `path` is escaped and includes the query. `body` is `None` if the request has none.
    """

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    path: str
    body: bytes | None
    date: str = ""
    """The date that it is for; empty for an engine that takes none."""

    @property
    def items(self) -> list[Item]:
        return [Item(self.engine, target, self.card_type) for target in self.targets]

    @property
    def fingerprint(self) -> tuple[bytes, ...]:
        """Identifies this request among all requests of a day."""
        return (METHOD.encode(), self.engine.encode(), self.path.encode(), self.body or b"")

    @property
    def request(self) -> str:
        """A digest of path and body, in 16 hexadecimal digits. Empty for a batch, which its tickers define."""
        if self.engine in BATCHES:
            return ""
        return hashlib.sha256(b"\0".join((self.path.encode(), self.body or b""))).hexdigest()[:16]

    @property
    def label(self) -> Message:
        """The call for people: `trading AAPL, MSFT` or `qa AAPL news_card`."""
        return label_of(self.engine, self.targets, self.card_type)


def label_of(engine: EngineName, targets: Sequence[str], card_type: str | None) -> Message:
    if card_type is None:
        return Message("{engine} {targets}", {"engine": engine, "targets": listed(targets)})
    values = {"engine": engine, "targets": listed(targets), "card_type": card_type}
    return Message("{engine} {targets} {card_type}", values)


def _batch(engine: EngineName, tickers: Sequence[str]) -> Call:
    if not tickers:  # the financial engine would refresh its own default list
        raise ValueError("a batch needs a ticker")
    return Call(engine, tuple(tickers), None, ENGINES[engine].path, _body({"tickers": list(tickers)}))


financial = partial(_batch, "financial")
trading = partial(_batch, "trading")
BATCHES: dict[EngineName, Callable[[Sequence[str]], Call]] = {"financial": financial, "trading": trading}
"""The engines whose calls are for several tickers at a time."""


def news(target: str, kind: Kind, key: str, date: str) -> Call:
    """The call that crawls and digests one target; `key` is its name in the engine."""
    return Call("news", (target,), None, _NEWS_PATHS[kind] + _segment(key), _body({"date": date}), date)


def for_day(engine: EngineName, date: str) -> Call:
    """The only call of a day, of an engine that takes no targets: what it prepares has the engine's name."""
    return Call(engine, (engine,), None, ENGINES[engine].path, _body({"date": date}), date)


def card(target: str, card_type: str, date: str, parameters: Iterable[tuple[str, str]]) -> Call:
    sent = [("ticker", target), ("date_str", date), *parameters]
    query = urlencode(sent, safe="", quote_via=quote)
    return Call("qa", (target,), card_type, f"/card/{_segment(card_type)}?{query}", None, date)


def _segment(text: str) -> str:
    return quote(text, safe="")


def _body(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
