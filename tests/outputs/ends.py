"""How some kinds of day end on a terminal, as somebody last read it: `python -m tests.outputs.ends` writes it anew."""

from collections.abc import Sequence
from pathlib import Path

from job.outputs.terminal import as_text
from job.text.messages import Language, translator
from tests.support.days import SCENES

SHOWN: Sequence[tuple[str, Language]] = (
    ("several kinds", "en"),
    ("at work", "en"),
    ("deadline", "zh"),
)
"""The lines of each kind of day are those of the message and of the page."""
KEPT = Path(__file__).with_name("ends.txt")


def ends() -> str:
    return "\n".join(
        f"=== {scene} ===\n{as_text(SCENES[scene](), translator(language))}\n" for scene, language in SHOWN
    )


if __name__ == "__main__":
    KEPT.write_text(ends(), encoding="utf-8")
