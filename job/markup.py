"""Text as HTML and numbers as people read them. Everything from outside passes `text` on its way to a page."""

import html


def text(value: object) -> str:
    """Escaped for any place between tags or in quotes; what cannot be printed is replaced, directions included."""
    clean = "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in str(value))
    return html.escape(clean, quote=True)


def shortened(value: str, limit: int) -> str:
    """The beginning of a long text."""
    return value if len(value) <= limit else f"{value[: limit - 1]}…"


def duration(seconds: float) -> str:
    """Some seconds, as exactly as a person wants to know."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def number(value: object) -> str:
    """A count, with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) else text(value)


def counted(count: int, word: str) -> str:
    """`1 card`, `2 cards`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def xy(value: float) -> str:
    """A coordinate, short: a page may have tens of thousands."""
    return f"{value:.1f}".removesuffix(".0")
