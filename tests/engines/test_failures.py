"""What can go wrong with a call has words for people."""

from __future__ import annotations

import pytest

from job.engines.failures import CAUSES, Cause
from job.text.messages import message, translator


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_words_for_people_and_a_translation(cause: Cause) -> None:
    assert translator("zh").text(message(CAUSES[cause])) != CAUSES[cause]
