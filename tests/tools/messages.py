"""Collects the sentences that people read into the gettext catalogs, and compiles these: `make messages`."""

import tempfile
from pathlib import Path

from babel.messages.frontend import CommandLineInterface

from job.text.messages import CATALOGS, DOMAIN
from tests.simulators.job import ROOT

KEYWORDS = "message template plural:1,2 _"
"""The functions of `job.text.messages` that take sentences, one of them by the name that templates know it by."""


def bring_up_to_date(catalogs: Path) -> None:
    """Brings every catalog of a directory up to date with the sources: new sentences are empty, old ones are gone."""
    with tempfile.TemporaryDirectory() as place:
        collected = f"{place}/{DOMAIN}.pot"
        _babel(
            *("extract", "--mapping-file", f"{ROOT}/pyproject.toml", "--no-default-keywords", "--keywords", KEYWORDS),
            *("--no-location", "--sort-output", "--no-wrap", "--output-file", collected, f"{ROOT}/job"),
        )
        _babel(
            *("update", "--no-fuzzy-matching", "--ignore-obsolete", "--ignore-pot-creation-date", "--no-wrap"),
            *("--domain", DOMAIN, "--input-file", collected, "--output-dir", str(catalogs)),
        )
    _babel("compile", "--domain", DOMAIN, "--directory", str(catalogs))


def _babel(*arguments: str) -> None:
    CommandLineInterface().run(["pybabel", "--quiet", *arguments])  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    bring_up_to_date(CATALOGS)
