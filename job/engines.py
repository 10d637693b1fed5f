"""The four engines as data: how targets become requests, with the paths and parameters of the engines' own code."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

EngineName = Literal["financial", "trading", "news", "qa"]
DataEngineName = Literal["financial", "trading", "news"]
Kind = Literal["equity", "topic", "person"]

METHOD = "POST"
"""Of every call."""

NAMED = 10
"""Targets of a batch that are told by name."""

DATA_ENGINES: tuple[DataEngineName, ...] = ("financial", "trading", "news")
ALL_ENGINES: tuple[EngineName, ...] = (*DATA_ENGINES, "qa")

_NEWS_PATHS: dict[Kind, str] = {
    "equity": "/batch/process_ticker/",
    "topic": "/batch/process_topic/dynamic/",
    "person": "/batch/process_person/dynamic/",
}


Item = tuple[str, str | None]
"""What is accounted for: a target, and for the QA engine the card type."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the run will make, whole but for the engine's URL, the token and what names the run.

    `targets` are the ids that it is for: several only in a batch; `card_type` is set for the QA engine alone.
    `path` is escaped and has the query; `body` is what is sent, `None` where nothing is.
    """

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    path: str
    body: bytes | None

    @property
    def items(self) -> list[Item]:
        """What the call accounts for."""
        return [(target, self.card_type) for target in self.targets]

    @property
    def label(self) -> str:
        """The call in a line that people read: `trading AAPL, MSFT` or `qa AAPL news_card`."""
        return f"{self.engine} {named(self.targets)}{f' {self.card_type}' if self.card_type else ''}"


def named(targets: Sequence[str]) -> str:
    """Some targets in a line, the first ten of them by name: a batch can have a thousand, a log entry 256 KiB."""
    more = len(targets) - NAMED
    return ", ".join(targets[:NAMED]) + (f" and {more} more" if more > 0 else "")


def financial(tickers: Sequence[str]) -> Call:
    """Refreshes the financial statements of some tickers."""
    return Call("financial", tuple(tickers), None, "/batch_refresh", _tickers(tickers))


def trading(tickers: Sequence[str]) -> Call:
    """Refreshes price history and features of some tickers."""
    return Call("trading", tuple(tickers), None, "/trading_data/batch_refresh", _tickers(tickers))


BATCHES: dict[EngineName, Callable[[Sequence[str]], Call]] = {"financial": financial, "trading": trading}
"""The engines whose calls are for several tickers at a time."""


def news(target: str, kind: Kind, key: str, date: str | None) -> Call:
    """Crawls and digests one target, known to the engine as `key`; without a date, the engine's own today."""
    return Call("news", (target,), None, _NEWS_PATHS[kind] + _segment(key), _body({"date": date}))


def card(target: str, card_type: str, date: str | None, parameters: Iterable[tuple[str, str]]) -> Call:
    """Generates one card; without a date, for the engine's own today."""
    query = [("ticker", target), *([("date_str", date)] if date else []), *parameters]
    encoded = urlencode(query, safe="", quote_via=quote)
    return Call("qa", (target,), card_type, f"/card/{_segment(card_type)}?{encoded}", None)


def _segment(text: str) -> str:
    return quote(text, safe="")


def _tickers(tickers: Sequence[str]) -> bytes:
    if not tickers:  # the financial engine would refresh its own default list
        raise ValueError("a batch needs a ticker")
    return _body({"tickers": list(tickers)})


def _body(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
