"""0.5.0 finds in an end what it wants there."""

import json

import pytest

from job.records.earlier import end_json
from tests.support.days import SCENES


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ("all made", "all 58 cards are made"),
        ("cards missing", "6 of 58 cards are missing"),
        ("data alone", "All data is ready"),
        ("bad config", "nothing was called"),
    ],
)
def test_an_end_has_the_sentence_without_which_0_5_0_refuses_it(scene: str, sentence: str) -> None:
    stored = json.loads(end_json(SCENES[scene]().report))["sentence"]
    assert (stored["plural"] or stored["id"]).format(**stored["values"]) == sentence
