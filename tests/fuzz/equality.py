"""The differential test itself: many documents, every reader, no disagreement."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .documents import Documents
from .readers import Readers, accepted, same

FROM_ONE = 16
"""Documents made from one valid one: itself, and single mutations of it."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One root schema with everything that reads it."""

    address: str
    model: Any
    judge: Any
    violations: Callable[[Any], list[Any]]
    is_valid: Callable[[Any], bool]
    readers: Readers
    examples: list[Any]


@dataclass
class Tally:
    """What a run saw."""

    documents: int = 0
    valid: int = 0
    texts: int = 0


def disagreements(subject: Subject, *, count: int, seed: int) -> tuple[list[str], Tally]:
    """Try `count` documents; every disagreement as a line that shows the document, and what was seen."""
    found: list[str] = []
    tally = Tally()
    reference = subject.readers.reference(subject.address)
    for document in drawn(subject, count=count, seed=seed):
        tally.documents += 1
        expected = reference.is_valid(document)
        tally.valid += expected
        took, given = accepted(subject.model, document)
        answers = {"jsonschema": expected, "judge": subject.is_valid(document), "model": took}
        if len(set(answers.values())) > 1:
            found.append(f"{answers}: {json.dumps(document)[:2000]}")
        elif took and not same(given, document):
            found.append(f"given back as {json.dumps(given)[:1000]}: {json.dumps(document)[:1000]}")
        elif tally.documents % 20 == 0:
            found += _text(subject, document, expected, random.Random(seed + tally.documents))
            tally.texts += 1
        if len(found) >= 20:
            break
    return found, tally


def drawn(subject: Subject, *, count: int, seed: int) -> Iterator[Any]:
    """The documents of a run: the examples, drawn ones, and single mutations of both."""
    source = Documents(subject.readers.resolve, random.Random(seed))
    base, schema = subject.readers.contents(subject.address)
    for number in range(count):
        if number % FROM_ONE == 0:
            document = source.valid(base, schema)
            if subject.examples and number // FROM_ONE % 2:
                document = source.pick(subject.examples)
            yield document
        else:
            yield source.mutated(document)


def _text(subject: Subject, document: Any, expected: bool, source: random.Random) -> list[str]:
    """The same document as text, text that is no strict JSON, and what is said of an invalid one."""
    found = []
    try:
        subject.model.from_json(json.dumps(document))
        read = True
    except ValueError:
        read = False
    if read is not expected:
        found.append(f"as text {read}, as a value {expected}: {json.dumps(document)[:1000]}")
    broken = Documents(subject.readers.resolve, source).raw(document)
    try:
        subject.model.from_json(broken)
        found.append(f"read without complaint: {broken[:1000]}")
    except ValueError:
        pass
    if not expected:
        found += _told(subject, document)
    return found


def _told(subject: Subject, document: Any) -> list[str]:
    """An error names the place in the document and the keyword that refused."""
    told = subject.violations(document)
    if not told:
        return [f"nothing is said of {json.dumps(document)[:1000]}"]
    return [f"{one} names no place: {json.dumps(document)[:1000]}" for one in told if not _names(one, document)]


def _names(violation: Any, document: Any) -> bool:
    node = document
    for part in violation.pointer.split("/")[1:]:
        if violation.pointer.endswith("…"):
            break
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node.get(key, ...)
    return node is not ... and "#" in violation.rule
