"""Days that earlier images have recorded, each in the folder of its story, and what was left to make.

Version 0.3.0 has recorded the batches, 0.2.0 all others. Nobody edits them: a day that the job cannot read any more is
one that somebody still has.

| story | what happened |
| --- | --- |
| `done` | calls of all engines were repeated, a batch was halved, and a success had an error besides |
| `set-aside` | a card type failed until it was set aside |
| `killed` | a card had failed; of two to make again, one was recorded when the start was killed |
| `refused` | the config had a fault |
| `batches` | the batches were larger than by default |
| `batches-killed` | one of three batches of the trading engine was recorded when the start was killed |
"""

from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
DAY = "2026-11-30"
"""That all of them have recorded."""
TICKERS = ["AAPL", "0700.HK", *(f"T{number}" for number in range(20))]
"""So many that a card type can be set aside before each of its cards was requested."""
CONFIG: dict[str, object] = {
    "ticker_list.json": TICKERS,
    "card_types.json": ["news_card", "price_card"],
    "card_targets.json": [{"id": "美联储", "target_type": "topic", "topic_key": "fed", "card_types": ["news_card"]}],
    "llm_config.json": {"default": {"backend": "local", "model_name": "small/1"}},
}
CONFIG_URI = "/cards/config"
"""The config of all recorded days: that of a machine is replaced by it."""
CARDS = [*(f"{ticker}/{card}" for ticker in TICKERS for card in ("news_card", "price_card")), "美联储/news_card"]
SCHEDULE = "0 0 * * *"
"""Of a machine in UTC: the day is today."""
LEFT: Mapping[str, list[str]] = {
    "done": [],
    "set-aside": [card for card in CARDS if card.endswith("price_card")],
    "killed": ["0700.HK/news_card", "T0/price_card"],
    "refused": CARDS,
    "batches": [],
    "batches-killed": CARDS,
}
"""The cards that are missing of each."""


def objects_of(story: str) -> dict[str, bytes]:
    """The objects of a day, by their names below RUNS_URI."""
    place = HERE / story
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
