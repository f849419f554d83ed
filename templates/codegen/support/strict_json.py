"""JSON text read strictly: what two readers could understand differently is refused.

Refused are duplicate keys, NaN and Infinity, numbers that no double can hold, lone surrogates, a byte order mark, text
that is not UTF-8, and nesting deeper than `max_depth`. A pre-scan bounds the depth before the parser recurses.
"""

import json
import math
import re
from typing import Any, NoReturn

__all__ = ["JsonInvalid", "loads"]

# The largest double has 309 digits; an integer beyond it would be read differently by whoever reads doubles.
MAX_INTEGER_DIGITS = 309
_LARGEST = 2**1024


class JsonInvalid(ValueError):  # noqa: N818 - the name says what is wrong with the document
    """The text is not strict JSON.

    `reason` is one of `syntax`, `duplicate_key`, `not_a_number`, `number_out_of_range`, `lone_surrogate`, `too_deep`,
    `not_utf8`; `offset` counts characters (bytes for `not_utf8`) from 0, where it is known.
    """

    def __init__(self, reason: str, detail: str, offset: int | None = None) -> None:
        super().__init__(detail if offset is None else f"{detail} (at offset {offset})")
        self.reason = reason
        self.detail = detail
        self.offset = offset


_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_NO_BRACKET = re.compile(_STRING + r'|[^"\[\]{}]++', re.DOTALL)
_AS_SQUARE = str.maketrans("{}", "[]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(text: bytes | bytearray | memoryview | str, *, max_depth: int = 64) -> Any:
    """The value that the text stands for. Raises `JsonInvalid`.

    A scalar has depth 0, `[]` depth 1.
    """
    string = _decoded(text)
    # Counting brackets is cheap; a document with few of them cannot be deep.
    if string.count("[") + string.count("{") > max_depth:
        _check_depth(string, max_depth)
    decoder = _EXACT_DECODER if _has_long_number(string) else _DECODER
    try:
        if string[:1] in "{[" and string[-1:] in "}]":  # as a rule; what starts or ends otherwise may hold white space
            value, end = decoder.raw_decode(string)
            if end != len(string):
                raise json.JSONDecodeError("Extra data", string, end)
        else:
            value = decoder.decode(string)
    except json.JSONDecodeError as error:
        raise JsonInvalid("syntax", error.msg, error.pos) from None
    # An escape such as \ud800 that pairs with nothing can stand only where there is a backslash in the text.
    if "\\u" in string:
        _check_surrogates(value)
    return value


def _decoded(text: bytes | bytearray | memoryview | str) -> str:
    if isinstance(text, str):
        string = text
        found = None if string.isascii() else _SURROGATE.search(string)
        if found:
            raise JsonInvalid("lone_surrogate", "the text holds a lone surrogate", found.start())
    else:
        try:
            string = bytes(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise JsonInvalid("not_utf8", f"the text is not UTF-8: {error.reason}", error.start) from None
    if string.startswith("\ufeff"):
        raise JsonInvalid("syntax", "the text starts with a byte order mark", 0)
    return string


def _check_depth(string: str, max_depth: int) -> None:
    # Each pass takes the innermost pairs away, so a balanced document is gone after as many passes as it is deep.
    brackets = _NO_BRACKET.sub("", string).translate(_AS_SQUARE)
    rest = brackets
    for _ in range(max_depth):
        rest = rest.replace("[]", "")
        if not rest:
            return
    depth = 0  # too deep, or not balanced: only then counted one by one
    for bracket in brackets:
        depth += 1 if bracket == "[" else -1
        if depth > max_depth:
            raise JsonInvalid("too_deep", f"nested deeper than {max_depth} levels")


def _check_surrogates(value: Any) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if _SURROGATE.search(item):
                raise JsonInvalid("lone_surrogate", "a string holds a lone surrogate")
        elif isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                shown = json.dumps(key if len(key) <= 100 else key[:100] + "…")
                raise JsonInvalid("duplicate_key", f"the key {shown} stands twice in one object")
            seen.add(key)
    return result


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        shown = digits if len(digits) <= 40 else digits[:40] + "…"
        raise JsonInvalid("number_out_of_range", f"the number {shown} is out of range")
    return value


def _integer(digits: str) -> int:
    if len(digits) <= MAX_INTEGER_DIGITS + 1:
        value = int(digits)
        if -_LARGEST < value < _LARGEST:
            return value
    raise JsonInvalid("number_out_of_range", f"the number {digits[:40]}… is out of range")


def _constant(name: str) -> NoReturn:
    raise JsonInvalid("not_a_number", f"{name} is not JSON")


# Looking at every integer costs more than the rest of the checks, so only text that holds a very long one pays for it.
_LONG_NUMBER = re.compile(f"[0-9]{{{MAX_INTEGER_DIGITS}}}")
_DIGIT = re.compile("[0-9]")


def _has_long_number(string: str) -> bool:
    # So many digits in a row cover one of these places, wherever they start; only then is the whole text searched.
    return _DIGIT.search(string[MAX_INTEGER_DIGITS - 1 :: MAX_INTEGER_DIGITS]) is not None and (
        _LONG_NUMBER.search(string) is not None
    )


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
_EXACT_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_constant
)
