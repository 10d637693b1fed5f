"""Values: the validated types of variables, without blanks around them, and of single values in config objects."""

import ipaddress
import math
import re
import ssl
import unicodedata
from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from job.config.days import is_schedule
from job.config.faults import UNSET_IT, WRONG_TYPE, invalid
from job.engines.calls import query
from job.engines.tls import tls_context
from job.storage.store import NAME_A_PLACE
from job.storage.uri import is_place, no_place
from job.text.messages import Message, message, template
from job.text.shown import is_control, quoted, without_credentials


def must_be_printable(value: object) -> object:
    """Refuses text with unprintable characters or invalid UTF-8: it would break log lines."""
    if isinstance(value, str) and not value.isprintable():
        raise invalid(message("holds unprintable characters"), UNSET_IT)
    return value


def _url(text: str, remedy: Message) -> SplitResult:
    """The parts of an https URL, or of an http URL to loopback. Its faults quote nothing: it may hold a secret."""
    what = message("is not an https URL with a valid host (http goes to loopback only)")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise invalid(what, remedy) from None
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(host))  # tokens are sent there
    if not is_safe or not _is_host(host, url.netloc) or port == 0 or re.search(r"[\s\\]", text):
        raise invalid(what, remedy)
    if url.username is not None:
        raise invalid(message("holds a user name or password"), message("remove them"))
    return url


ENGINE_URL_REMEDY = message("set it to the engine's https URL")


def _check_engine_url(text: str) -> str:
    url = _url(text, ENGINE_URL_REMEDY)
    # Dots would be resolved, and the plan would not show what is sent.
    if not text.isascii() or "?" in text or "#" in text or re.search(r"/\.{1,2}(/|\Z)", url.path):
        what = message("has a query, a fragment, dots for a path segment or non-ASCII characters")
        raise invalid(what, message("remove them"))
    return (url.scheme + text[len(url.scheme) :]).rstrip("/")  # the scheme in lower case, as a connection compares it


def _is_host(host: str, netloc: str) -> bool:
    """Whether it is an IP address or a DNS name; underscores are allowed, as they are common."""
    in_brackets = "[" in netloc
    if in_brackets and not re.fullmatch(r"\[[^]]*\](:[0-9]*)?", netloc):  # urlsplit leaves out what is beside them
        return False
    if in_brackets or re.fullmatch("[0-9.]+", host):
        try:
            ipaddress.IPv6Address(host) if in_brackets else ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    label = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
    return len(host) <= 253 and all(label.fullmatch(part) for part in host.removesuffix(".").split("."))


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
        raise invalid(message("has a brace that is not part of {date}, {ticker} or {card_type}"), remedy)
    return text


CardUrl = Annotated[str, AfterValidator(_check_card_url)]
"""https, or http to loopback; may hold the placeholders `{date}`, `{ticker}` and `{card_type}` after its host."""

HOOK_REMEDY = message("set it to the https URL of an incoming webhook")


def _check_hook_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    _url(text, HOOK_REMEDY)
    if not text.isascii() or "#" in text:
        raise invalid(message("has a fragment, or characters that no URL has"), HOOK_REMEDY)
    return secret


HookUrl = Annotated[SecretStr, AfterValidator(_check_hook_url)]
"""https, or http to loopback."""


NotifyPolicy = Literal["all", "failures"]

LogFormat = Literal["json", "text"]
"""How a run is reported while it is in progress: log lines for programs, or text for a person."""


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
    raise invalid(
        message("does not name {url}", url=quoted(url)),
        message(remedy, example=quoted(stated_for, 300)),
    )


def _check_place(text: str) -> str:
    if not is_place(text):
        raise invalid(no_place(text), NAME_A_PLACE)
    return text


PlaceUri = Annotated[str, AfterValidator(_check_place)]
"""`gs://BUCKET/PREFIX` or a directory. Any other URL may hold a secret, and is stored nowhere."""


def _check_authorities(text: str) -> str:
    remedy = message("set it to a file with certificates (PEM), or unset it")
    try:
        tls_context(text)
    except ssl.SSLError:
        raise invalid(message("{value} holds no certificates", value=quoted(text)), remedy) from None
    except OSError as error:
        what = message("{value} cannot be read ({error})", value=quoted(text), error=error.strerror or str(error))
        raise invalid(what, remedy) from None
    return text


Authorities = Annotated[str, AfterValidator(_check_authorities)]


def _check_schedule(text: str) -> str:
    if not is_schedule(text):
        remedy = template("set it to five fields such as {example}; a range must not run backwards")
        raise invalid(message("{value} is not valid", value=quoted(text)), message(remedy, example="30 6 * * 1-5"))
    return text


Schedule = Annotated[str, AfterValidator(_check_schedule)]
"""Cron's five fields, as Debian's cron reads them."""


