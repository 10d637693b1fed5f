"""Chinese as the job writes it. A sentence without a translation fails the test that asks for it."""

import re
from gettext import NullTranslations, translation

from job.text.messages import CATALOGS, DOMAIN, Translator


class _Missing(NullTranslations):
    def gettext(self, message: str) -> str:
        assert not re.search(r"[A-Za-z]", re.sub(r"\{\w+\}", "", message)), f"not translated: {message!r}"
        return message  # values alone

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:  # noqa: ARG002
        return self.gettext(msgid1)


_CATALOG = translation(DOMAIN, CATALOGS, ["zh_CN"])
_CATALOG.add_fallback(_Missing())
CHINESE = Translator("zh-CN", _CATALOG)
"""The translator into Chinese."""


def in_chinese(value: object) -> str:
    """A message, and the messages among its values, in Chinese."""
    return CHINESE.text(value)
