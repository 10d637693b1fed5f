"""Chinese as the job writes it. A sentence without a translation fails the test that asks for it."""

from __future__ import annotations

from gettext import NullTranslations, translation
from typing import NoReturn

from job.text.messages import CATALOGS, DOMAIN, Translator


class _Missing(NullTranslations):
    def gettext(self, message: str) -> NoReturn:
        raise AssertionError(f"not translated: {message!r}")

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> NoReturn:  # noqa: ARG002
        self.gettext(msgid1)


_CATALOG = translation(DOMAIN, CATALOGS, ["zh_CN"])
_CATALOG.add_fallback(_Missing())
CHINESE = Translator("zh-CN", _CATALOG)
"""The translator into Chinese."""


def in_chinese(value: object) -> str:
    """A message, and the messages among its values, in Chinese."""
    return CHINESE.text(value)
