"""A timeline keeps a million calls small, and says of them what it would say if it kept them whole."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.execution.progress import percentile
from job.records.timeline import busy_stretches

SPANS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20)).map(lambda span: (span[0], span[0] + span[1])))


@given(SPANS, st.integers(0, 10))
def test_stretches_are_the_spans_merged(spans: list[tuple[int, int]], gap: int) -> None:
    merged: list[tuple[float, float]] = []
    for began, ended in sorted(spans):
        if merged and began <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ended))
        else:
            merged.append((began, ended))
    assert busy_stretches(spans, gap) == merged


@given(st.lists(st.floats(0, 1e6), min_size=2), st.integers(1, 99))
def test_a_percentile_is_that_of_the_statistics_module(values: list[float], percent: int) -> None:
    known = statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
    assert percentile(sorted(values), percent) == pytest.approx(known)
    assert percentile(values[:1], percent) == pytest.approx(values[0])
