"""A page as its reader gets it: parsed, so that a test sees what it shows and not how it is written."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}
INLINE = {"a", "b", "bdi", "i", "span"}
"""Tags that do not part words."""
CELLS = {"td", "th"}
"""Tags that part words, but not lines."""


@dataclass
class Parsed(HTMLParser):
    """The texts and the tags that a page shows, also those that are folded. Fails if tags do not close."""

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

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
        self.tags.append((tag, dict(attrs)))
        if tag not in INLINE:
            self.texts.append("\t" if tag in CELLS else "\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag not in INLINE:
            self.texts.append("\t" if tag in CELLS else "\n")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)
