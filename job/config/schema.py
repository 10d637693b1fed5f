"""Schema of the config objects, each on its own. Their forms are those of the engines' own system."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, TypeAdapter

from job.config.validators import Choice, Date, Id, NotName, Parameters, Text, Ticker
from job.engines.catalog import Kind


class StrictModel(BaseModel):
    """An object that may have no other keys than these."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CardTypeEntry(StrictModel):
    """An entry of the long form of card_types.json."""

    name: Id
    enabled: bool = True


class RunEngines(StrictModel):
    """`run_engines` of one target, which overrides engine_control.json."""

    financials: bool | None = None
    trading: bool | None = None
    news: bool | None = None


class TargetEntry(StrictModel):
    """An entry of the full form of card_targets.json."""

    id: Id
    card_types: list[Id] | None = None
    target_type: Kind | None = None
    category: str | None = None
    date: Date | None = None
    topic_key: Id | None = None
    extra_params: Parameters | None = None
    run_engines: RunEngines | None = None


class EngineControl(StrictModel):
    """engine_control.json: which data engines run."""

    run_financials_engine: bool = True
    run_trading_engine: bool = True
    run_news_engine: bool = True


class LlmChoice(StrictModel):
    """Which LLM makes a card."""

    backend: Choice | None = None
    model_name: Choice | None = None


class LlmConfig(StrictModel):
    """llm_config.json: the default LLM, and in `tasks` the LLM of single card types."""

    default: LlmChoice = LlmChoice()
    tasks: dict[Text, LlmChoice] = {}


_STRICT = ConfigDict(strict=True)
TICKER = TypeAdapter[str](Ticker, config=_STRICT)
CARD_TYPE_NAME = TypeAdapter[str](Id, config=_STRICT)
CARD_TYPE = TypeAdapter[CardTypeEntry](Annotated[CardTypeEntry, NotName])
SIMPLE_TARGETS = TypeAdapter(dict[Id, list[Id]], config=_STRICT)
FULL_TARGET = TypeAdapter(TargetEntry)
ENGINE_CONTROL_MODEL = TypeAdapter(EngineControl)
LLM_CONFIG_MODEL = TypeAdapter(LlmConfig)
