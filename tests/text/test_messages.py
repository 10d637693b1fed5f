"""The catalogs are current and complete, and every translation has the placeholders of its sentence."""

import re
import shutil
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path

import pytest
from babel.messages import Catalog, Message
from babel.messages.pofile import read_po

from job.text.messages import CATALOGS, DOMAIN, LANGUAGES, message, plural, translator
from tests.tools.messages import bring_up_to_date

FILES = sorted(CATALOGS.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def catalog(file: Path) -> Catalog:
    with file.open("rb") as opened:
        return read_po(opened)


def sentences() -> Iterator[Message]:
    for file in FILES:
        yield from (one for one in catalog(file) if one.id)


def places(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


def forms(text: object) -> list[str]:
    """The forms of a sentence: one, or those of its plural too."""
    return [text] if isinstance(text, str) else list(text) if isinstance(text, tuple | list) else [""]


def test_each_language_but_english_has_a_catalog() -> None:
    assert [file.parts[-3] for file in FILES] == sorted(
        tag.replace("-", "_") for tag in LANGUAGES.values() if tag != "en"
    )


def test_the_catalogs_are_what_make_messages_makes_of_the_sources(tmp_path: Path) -> None:
    shutil.copytree(CATALOGS, tmp_path, dirs_exist_ok=True)
    bring_up_to_date(tmp_path)
    for file in FILES:
        fresh = tmp_path / file.relative_to(CATALOGS)
        for ending in (".po", ".mo"):
            old, new = file.with_suffix(ending), fresh.with_suffix(ending)
            assert old.read_bytes() == new.read_bytes(), f"{old.name} is not current: run `make messages`"


def test_nothing_is_left_untranslated() -> None:
    assert [one.id for one in sentences() if one.fuzzy or not all(forms(one.string))] == []


def test_a_translation_has_the_places_of_its_sentence() -> None:
    for one in sentences():
        for text in forms(one.string):
            # `1 card` has no place for its number, but the form for every number has.
            assert places(text) == places(forms(one.id)[-1]), one.id


def test_a_message_that_the_catalog_lacks_is_shown_in_english() -> None:
    chinese = translator("zh")
    assert chinese.text(message("of {a} newer version", a=1)) == "of 1 newer version"
    assert chinese.text(plural("1 new thing", "{count} new things", count=2)) == "2 new things"
    assert chinese.text("as it is") == "as it is"


@pytest.mark.parametrize("count", ["many", 1.5, True])
def test_a_recorded_message_may_hold_any_count(count: object) -> None:
    altered = plural("1 card", "{count} cards", count=count)  # type: ignore[arg-type]
    assert str(altered)
    assert translator("zh").text(altered)


def test_an_empty_message_is_not_the_header_of_the_catalog() -> None:
    assert translator("zh").text(message("")) == ""
    assert isinstance(translator("zh")._catalog, GNUTranslations)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("All is there", "Mon: all is there"),
        ("A card", "Mon: a card"),
        ("QA 引擎失败", "Mon: QA 引擎失败"),
        ("", "Mon: "),
    ],
)
def test_a_sentence_that_goes_on_with_another_begins_with_a_small_letter(sentence: str, shown: str) -> None:
    assert str(message("{day}: {continued}", day="Mon", continued=message(sentence))) == shown
