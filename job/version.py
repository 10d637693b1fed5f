"""Which code this is."""

from pathlib import Path

from job import __version__

VERSION = __version__


def _commit() -> str | None:
    """The commit that the image was built from; its build writes the file."""
    try:
        return Path(__file__).with_name("COMMIT").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


COMMIT = _commit()
