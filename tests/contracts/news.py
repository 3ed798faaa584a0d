"""The contract of a news source: what the bot relies on, whoever keeps the calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from trading.cycle.news import NewsSource

RELEASES = ("2024-05-06 14:00", "2024-05-08 12:30", "2024-05-10 14:00")
"""High-impact USD releases of the week the source is to know, UTC."""
OTHERS = ("2024-05-07 06:00", "2024-05-09 11:00")
"""Releases of other weight or other currencies in the same week."""
PLACEHOLDER = "2024-05-08 22:59:59"
"""A high-impact USD row of no real time."""


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2024-05-07 10:00")


class NewsContract:
    """Inherit, and give `source`: one that knows the releases above once it was refreshed at NOW."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> NewsSource:
        raise NotImplementedError

    def test_it_knows_the_releases_that_count_and_no_others(self, source: NewsSource) -> None:
        source.refresh(NOW)
        calendar = source.calendar(NOW)
        assert calendar is not None
        assert calendar.event_times.tolist() == [int(at(text)) for text in RELEASES]
        assert calendar.placeholders == 1

    def test_it_is_fresh_in_the_week_it_knows(self, source: NewsSource) -> None:
        source.refresh(NOW)
        assert source.state(NOW).freshness == "fresh"
        assert str(source.state(NOW)).startswith("fresh")

    def test_a_month_later_it_is_stale_says_its_age_and_is_still_given(self, source: NewsSource) -> None:
        source.refresh(NOW)
        later = NOW + 30 * 86_400
        state = source.state(later)
        assert state.freshness == "stale"
        assert state.age is not None
        assert 20 * 86_400 < state.age <= 30 * 86_400
        assert "days" in str(state)
        assert source.calendar(later) is not None

    def test_asking_changes_nothing(self, source: NewsSource) -> None:
        source.refresh(NOW)
        first, second = source.calendar(NOW), source.calendar(NOW + 5 * 86_400)
        assert first is not None
        assert second is not None
        assert np.array_equal(first.event_times, second.event_times)
