"""Lines of a message, and how they are cut to a channel's limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from job.notification.channels import as_json
from job.text.display import printable
from job.text.messages import ENGLISH, Message, Translator, plural


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text."""

    text: Message
    is_kept: bool = False
    """Whether the line stays when the text has to be shortened."""


def cut(lines: Sequence[Line], limit: int, translator: Translator = ENGLISH) -> str:
    """The lines as one text of at most `limit` bytes, encoded as JSON.

    If it is too long, lines that are not `is_kept` are left out, the last first; one line in their place counts them.
    """
    may_go = [at for at, line in enumerate(lines) if not line.is_kept]
    first = len(may_go)
    text = "\n".join(_without(lines, (), translator))
    while len(as_json(text)) - 2 > limit and first > 0:
        first -= 1
        text = "\n".join(_without(lines, may_go[first:], translator))
    return text


def _without(lines: Sequence[Line], left_out: Sequence[int], translator: Translator) -> Iterator[str]:
    for at, line in enumerate(lines):
        if at not in left_out:
            yield _shown(line.text, translator)
        elif at == left_out[0]:
            yield _shown(plural("… and 1 more line", "… and {count} more lines", count=len(left_out)), translator)


def _shown(text: Message, translator: Translator) -> str:
    """The text in one line, without characters that a channel interprets, such as those of mentions and tags."""
    return printable(translator.text(text)).replace("\n", " ").translate({ord("<"): "＜", ord(">"): "＞"})
