"""A day as the engines write it: YYYY-MM-DD."""

import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from job.config.faults import invalid
from job.text import quoted

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


_SERVICE_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\Z")


class UnfitError(ValueError):
    """What is wrong with a value, and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise UnfitError(f"{quoted(text)} is not a whole number from {least} to {most}", "correct it or unset it")
        return int(text)

    return parse


def seconds(least: int, most: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        # float() alone takes 1_0 and the digits of every script as well
        seconds = float(text) if re.fullmatch(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?", text) else math.nan
        if not least <= seconds <= most:
            what = f"{quoted(text)} is not a number of seconds from {least} to {most}"
            raise UnfitError(what, "correct it or unset it")
        return seconds

    return parse


def place_of_runs(text: str) -> str:
    if "://" in text and not re.match(r"gs://[^/]", text):
        raise UnfitError(f"{quoted(text)} is no place to write to", "set it to gs://BUCKET/PREFIX or to a directory")
    return text


def engine_url(text: str) -> str:
    remedy = "set it to the engine's https URL"
    if re.match(r"[^/?#]*//[^/?#]*@", text):  # first of all, as the other faults quote the text
        raise UnfitError("holds a user name or password", f"{remedy} without them: the token is enough")
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise UnfitError(f"{quoted(text)} is not a URL", remedy) from None
    if url.scheme not in {"https", "http"} or not host or not text.isascii() or re.search(r"[\s\\]", text):
        raise UnfitError(f"{quoted(text)} is not an https URL", remedy)
    if not _is_host(host) or url.port == 0:
        raise UnfitError(f"{quoted(text)} names no host that can be", remedy)
    if url.query or url.fragment or "?" in text or "#" in text:
        raise UnfitError(f"{quoted(text)} has a query or a fragment", remedy)
    if re.search(r"/\.{1,2}(/|\Z)", url.path):  # they would be resolved, and the plan would not show what is sent
        raise UnfitError(f"{quoted(text)} has dots for a path segment", remedy)
    if url.scheme == "http" and not _is_loopback(host):
        raise UnfitError(f"{quoted(text)} would send tokens in the clear", f"{remedy}; http goes to loopback only")
    return (url.scheme + text[len(url.scheme) :]).rstrip("/")  # in lower case, as a connection compares it


def _is_host(host: str) -> bool:
    """Whether it is an address or a name as DNS has them; an underscore is no rarity there."""
    if len(host) > 253:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return all(_LABEL.match(label) for label in host.removesuffix(".").split("."))
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def origin_of(url: SplitResult) -> str:
    """As browsers and Cloud Run write it: in lower case, without the port that goes without saying."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    standard = {"https": 443, "http": 80}[url.scheme]
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in {None, standard} else "")


def time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):  # what zoneinfo raises depends on how the name is wrong
        raise UnfitError(f"{quoted(text)} is not a time zone", "set it to an IANA name such as Asia/Shanghai") from None


def run_date(text: str, today: date) -> str:
    if text == "today":
        return today.isoformat()
    if not is_date(text):
        raise UnfitError(f"{quoted(text)} is not a date", "write YYYY-MM-DD, or today")
    return text


def is_run_id(text: str) -> bool:
    """Whether it can name a run: it is a part of names in storage."""
    return _RUN_ID.match(text) is not None


def run_id(text: str) -> str:
    if not is_run_id(text):
        raise UnfitError(
            f"{quoted(text)} is not a run id", "use up to 128 letters, digits, dots, dashes and underscores"
        )
    return text


def service_account(text: str) -> str:
    if not _SERVICE_ACCOUNT.match(text):
        raise UnfitError(f"{quoted(text)} is not a service account", "set it to the account's e-mail address")
    return text


def one_task(text: str) -> None:
    if text != "1":
        raise UnfitError(f"is {quoted(text)}", "run the job with one task: the barrier holds only inside one process")


def is_date(text: str) -> bool:
    """Whether it is a day of the calendar in exactly that form (`date.fromisoformat` alone takes others as well)."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


ID_LIMIT = 64


_RESERVED = {"ticker": "the id of the entry", "date_str": "the date of the entry, or RUN_DATE,"}


def _check_whole(text: str) -> None:
    """JSON can escape one half of a surrogate pair, which no request can carry."""
    if any(unicodedata.category(char) == "Cs" for char in text):
        raise invalid(f"{quoted(text)} holds half a character", "write whole characters")


def _check_id(text: str) -> str:
    """An id becomes a path segment or a parameter: what could be taken for more than that is refused."""
    _check_whole(text)
    if not text.strip():
        raise invalid("is blank", "write an id")
    if text in {".", ".."} or any(char in "/\\" or unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise invalid(
            f"{quoted(text)} cannot be an id", "leave out slashes, backslashes and control characters; no . or .."
        )
    if text != text.strip():
        raise invalid(f"{quoted(text)} has spaces around it", "remove them")
    if len(text) > ID_LIMIT:
        raise invalid(f"{quoted(text)} is longer than {ID_LIMIT} characters", "shorten it")
    return text


def _check_date(text: str) -> str:
    if not is_date(text):
        raise invalid(f"{quoted(text)} is not a date", "write YYYY-MM-DD")
    return text


def _check_parameter(name: str) -> str:
    if name in _RESERVED:
        raise invalid(f"{quoted(name)} is set by the job", f"remove it: {_RESERVED[name]} is what is sent")
    return _check_text(name)


def _check_text(text: str) -> str:
    _check_whole(text)
    if not text.strip():
        raise invalid("is blank", "write a value or remove it")
    return text


def _check_scalar(value: object) -> object:
    """Checked by hand, as a union's errors would name each of its members."""
    if not isinstance(value, str | int | float):  # a bool is an int
        raise invalid("is not a string, a number or a boolean", "write one of these")
    if isinstance(value, str):
        _check_whole(value)
    return value


Id = Annotated[str, AfterValidator(_check_id)]


Date = Annotated[str, AfterValidator(_check_date)]


Text = Annotated[str, AfterValidator(_check_text)]


Parameter = Annotated[str, AfterValidator(_check_parameter)]


Scalar = Annotated[Any, BeforeValidator(_check_scalar)]
