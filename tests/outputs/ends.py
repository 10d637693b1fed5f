"""How each kind of day ends on a terminal, as somebody last read it: `python -m tests.outputs.ends` writes it anew."""

from pathlib import Path

from job.outputs.terminal import as_text
from tests.support.days import SCENES

KEPT = Path(__file__).with_name("ends.txt")


def ends() -> str:
    return "\n".join(f"=== {scene} ===\n{as_text(make())}\n" for scene, make in SCENES.items())


if __name__ == "__main__":
    KEPT.write_text(ends(), encoding="utf-8")
