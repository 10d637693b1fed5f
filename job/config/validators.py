"""Validators: the validated types of single values in config objects."""

import math
import re
import unicodedata
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator

from job.config.faults import WRONG_TYPE, invalid
from job.config.values import is_date
from job.engines.calls import query
from job.text.display import is_control, quoted
from job.text.messages import message

ID_LIMIT = 64
"""Maximum number of characters of an id."""

PARAMETERS_LIMIT = 4096
"""Maximum bytes of an entry's parameters in the URL. With them and the next limit, no URL is longer than 8 KiB: servers
refuse longer ones."""

CHOICE_LIMIT = 1024
"""Maximum bytes of a backend or a model name in the URL."""


def _check_id(text: str) -> str:
    """Refuses an id that could change the path or the query of a request, or that looks like another id."""
    if len(text) > ID_LIMIT:
        raise invalid(message("is longer than {limit} characters", limit=ID_LIMIT), message("shorten it"))
    if not text.strip():
        raise invalid(message("is blank"), message("write an id"))
    visible = _INVISIBLE.sub("", text)
    if visible != text:
        twin = _with_twin(text, visible.strip())
        raise invalid(message("holds an invisible character"), message("write it again by hand"), twin)
    if text in {".", ".."} or any(char in "/\\" or is_control(char) for char in text):
        remedy = message("leave out slashes, backslashes and control characters; no . or ..")
        raise invalid(message("cannot be an id"), remedy)
    if text != text.strip():
        raise invalid(message("has spaces around it"), message("remove them"))
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isascii():  # wide characters belong to its script then, but no space except the plain one
        plain = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    if plain != text:
        what = message("holds full-width characters, or others that only look like plain ones")
        raise invalid(what, message("write plain ones"), _with_twin(text, plain))
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


Id = Annotated[str, AfterValidator(_check_id)]
"""The id of a target, a card type or a topic."""


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
"""The name of a query parameter that an entry adds to its cards."""


def _check_scalar(value: object) -> object:
    """Accepts a string, a number or a boolean. Not a pydantic union, whose errors would name each of its members."""
    if not isinstance(value, str | int | float):  # a bool is an int
        raise invalid(WRONG_TYPE, message("write a string, a number or a boolean"))
    if isinstance(value, float) and math.isinf(value):
        raise invalid(message("is not valid"), message("correct it"))
    return value


Scalar = Annotated[Any, BeforeValidator(_check_scalar)]
"""A query parameter's value."""


def _check_parameters(parameters: dict[str, object]) -> dict[str, object]:
    _check_length(query(parameters.items()), PARAMETERS_LIMIT)
    return parameters


Parameters = Annotated[dict[Parameter, Scalar], AfterValidator(_check_parameters)]
"""The query parameters that an entry adds to its cards."""


def _refuse_name(value: object) -> object:
    if isinstance(value, str):
        raise invalid(WRONG_TYPE, message('write {"name": "…"}, as in other entries'))
    return value


NotName = BeforeValidator(_refuse_name)
"""Refuses a name in an array in which other entries are objects."""
