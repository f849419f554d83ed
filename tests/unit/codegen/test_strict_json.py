"""Text that two JSON readers could understand differently is refused, with a reason."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragancorp_contracts.strict_json import JsonInvalid, loads

LONE = "\ud800"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', "duplicate_key"),
        ('[{"deep": {"a": 1, "b": 2, "a": 1}}]', "duplicate_key"),
        ('{"a": 1, "\\u0061": 2}', "duplicate_key"),
        ("NaN", "not_a_number"),
        ("[Infinity]", "not_a_number"),
        ('{"a": -Infinity}', "not_a_number"),
        ("1e999", "number_out_of_range"),
        ("[-1e999]", "number_out_of_range"),
        ("9" * 5000, "number_out_of_range"),
        ("-" + "9" * 5000, "number_out_of_range"),
        ("9" * 309, "number_out_of_range"),
        ('"\\ud800"', "lone_surrogate"),
        ('{"\\udc00": 1}', "lone_surrogate"),
        ('["\\ud800\\ud800"]', "lone_surrogate"),
        (f'"{LONE}"', "lone_surrogate"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        (b"\xff", "not_utf8"),
        (b"\xef\xbb\xbf{}", "syntax"),
        ("\ufeff{}", "syntax"),
        ("", "syntax"),
        ("{", "syntax"),
        ("[1,]", "syntax"),
        ("{} {}", "syntax"),
        ('"\t"', "syntax"),
        ("01", "syntax"),
        ("'a'", "syntax"),
        ("[" * 65 + "]" * 65, "too_deep"),
        ("[" * 10_000 + "]" * 10_000, "too_deep"),
        ("[" * 10_000, "too_deep"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "too_deep"),
        (b"\x00", "syntax"),
        ('"' + "[" * 100, "syntax"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_it_is_refused_with_its_reason(text: str | bytes, reason: str):
    with pytest.raises(JsonInvalid) as refused:
        loads(text)
    assert refused.value.reason == reason
    assert refused.value.detail
    assert LONE not in str(refused.value)


def test_where_it_went_wrong_is_told_where_it_is_known():
    with pytest.raises(JsonInvalid) as refused:
        loads('{"a": tru}')
    assert refused.value.offset == 6


def test_the_depth_is_the_nesting_not_the_number_of_brackets():
    assert loads("[" * 64 + "]" * 64)
    assert len(loads("[" + ",".join(["[]"] * 1000) + "]")) == 1000
    assert loads('{"a": "' + "[" * 1000 + '\\"[[["}')["a"].startswith("[[[")


@pytest.mark.parametrize("text", ["[}" * 100, "]" * 100 + "[" * 100, "{" * 64 + "[", "[" * 65 + "}" * 65])
def test_brackets_that_do_not_pair_are_refused_too(text: str):
    with pytest.raises(JsonInvalid):
        loads(text)


def test_the_greatest_depth_is_the_callers_to_choose():
    assert loads("[[]]", max_depth=2) == [[]]
    with pytest.raises(JsonInvalid, match="deeper than 1"):
        loads("[[]]", max_depth=1)


def test_what_a_pair_of_escapes_stands_for_is_one_character():
    assert loads('"\\ud83d\\ude00"') == "\U0001f600"


def test_a_large_but_finite_number_is_read():
    assert loads("1" + "0" * 300) == 10**300
    assert loads("1e308") == 1e308


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_every_json_value_is_read_back(value: object):
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


REASONS = {"syntax", "duplicate_key", "not_a_number", "number_out_of_range", "lone_surrogate", "too_deep", "not_utf8"}


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: bytes | str):
    assert reason_of(text) in REASONS | {None}


def reason_of(text: bytes | str) -> str | None:
    """Why the text is refused; None: it is not."""
    try:
        loads(text)
    except JsonInvalid as refused:
        return refused.reason
    return None
