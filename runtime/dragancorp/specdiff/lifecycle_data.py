"""The tables of states and transitions: `lifecycle.json`.

Who sends a command can be refused by a narrower transition; who reads a ledger can meet a word or a step that the
earlier tables do not have, and a ledger with such a step is broken to whoever verifies it by them.
"""

from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.facets import text
from dragancorp.specdiff.schema import Place

__all__ = ["compare", "is_lifecycle"]

_OUTCOMES = ("states", "events", "reasons", "kinds", "holders")
_COMMANDS = ("triggers", "actors", "guards")
_WORDS = frozenset({"description", "note"})
# A transition with more of these is allowed more often, and with more guards less often.
_ALLOWING = ("triggers", "who")


def is_lifecycle(document: Any) -> bool:
    """Whether a document holds life cycle tables."""
    return isinstance(document, dict) and {"states", "transitions", "triggers"} <= document.keys()


def compare(old: dict[str, Any], new: dict[str, Any], root: Place) -> Iterator[Change]:
    """Every change of the tables, by name; the order says nothing."""
    for table in (*_OUTCOMES, *_COMMANDS):
        yield from _words(table, _named(old.get(table, ())), _named(new.get(table, ())), root / table)
    before = {str(step["id"]): step for step in old["transitions"]}
    after = {str(step["id"]): step for step in new["transitions"]}
    for step in sorted(before.keys() | after.keys()):
        place = root / "transitions" / step
        if step not in after:
            yield changed("step_removed", place, step)
        elif step not in before:
            yield changed("step_added", place, step)
        else:
            yield from _step(before[step], after[step], place)
    yield from _refusals(old.get("refusals", ()), new.get("refusals", ()), root / "refusals")


def _named(table: Any) -> dict[str, dict[str, Any]]:
    """The words of a table by name; states and triggers by machine and name."""
    if isinstance(table, dict):
        return {f"{machine}/{word['name']}": word for machine, words in table.items() for word in words}
    return {str(word.get("name") or word.get("code")): word for word in table}


def _words(
    table: str, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]], place: Place
) -> Iterator[Change]:
    for name in sorted(before.keys() - after.keys()):
        yield changed("word_removed", place / name, name)
    for name in sorted(after.keys() - before.keys()):
        yield changed("outcome_added" if table in _OUTCOMES else "command_added", place / name, name)
    for name in sorted(before.keys() & after.keys()):
        for member in sorted(before[name].keys() | after[name].keys()):
            earlier, now = before[name].get(member), after[name].get(member)
            if earlier != now:
                rule = "words_changed" if member in _WORDS else "word_redefined"
                yield changed(rule, place / name / member, f"{text(earlier)} became {text(now)}")


def _step(before: dict[str, Any], after: dict[str, Any], place: Place) -> Iterator[Change]:
    for member in _ALLOWING:
        gone, come = _difference(before, after, member)
        for word in gone:
            yield changed("step_narrowed", place / member, f"not {word} any more")
        for word in come:
            yield changed("step_widened", place / member, f"{word} too")
    gone, come = _difference(before, after, "guards")
    for guard in come:
        yield changed("step_narrowed", place / "guards", f"guarded by {guard}")
    for guard in gone:
        yield changed("step_widened", place / "guards", f"no longer guarded by {guard}")
    gone, come = _difference(before, after, "from")
    for state in gone:
        yield changed("step_narrowed", place / "from", f"not from {state} any more")
    for state in come:
        yield changed("step_added", place / "from", f"from {state} too")
    for member in sorted((before.keys() | after.keys()) - {"id", "guards", "from", *_ALLOWING}):
        earlier, now = before.get(member), after.get(member)
        if earlier != now:
            rule = "words_changed" if member in _WORDS else "step_changed"
            yield changed(rule, place / member, f"{text(earlier)} became {text(now)}")


def _difference(before: dict[str, Any], after: dict[str, Any], member: str) -> tuple[list[str], list[str]]:
    earlier, now = set(before.get(member, ())), set(after.get(member, ()))
    return sorted(earlier - now), sorted(now - earlier)


def _refusals(before: Any, after: Any, place: Place) -> Iterator[Change]:
    def keyed(rows: Any) -> dict[str, Any]:
        return {text([row.get("machine"), row.get("from"), row.get("triggers")]): row.get("code") for row in rows}

    earlier, now = keyed(before), keyed(after)
    for key in sorted(earlier.keys() | now.keys()):
        if earlier.get(key) != now.get(key):
            yield changed("refusal_changed", place / key, f"{text(earlier.get(key))} became {text(now.get(key))}")
