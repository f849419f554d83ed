"""Patterns in the syntax that ECMA-262, Python and Rust share and read alike."""

import re

_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|[tnrfv]|[^A-Za-z0-9<>])")  # \< is the start of a word to Rust
_LOST = (
    (re.compile(r"\\[dDsSwWbB]"), "is read differently by different readers; spell the class out, as [0-9] for \\d"),
    (re.compile(r"\\[pP]"), "is unknown to some readers; spell the class out"),
    (re.compile(r"\\[1-9]|\\k|\(\?P?<[^=!]|\(\?P"), "refers back or names a group; write the alternatives out"),
    (re.compile(r"\(\?(?![:=!])"), "is a group that not every reader has; write it without flags and look-behind"),
    (re.compile(r"[*+?}]\+"), "is possessive, which not every reader has; leave the second `+` out"),
)


def trouble(pattern: str, *, house: bool) -> str | None:
    """What of a pattern some reader would read differently, and what to write; None when nothing is.

    The house's own patterns are narrower still: anchored at both ends, without lookaround and lazy repetition.
    """
    for found, why in _LOST:
        match = found.search(_without_escaped_backslashes(pattern))
        if match:
            return f"`{match[0]}` {why}"
    outside = _CLASS.sub("", pattern)
    for escape in re.findall(r"\\.(?:[0-9A-Fa-f]{4})?", pattern, re.DOTALL):
        if not _ESCAPE.match(escape):
            return f"`{escape}` is no escape that every reader knows; write the character, or \\u0000"
    for inside in _CLASS.findall(pattern):
        body = inside[1:-1].removeprefix("^")
        if re.search(r"(?<!\\)\[|&&|--|~~|\|\|", body) or not body:
            return f"`{inside}` is read as set arithmetic by some readers; escape the characters with a backslash"
    if re.search(r"\{(?![0-9]+(?:,[0-9]*)?\})|(?<![0-9,])\}|(?<!\\)\]", re.sub(r"\\.", "", outside)):
        return "a bracket that opens nothing is read differently; escape it with a backslash"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"it is no regular expression ({error})"
    return _house_trouble(pattern, outside) if house else None


def _house_trouble(pattern: str, outside: str) -> str | None:
    if not re.match(r"^\^.*\$$", pattern, re.DOTALL) or re.search(r"(?<!\\)[\^$]", outside[1:-1]):
        return "anchor it at both ends, `^...$`, with no other anchors"
    if re.search(r"\(\?|[*+?}]\?", outside):
        return "write it without lookaround, `(?...)` and lazy repetition"
    depth = 0
    for character in re.sub(r"\\.", "", outside):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and not depth:
            return "put the alternatives in brackets between the anchors"
    return None


def _without_escaped_backslashes(pattern: str) -> str:
    return pattern.replace("\\\\", "")
