"""Values: the validated types of variables, without blanks around them, and of single values in config objects."""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from math import inf
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, TypeAdapter
from pydantic_core import PydanticKnownError

from job.config.days import is_schedule
from job.config.faults import UNSET_IT, WRONG_TYPE, InvalidError
from job.engines.tls import tls_context
from job.storage.store import NAME_A_PLACE
from job.storage.uri import is_place, no_place
from job.text.messages import Message, message, template
from job.text.shown import is_control, quoted, without_credentials


def must_be_printable(value: object) -> object:
    """Refuses text with unprintable characters or invalid UTF-8: it would break log lines."""
    if isinstance(value, str) and not value.isprintable():
        raise InvalidError(message("holds unprintable characters"), UNSET_IT)
    return value


def only(is_valid: Callable[[str], object], what: Message, remedy: Message) -> AfterValidator:
    """Refuses any other text, which `what` may quote as its `{value}`."""

    def check(text: str) -> str:
        if is_valid(text):
            return text
        shown = {"value": quoted(text)} if "{value}" in what.id else {}  # else equal faults could not be combined
        raise InvalidError(Message(what.id, {**what.values, **shown}), remedy)

    return AfterValidator(check)


_NOT_VALID = message("{value} is not valid")


def _url(text: str, remedy: Message) -> SplitResult:
    """The parts of an https URL, or of an http URL to loopback. Its faults quote nothing: it may hold a secret."""
    what = message("is not an https URL with a valid host (http goes to loopback only)")
    try:
        url, host = urlsplit(text), (_HTTP_URL.validate_python(text).host or "").strip("[]")
    except ValueError:
        raise InvalidError(what, remedy) from None
    is_safe = url.scheme == "https" or is_loopback(host)  # tokens are sent there
    is_host = url.hostname == host and re.fullmatch("[a-z0-9._:-]+", host)  # some take 127.1 for an address
    if not is_safe or not is_host or re.search(r"[\s\\]", text):
        raise InvalidError(what, remedy)
    if url.username is not None:
        raise InvalidError(message("holds a user name or password"), message("remove them"))
    return url


_HTTP_URL = TypeAdapter(HttpUrl)

ENGINE_URL_REMEDY = message("set it to the engine's https URL")


def _check_engine_url(text: str) -> str:
    url = _url(text, ENGINE_URL_REMEDY)
    # Dots would be resolved, and the plan would not show what is sent.
    if not text.isascii() or "?" in text or "#" in text or re.search(r"/\.{1,2}(/|\Z)", url.path):
        what = message("has a query, a fragment, dots for a path segment or non-ASCII characters")
        raise InvalidError(what, message("remove them"))
    return (url.scheme + text[len(url.scheme) :]).rstrip("/")  # the scheme in lower case, as a connection compares it


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


EngineUrl = Annotated[str, AfterValidator(_check_engine_url)]
"""https, or http to loopback; without user, query, fragment and trailing slash."""

CARD_URL_PLACES = re.compile(r"\{(date|ticker|card_type)\}")


def _check_card_url(text: str) -> str:
    example = "https://cards.example.com/{date}/{ticker}/{card_type}.png"
    remedy = message("set it to an https URL such as {example}", example=example)
    _url(text, remedy)
    if re.search("[{}]", CARD_URL_PLACES.sub("", text)):
        # These placeholders have no value here, so they are shown as they are.
        raise InvalidError(message("has a brace that is not part of {date}, {ticker} or {card_type}"), remedy)
    return text


CardUrl = Annotated[str, AfterValidator(_check_card_url)]
"""https, or http to loopback; may hold the placeholders `{date}`, `{ticker}` and `{card_type}` after its host."""

HOOK_REMEDY = message("set it to the https URL of an incoming webhook")


def _check_hook_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    _url(text, HOOK_REMEDY)
    if not text.isascii() or "#" in text:
        raise InvalidError(message("has a fragment, or characters that no URL has"), HOOK_REMEDY)
    return secret


HookUrl = Annotated[SecretStr, AfterValidator(_check_hook_url)]
"""https, or http to loopback."""


Patience = Annotated[float, AfterValidator(lambda seconds: max(1.0, seconds))]


