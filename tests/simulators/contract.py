"""What the four engines answer, as their own code does; pure functions from a request to a reply."""

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply

DEFAULT_LIST = ["AAPL", "GOOGL", "MSFT"]
"""What the financial engine refreshes if it is sent an empty list, which the job never wants."""

_NEWS = re.compile(r"/batch/(?:process_ticker|process_(?:topic|person)/dynamic)/[^/]+")
_CARD = re.compile(r"/card/([^/]+)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _json(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode())


def _unprocessable(where: str, problem: str) -> Reply:
    return _json(422, {"detail": [{"loc": where.split("."), "msg": problem, "type": "value_error"}]})


def _routed(seen: Seen, known: bool) -> Reply | None:
    """The answers that every engine gives alike: health, unknown paths, wrong methods."""
    if seen.path == "/health":
        healthy = {"status": "ok", "service": seen.service}
        return _json(200, healthy) if seen.method == "GET" else _json(405, {"detail": "Method Not Allowed"})
    if not known:
        return _json(404, {"detail": "Not Found"})
    return None if seen.method == "POST" else _json(405, {"detail": "Method Not Allowed"})


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _ticker_list(seen: Seen) -> list[str] | Reply:
    body = seen.json
    if not isinstance(body, dict) or not isinstance(body.get("tickers"), list):
        return _unprocessable("body.tickers", "Input should be a valid list")
    if not all(isinstance(ticker, str) for ticker in body["tickers"]):
        return _unprocessable("body.tickers", "Input should be a valid string")
    return [*body["tickers"]]


def financial(seen: Seen) -> Reply:
    """`POST /batch_refresh`: initiated, without a result for each ticker."""
    if reply := _routed(seen, seen.path == "/batch_refresh"):
        return reply
    tickers = _ticker_list(seen)
    if isinstance(tickers, Reply):
        return tickers
    count = len(tickers or DEFAULT_LIST)
    return _json(200, {"message": f"Batch processing initiated for {count} tickers. Check the logs for progress."})


def trading(seen: Seen) -> Reply:
    """`POST /trading_data/batch_refresh`: a result a ticker, under its name in upper case."""
    if reply := _routed(seen, seen.path == "/trading_data/batch_refresh"):
        return reply
    tickers = _ticker_list(seen)
    if isinstance(tickers, Reply):
        return tickers
    results = {ticker.upper(): {"status": "success", "rows": 251} for ticker in tickers or DEFAULT_LIST}
    return _json(200, {"message": f"Refreshed {len(results)} tickers.", "results": results})


def news(seen: Seen) -> Reply:
    """`POST /batch/process_…`: crawled and digested, on the date in the body or today."""
    if reply := _routed(seen, bool(_NEWS.fullmatch(seen.path))):
        return reply
    body: Any = seen.json
    if not isinstance(body, dict) or "date" not in body:
        return _unprocessable("body.date", "Field required")
    if body["date"] is not None and not _is_date(body["date"]):
        return _json(400, {"detail": "Invalid date format. Use YYYY-MM-DD."})
    return _json(200, {"status": "success", "target": seen.path.rpartition("/")[2], "articles_crawled": 3})


def qa(seen: Seen) -> Reply:
    """`POST /card/{card_type}?ticker=…`: a card."""
    match = _CARD.fullmatch(seen.path)
    if reply := _routed(seen, bool(match)):
        return reply
    query = dict(seen.query)
    if not query.get("ticker"):
        return _unprocessable("query.ticker", "Field required")
    if "date_str" in query and not _is_date(query["date_str"]):
        return _json(400, {"detail": "Invalid date format. Use YYYY-MM-DD."})
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