def is_date(text: str) -> bool:
    """Whether it is a date, written YYYY-MM-DD, of a year that allows calculations without overflow."""
    if not re.fullmatch(r"[0-8][0-9]{3}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


Execution = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ServiceAccount = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


def _check_task_count(text: str) -> str:
    if text != "1":
        remedy = message("run the job with one task: the barrier holds only inside one process")
        raise invalid(message("{value} is not valid", value=quoted(text)), remedy)
    return text


TaskCount = Annotated[int, BeforeValidator(_check_task_count)]

ID_LIMIT = 64

PARAMETERS_LIMIT = 4096
"""Maximum bytes of an entry's parameters in the URL, so that no URL is longer than 8 KiB, which servers refuse."""

CHOICE_LIMIT = 1024
"""Maximum bytes of a backend or a model name in the URL."""


def _check_id(text: str) -> str:
    """Refuses an id that could change the path or the query of a request, or that looks like another id."""
    _check_text(text)
    visible = _INVISIBLE.sub("", text)
    if visible != text:
        twin = _with_twin(text, visible.strip())
        raise invalid(message("holds an invisible character"), message("write it again by hand"), twin)
    if text in {".", ".."} or any(char in "/\\" or is_control(char) for char in text):
        remedy = message("leave out slashes, backslashes and control characters; no . or ..")
        raise invalid(message("cannot be an id"), remedy)
    if text != text.strip():
        raise invalid(message("has spaces around it"), message("leave them out"))
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isascii():  # wide characters belong to its script then, but no space except the plain one
        plain = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    if plain != text:
        what = message("holds full-width characters, or others that only look like plain ones")
        raise invalid(what, message("write plain characters"), _with_twin(text, plain))
    return text


_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters that Unicode defines as invisible (Default_Ignorable_Code_Point), and annotation marks."""


def _with_twin(text: str, plain: str) -> str:
    """The text with invisible characters escaped, and the text in plain characters."""
    shown = _INVISIBLE.sub(lambda char: f"\\u{ord(char[0]):04x}", quoted(text, 40))
    return f"{shown} → {quoted(plain, 40)}"


def spelling(text: str) -> str:
    """Equal for ids that differ only in case or in the width of their characters: a person may confuse them."""
    return unicodedata.normalize("NFKC", text).casefold()


Id = Annotated[str, Field(max_length=ID_LIMIT), AfterValidator(_check_id)]


def _refuse_number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise invalid(WRONG_TYPE, message('write the whole ticker in quotes, such as "0700.HK"'))
    return value


def _check_ticker(text: str) -> str:
    if re.search("[,;，；、]", text):
        raise invalid(message("holds a comma or a semicolon"), message("write each ticker in quotes of its own"))
    return text


Ticker = Annotated[Id, BeforeValidator(_refuse_number), AfterValidator(_check_ticker)]


def _check_text(text: str) -> str:
    if not text.strip():
        raise invalid(message("is blank"), message("write a value or remove it"))
    return text


Text = Annotated[str, AfterValidator(_check_text)]


def _check_length(encoded: str, limit: int) -> None:
    if len(encoded) > limit:
        what = message("takes more than {limit} bytes of a URL", limit=limit)
        raise invalid(what, message("shorten it"))


def _check_choice(text: str) -> str:
    _check_length(quote(text, safe=""), CHOICE_LIMIT)
    return text


Choice = Annotated[Text, AfterValidator(_check_choice)]
"""The name of a backend or a model, which is sent in the URL."""


def _check_date(value: object) -> str:
    if not isinstance(value, str) or not is_date(value):
        raise invalid(message("is not valid"), message('write "YYYY-MM-DD"'))
    return value


Date = Annotated[str, BeforeValidator(_check_date)]


def _check_parameter(name: str) -> str:
    if name == "ticker":
        raise invalid(message("is set by the job"), message("remove it: the id of the entry is what is sent"))
    if name == "date_str":
        remedy = message("remove it: the date of the entry, or the day, is what is sent")
        raise invalid(message("is set by the job"), remedy)
    return _check_text(name)


Parameter = Annotated[str, AfterValidator(_check_parameter)]


def _check_scalar(value: object) -> object:
    """Accepts a string, a number or a boolean. Not a pydantic union, whose errors would name each of its members."""
    if not isinstance(value, str | int | float):  # a bool is an int
        raise invalid(WRONG_TYPE, message("write a string, a number or a boolean"))
    if isinstance(value, float) and math.isinf(value):
        raise invalid(message("is not valid"), message("correct it"))
    return value


Scalar = Annotated[Any, BeforeValidator(_check_scalar)]


def _check_parameters(parameters: dict[str, object]) -> dict[str, object]:
    _check_length(query(parameters.items()), PARAMETERS_LIMIT)
    return parameters


Parameters = Annotated[dict[Parameter, Scalar], AfterValidator(_check_parameters)]


def _refuse_name(value: object) -> object:
    if isinstance(value, str):
        raise invalid(WRONG_TYPE, message('write {"name": "…"}, as in other entries'))
    return value


NotName = BeforeValidator(_refuse_name)
"""Refuses a name in an array in which other entries are objects."""
