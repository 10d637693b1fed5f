"""Stub."""

from datetime import datetime

from job.records.nights import Nights
from job.report.commands import Links
from job.report.view import View
from job.text.messages import ENGLISH, Translator


def render_day(view: View, links: Links, *, has_table: bool, translator: Translator = ENGLISH) -> bytes:
    return str(view.report.sentence).encode()


def render_nights(nights: Nights, links: Links, now: datetime, translator: Translator = ENGLISH) -> bytes:
    return str(nights.period).encode()
