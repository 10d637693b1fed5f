"""What the config objects look like, each by itself, in the forms of the system that the engines serve."""

import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from job.dates import is_date
from job.engines import Kind
from job.faults import Fault, quoted, within

ID_LIMIT = 64
_RESERVED = {"ticker": "the id of the entry", "date_str": "the date of the entry, or RUN_DATE,"}


def unfit(what: str, remedy: str) -> PydanticCustomError:
    """An error in our own words, for the place that pydantic knows. Braces would be taken for a template's."""
    return PydanticCustomError("unfit", "{what}", {"what": what, "remedy": remedy})


def _check_whole(text: str) -> None:
    """JSON can escape one half of a surrogate pair, which no request can carry."""
    if any(unicodedata.category(char) == "Cs" for char in text):
        raise unfit(f"{quoted(text)} holds half a character", "write whole characters")


def _check_id(text: str) -> str:
    """An id becomes a path segment or a parameter: what could be taken for more than that is refused."""
    _check_whole(text)
    if not text.strip():
        raise unfit("is blank", "write an id")
    if text in {".", ".."} or any(char in "/\\" or unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise unfit(
            f"{quoted(text)} cannot be an id", "leave out slashes, backslashes and control characters; no . or .."
        )
    if text != text.strip():
        raise unfit(f"{quoted(text)} has spaces around it", "remove them")
    if len(text) > ID_LIMIT:
        raise unfit(f"{quoted(text)} is longer than {ID_LIMIT} characters", "shorten it")
    return text


def _check_date(text: str) -> str:
    if not is_date(text):
        raise unfit(f"{quoted(text)} is not a date", "write YYYY-MM-DD")
    return text


def _check_parameter(name: str) -> str:
    if name in _RESERVED:
        raise unfit(f"{quoted(name)} is set by the job", f"remove it: {_RESERVED[name]} is what is sent")
    return _check_text(name)


def _check_text(text: str) -> str:
    _check_whole(text)
    if not text.strip():
        raise unfit("is blank", "write a value or remove it")
    return text


def _check_scalar(value: object) -> object:
    """Checked by hand, as a union's errors would name each of its members."""
    if not isinstance(value, str | int | float):  # a bool is an int
        raise unfit("is not a string, a number or a boolean", "write one of these")
    if isinstance(value, str):
        _check_whole(value)
    return value


Id = Annotated[str, AfterValidator(_check_id)]
Date = Annotated[str, AfterValidator(_check_date)]
Text = Annotated[str, AfterValidator(_check_text)]
Parameter = Annotated[str, AfterValidator(_check_parameter)]
Scalar = Annotated[Any, BeforeValidator(_check_scalar)]


class Shape(BaseModel):
    """An object of exactly these keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Switches(Shape):
    """engine_control.json: which data engines run."""

    run_financials_engine: bool = True
    run_trading_engine: bool = True
    run_news_engine: bool = True


class TargetSwitches(Shape):
    """run_engines of one target: what it says overrides engine_control.json."""

    financials: bool | None = None
    trading: bool | None = None
    news: bool | None = None


class CardType(Shape):
    """An entry of the longer form of card_types.json."""

    name: Id
    enabled: bool = True


class Model(Shape):
    """Which LLM makes a card."""

    backend: Text | None = None
    model_name: Text | None = None


class Models(Shape):
    """llm_config.json."""

    default: Model = Model()
    tasks: dict[Text, Model] = {}


class Entry(Shape):
    """An entry of the full form of card_targets.json."""

    id: Id
    card_types: list[Id] | None = None
    target_type: Kind | None = None
    category: str | None = None
    date: Date | None = None
    topic_key: Id | None = None
    extra_params: dict[Parameter, Scalar] | None = None
    run_engines: TargetSwitches | None = None


IDS = TypeAdapter(list[Id], config=ConfigDict(strict=True))
CARD_TYPES = TypeAdapter(list[CardType], config=ConfigDict(strict=True))
SIMPLE_TARGETS = TypeAdapter(dict[Id, list[Id]], config=ConfigDict(strict=True))
FULL_TARGETS = TypeAdapter(list[Entry], config=ConfigDict(strict=True))
SWITCHES = TypeAdapter(Switches)
MODELS = TypeAdapter(Models)


_WORDS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "unfit": lambda ctx: (ctx["what"], ctx["remedy"]),
    "missing": lambda _: ("is missing", "add it"),
    "extra_forbidden": lambda _: ("is not a known key", "correct its name or remove it"),
    "string_unicode": lambda _: ("holds half a character", "write whole characters"),
    "string_type": lambda _: ("is not a string", "write a string"),
    "bool_type": lambda _: ("is not a boolean", "write true or false"),
    "list_type": lambda _: ("is not an array", "write an array"),
    "dict_type": lambda _: ("is not an object", "write an object"),
    "model_type": lambda _: ("is not an object", "write an object"),
    "literal_error": lambda ctx: (f"is not one of {ctx['expected']}", "write one of these"),
}


def faults_of(document: str, error: ValidationError) -> list[Fault]:
    """Pydantic's errors in this project's words."""
    return [_fault(document, detail) for detail in error.errors(include_url=False)]


def _fault(document: str, detail: ErrorDetails) -> Fault:
    # pydantic marks an object's key by a step of its own
    path = [step for step in detail["loc"] if step != "[key]"]
    words = _WORDS.get(detail["type"])
    what, remedy = words(detail.get("ctx", {})) if words else (detail["msg"], "correct it")
    return Fault(within(document, path), what, remedy)
