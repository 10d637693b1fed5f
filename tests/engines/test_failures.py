"""What can go wrong with a call has words for people."""

from __future__ import annotations

import pytest

from job.engines.failures import CAUSES, Cause
from job.text.messages import message, translator


@pytest.mark.parametrize("cause", [*CAUSES, *Cause])
def test_each_cause_has_one_text_for_people_and_a_translation(cause: str) -> None:
    assert CAUSES.count(cause) == list(Cause).count(Cause(cause)) == 1
    assert translator("zh").text(message(cause)) != cause
