"""The checks, by the name that requirements call them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from dragancorp_conformance.trial import Trial

Check = Callable[..., None]
"""Called with a `Trial` and the requirement's arguments; raises what `verdicts` has, or returns."""

_Decorated = TypeVar("_Decorated", bound=Check)
_FOUND: dict[str, Check] = {}


def check(name: str) -> Callable[[_Decorated], _Decorated]:
    """Make a function the check of that name. Raises `ValueError` when there is one already."""

    def registered(function: _Decorated) -> _Decorated:
        if name in _FOUND:
            raise ValueError(f"two checks are called {name}")
        _FOUND[name] = function
        return function

    return registered


def checks() -> Mapping[str, Check]:
    """Every check."""
    from dragancorp_conformance.checks import (  # noqa: F401 - importing them registers them
        addresses,
        authorisation,
        bodies,
        cancelling,
        connections,
        contract,
        errors,
        generation,
        health,
        idempotency,
        ledger,
        missions,
        pagination,
        streams,
        violations,
    )

    return MappingProxyType(_FOUND)


__all__ = ["Check", "Trial", "check", "checks"]
