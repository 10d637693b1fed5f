"""A day as the engines write it: YYYY-MM-DD."""

import re
from datetime import date


def is_date(text: str) -> bool:
    """Whether it is a day of the calendar in exactly that form (`date.fromisoformat` alone takes others as well)."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
