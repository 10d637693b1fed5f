"""A page as its reader gets it: parsed, so that a test sees what it shows and not how it is written."""

from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}
INLINE = {"a", "b", "bdi", "i", "span"}
"""Tags that do not part words."""
CELLS = {"td", "th"}
"""Tags that part words, but not lines."""


@dataclass
class Parsed(HTMLParser):
    """The texts and the tags that a page shows, `at` a moment or without its script. Fails if tags do not close."""

    source: str
    at: datetime | None = None
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _hidden: int = 0
    """How many tags are open from the one that hides all within it; 0 if that is none."""
    _title: int = 0
    """Where the title is among the texts."""
    _is_titled: bool = False
    """Whether it is that of a part that is shown."""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """All that it shows, and its title."""
        return " ".join("".join(self.texts).split())

    @property
    def lines(self) -> list[str]:
        """The same line by line; a row of a table is one."""
        cells = ([" ".join(cell.split()) for cell in line.split("\t")] for line in "".join(self.texts).split("\n"))
        lines = (" | ".join(cell for cell in row if cell) for row in cells)
        return [line for line in lines if line]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute twice"
        if tag not in VOID:
            self._open.append(tag)
        if self._hidden == 0 and self._is_hidden(dict(attrs)):
            self._hidden = len(self._open)
        if self._hidden:
            return
        self.tags.append((tag, dict(attrs)))
        if self.at is not None and "data-title" in dict(attrs) and not self._is_titled:
            self.texts[self._title], self._is_titled = str(dict(attrs)["data-title"]), True
        if tag not in INLINE:
            self.texts.append("\t" if tag in CELLS else "\n")

    def _is_hidden(self, attributes: dict[str, str | None]) -> bool:
        if self.at is None or "data-from" not in attributes:
            return "hidden" in attributes
        begins, ends = attributes["data-from"], attributes.get("data-until")
        return not float(begins or 0) <= self.at.timestamp() < float(ends or "inf")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._hidden:
            self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        is_hidden, self._hidden = self._hidden, self._hidden if len(self._open) > self._hidden else 0
        assert self._open.pop() == tag
        if tag not in INLINE and not is_hidden:
            self.texts.append("\t" if tag in CELLS else "\n")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self._title = len(self.texts)
        if not self._hidden and not {"style", "script"} & {*self._open}:
            self.texts.append(data)
