"""What the four engines answer, as their own code does; pure functions from a request to a reply."""

import json
import re
from collections.abc import Callable

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply

DEFAULT_LIST = ["AAPL", "GOOGL", "MSFT"]
"""What the financial engine refreshes if it is sent an empty list, which the job never wants."""

_NEWS = re.compile(r"/batch/(?:process_ticker|process_(?:topic|person)/dynamic)/[^/]+")
_CARD = re.compile(r"/card/[^/]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _json(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode())


_REFUSED = _json(422, {"detail": [{"msg": "Input should be valid", "type": "value_error"}]})


def _routed(seen: Seen, known: bool) -> Reply | None:
    """The answers that every engine gives alike: health, and what is not there."""
    if seen.path == "/health":
        return _json(200, {"status": "ok", "service": seen.service})
    return None if known and seen.method == "POST" else _json(404, {"detail": "Not Found"})


def _is_date(value: object) -> bool:
    return isinstance(value, str) and bool(_DATE.fullmatch(value))


def _ticker_list(seen: Seen) -> list[str] | None:
    """`None` if the body has no list of tickers."""
    given = seen.json.get("tickers") if isinstance(seen.json, dict) else None
    is_list = isinstance(given, list) and all(isinstance(ticker, str) for ticker in given)
    return (given or DEFAULT_LIST) if is_list else None


def financial(seen: Seen) -> Reply:
    """`POST /batch_refresh`: initiated, without a result for each ticker."""
    if reply := _routed(seen, seen.path == "/batch_refresh"):
        return reply
    if (tickers := _ticker_list(seen)) is None:
        return _REFUSED
    said = f"Batch processing initiated for {len(tickers)} tickers. Check the logs for progress."
    return _json(200, {"message": said})


def trading(seen: Seen) -> Reply:
    """`POST /trading_data/batch_refresh`: a result a ticker, under its name in upper case."""
    if reply := _routed(seen, seen.path == "/trading_data/batch_refresh"):
        return reply
    if (tickers := _ticker_list(seen)) is None:
        return _REFUSED
    results = {ticker.upper(): {"status": "success", "rows": 251} for ticker in tickers}
    return _json(200, {"message": f"Refreshed {len(results)} tickers.", "results": results})


def news(seen: Seen) -> Reply:
    """`POST /batch/process_…`: crawled and digested, on the date in the body or today."""
    if reply := _routed(seen, bool(_NEWS.fullmatch(seen.path))):
        return reply
    if not isinstance(seen.json, dict) or not _is_date(seen.json.get("date")):
        return _REFUSED
    return _json(200, {"status": "success", "target": seen.path.rpartition("/")[2], "articles_crawled": 3})


def qa(seen: Seen) -> Reply:
    """`POST /card/{card_type}?ticker=…`: a card."""
    if reply := _routed(seen, bool(_CARD.fullmatch(seen.path))):
        return reply
    query = dict(seen.query)
    if not query.get("ticker") or not _is_date(query.get("date_str")):
        return _REFUSED
    return _json(200, {"status": "success", "card_type": seen.card, "ticker": query["ticker"], "card_id": seen.number})


def violation(seen: Seen) -> str | None:
    """What is wrong with a request that the engine accepts but that nobody may ever send; None if nothing is."""
    if seen.service in {"financial", "trading"} and isinstance(seen.json, dict) and seen.json.get("tickers") == []:
        return f"an empty list of tickers at {seen.target}: the engine refreshes its own default list"
    if seen.service == "qa" and seen.body:
        return f"a body at {seen.target}: cards take query parameters only"
    names = [name for name, _ in seen.query]
    if len(names) != len(set(names)):
        return f"a query parameter twice at {seen.target}"
    return None


CONTRACTS: dict[str, Callable[[Seen], Reply]] = {"financial": financial, "trading": trading, "news": news, "qa": qa}
