"""Values that go into the database come out as they were, and sort there as they do here."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from dragancorp.registry.column_types import JsonDocument, MissionStateWord, UtcTime
from dragancorp.registry.identifiers import new_id
from dragancorp_contracts.lifecycle import MissionState

DIALECT = sqlite.dialect()
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])).filter(
    lambda moment: 1000 < moment.year < 9999  # the contracts' years
)
documents = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
        max_leaves=8,
    ),
    max_size=4,
)


def stored(moment: datetime) -> str:
    text = UtcTime().process_bind_param(moment, DIALECT)
    assert text is not None
    return text


@given(moments)
def test_a_moment_comes_back_as_the_same_moment_in_utc(moment: datetime) -> None:
    back = UtcTime().process_result_value(stored(moment), DIALECT)
    assert back == moment
    assert back is not None
    assert back.utcoffset() == timedelta(0)


@given(moments, moments)
def test_texts_sort_as_moments_do(one: datetime, other: datetime) -> None:
    assert (stored(one) < stored(other)) == (one < other)


def test_a_time_without_an_offset_is_never_stored() -> None:
    with pytest.raises(ValueError, match="offset"):
        UtcTime().process_bind_param(datetime(2026, 1, 1), DIALECT)  # noqa: DTZ001


@given(documents)
def test_a_document_comes_back_as_it_was(document: dict[str, object]) -> None:
    column = JsonDocument()
    assert column.process_result_value(column.process_bind_param(document, DIALECT), DIALECT) == document


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_not_stored(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonDocument().process_bind_param({"number": number}, DIALECT)


def test_a_word_is_kept_by_its_value_and_nothing_else_is_a_word() -> None:
    column = MissionStateWord()
    assert column.process_bind_param(MissionState.RUNNING, DIALECT) == "running"
    assert column.process_result_value("running", DIALECT) is MissionState.RUNNING
    with pytest.raises(ValueError, match="asleep"):
        column.process_bind_param("asleep", DIALECT)


def test_ids_are_safe_names_and_all_different() -> None:
    ids = [new_id("m") for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(one.startswith("m_") and one.replace("_", "").isalnum() and len(one) == 30 for one in ids)