def origin_of(url: str) -> str:
    """The origin of an engine's URL as browsers and Cloud Run write it: in lower case, without the default port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, default} else "")


def parse_audience(text: str, url: str) -> str:
    """The audience in `AUDIENCE` or `AUDIENCE URL`.

    Alone it has to be of the URL's origin. Otherwise, whoever changes only the URL would be sent tokens that are valid
    for the engine.
    """
    audience, _, stated = text.partition(" ")
    origin = origin_of(url)
    if stated.strip().rstrip("/") == url or (not stated and f"{audience}/".startswith(f"{origin}/")):
        return audience
    stated_for = f"{without_credentials(audience)} {url}"
    remedy = template("unset it, or write the audience, a space, and that URL: {example}")
    raise InvalidError(
        message("does not name {url}", url=quoted(url)),
        message(remedy, example=quoted(stated_for, 300)),
    )


def _check_place(text: str) -> str:
    if not is_place(text):
        raise InvalidError(no_place(text), NAME_A_PLACE)
    return text


PlaceUri = Annotated[str, AfterValidator(_check_place)]
"""`gs://BUCKET/PREFIX` or a directory. Any other URL may hold a secret, and is stored nowhere."""


def _check_authorities(text: str) -> str:
    remedy = message("set it to a file with certificates (PEM), or unset it")
    try:
        tls_context(text)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or str(error)  # a reason of TLS is a name
        what = message("{value} cannot be read ({error})", value=quoted(text), error=why)
        raise InvalidError(what, remedy) from None
    return text


Authorities = Annotated[str, AfterValidator(_check_authorities)]


_FIVE_FIELDS = template("set it to five fields such as {example}; the date must exist, and no range may run backwards")
Schedule = Annotated[str, only(is_schedule, _NOT_VALID, message(_FIVE_FIELDS, example="30 6 * * 1-5"))]
"""Cron's five fields, as Debian's cron reads them."""


def is_date(text: str) -> bool:
    """Whether it is a date, written YYYY-MM-DD, of a year that allows calculations without overflow."""
    with suppress(ValueError):
        return bool(re.fullmatch(r"[0-8][0-9]{3}-[0-9]{2}-[0-9]{2}", text) and date.fromisoformat(text))
    return False


ONE_TASK = message("run the job with one task: the barrier holds only inside one process")
TaskCount = Annotated[str, only(lambda text: text == "1", _NOT_VALID, ONE_TASK)]

ID_LIMIT = 64


def _check_id(text: str) -> str:
    """Refuses an id that could change the path or the query of a request, or that looks like another id."""
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf").strip()
    plain = unicodedata.normalize("NFKC", visible)
    if not plain.isascii():  # wide characters belong to its script then, but no space except the plain one
        plain = "".join(" " if unicodedata.category(char) == "Zs" else char for char in visible)
    if plain != text:
        what = message("holds invisible or full-width characters, or spaces around it")
        raise InvalidError(what, message("write plain characters"), f"{quoted(text, 40)} → {quoted(plain, 40)}")
    if text in {".", ".."} or any(char in "/\\" or is_control(char) for char in text):
        remedy = message("leave out slashes, backslashes and control characters; no . or ..")
        raise InvalidError(message("cannot be an id"), remedy)
    return text


_NOT_BLANK = only(str.strip, message("is blank"), message("write a value or remove it"))
Id = Annotated[str, Field(max_length=ID_LIMIT), _NOT_BLANK, AfterValidator(_check_id)]
_COMMA = re.compile("[,;，；、]")
_ONE_EACH = message("write each ticker in quotes of its own")
Ticker = Annotated[Id, only(lambda text: not _COMMA.search(text), message("holds a comma or a semicolon"), _ONE_EACH)]
TEXT_LIMIT = 4096
"""Characters of a text that the URL of a card has. Many servers take 8 KiB at most."""
Text = Annotated[str, Field(max_length=TEXT_LIMIT), _NOT_BLANK]
Date = Annotated[str, only(is_date, message("is not valid"), message('write "YYYY-MM-DD"'))]
_OWN = {"ticker", "date_str"}
Parameter = Annotated[Text, only(lambda name: name not in _OWN, message("is set by the job"), message("remove it"))]


def _check_scalar(value: object) -> object:
    """Accepts a string, a number or a boolean. Not a pydantic union, whose errors would name each of its members."""
    if not isinstance(value, str | int | float) or value in {inf, -inf}:  # a bool is an int
        raise InvalidError(WRONG_TYPE, message("write a string, a number or a boolean"))
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        raise PydanticKnownError("string_too_long", {"max_length": TEXT_LIMIT})
    return value


Scalar = Annotated[Any, BeforeValidator(_check_scalar)]
