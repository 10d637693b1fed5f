"""What is shown of a day has the address of its page if that was written, and what its record lacks."""

from tests.support.days import DAY, SCENES


def test_a_day_has_the_address_of_its_page_if_that_was_written() -> None:
    view = SCENES["all made"]()
    assert view.with_page("/runs").page == f"/runs/{DAY}/report.html"
    assert view.with_page(None).page is None
    lost = view.report.model_copy(update={"not_written": (f"{DAY}/report.html",)})
    assert type(view)(lost, view.ledger).with_page("/runs").page is None


def test_a_record_that_lacks_its_end_has_a_note() -> None:
    view = SCENES["all made"]().unended(3)
    assert view.unrecorded == 3
    assert "The record lacks 3 results" in str(view.report.notes[-1])
