"""Days that the image of version 0.2.0 has recorded, each in the folder of its story.

Nobody edits them: a day that the job cannot read any more is one that somebody still has.
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
"""The config of all recorded days."""
CARDS = [*(f"{ticker}/{card}" for ticker in TICKERS for card in ("news_card", "price_card")), "美联储/news_card"]
SCHEDULE = "0 0 * * *"
LEFT: Mapping[str, list[str]] = {
    # Calls of all engines were repeated, a batch was halved, and a success has an error besides.
    "done": [],
    # A card type has failed until it was set aside.
    "set-aside": [card for card in CARDS if card.endswith("price_card")],
    # A card has failed. Two others were to be made again: one of them was recorded when the start was killed.
    "killed": ["0700.HK/news_card", "T0/price_card"],
    # The config has a fault.
    "refused": CARDS,
}
"""The cards that are missing then."""


def objects_of(story: str) -> dict[str, bytes]:
    """The objects of a day, by their names below RUNS_URI."""
    place = HERE / story
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
