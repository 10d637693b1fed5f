"""Screen: a console that prints messages in one language, and interprets no markup or control characters in them."""

from collections.abc import Mapping
from typing import IO

from rich.console import Console
from rich.markup import escape

from job.reporting.ending import Mark
from job.text.display import printable
from job.text.messages import Translator

_COLOURS: Mapping[Mark, str] = {"✗": "red", "!": "yellow", " ": "default"}


class Screen(Console):
    """A console of rich for messages."""

    def __init__(self, translator: Translator, file: IO[str] | None = None, width: int | None = None) -> None:
        # Without emoji, rich does not replace `:100:` in an id or an answer.
        super().__init__(file=file, width=width, highlight=False, emoji=False)
        self.translator = translator

    def shown(self, text: object) -> str:
        """The translated text with control characters and rich's markup escaped."""
        return escape(printable(self.translator.text(text)))

    def print_line(self, text: object, mark: Mark | None = None, style: str | None = None) -> None:
        """Prints a line, after its mark if it has one."""
        before = "" if mark is None else f"[{_COLOURS[mark]}]{mark}[/] "
        self.print(before + self.shown(text), style=style, soft_wrap=True)
