"""The READMEs have pictures of both pages in their own language, small enough for a slow connection."""

from itertools import product

import pytest

from job.text.messages import LANGUAGES
from tests.tools.picture import PAGES, picture_of


@pytest.mark.parametrize(("page", "language"), [*product(PAGES, LANGUAGES)])
def test_each_page_has_a_small_picture_in_each_language(page: str, language: str) -> None:
    data = picture_of(page, language).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 200_000
