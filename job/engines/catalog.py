"""engines.catalog."""

from typing import Literal

EngineName = Literal["financial", "trading", "news", "qa"]


DataEngineName = Literal["financial", "trading", "news"]


Kind = Literal["equity", "topic", "person"]


DATA_ENGINES: tuple[DataEngineName, ...] = ("financial", "trading", "news")


ALL_ENGINES: tuple[EngineName, ...] = (*DATA_ENGINES, "qa")


TIMEOUT_DEFAULT: dict[EngineName, float] = {"financial": 900, "trading": 900, "news": 300, "qa": 300}


CONCURRENCY_DEFAULT: dict[EngineName, int] = {"financial": 4, "trading": 4, "news": 8, "qa": 16}


ATTEMPTS_DEFAULT = 4


BATCH_SIZE_DEFAULT = 5


TITLES = {"financial": "Financial engine", "trading": "Trading engine", "news": "News engine", "qa": "QA engine"}
