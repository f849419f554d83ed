"""What can go wrong, and how it is said.

Every failure that a user, a client or an operator may meet is a `DraganError` with a code of the catalogue in
`specs/errors`. The catalogue gives the HTTP status, the title, the hint and whether a repeat may help; the place
that raises adds what happened this time. Groups:

* bad input: `json_invalid`, `document_invalid`, `parameter_invalid`, `command_not_allowed`, ...
* who is asking: `unauthenticated`, `scope_missing`, `source_mismatch`, `actor_not_permitted`
* the present state forbids it: `mission_terminal`, `stale_epoch`, `transition_refused`, `lane_paused`, ...
* the environment is not fit: `data_folder_unusable`, `database_newer`, `database_owned`, `port_in_use`
* storage: `storage_busy`, `storage_failed`
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dragancorp_contracts.errors import CATALOGUE, CatalogueEntry, ErrorCode
from dragancorp_contracts.judge import Violation

__all__ = ["CATALOGUE", "DraganError", "ErrorCode", "Violation"]


class DraganError(Exception):
    """The one root of all errors that carry a stable code.

    `violations` lists every broken rule; `facts` holds values a program may want (JSON-able).
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        violations: Iterable[Violation] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail
        self.violations = tuple(violations)
        self.facts = dict(facts or {})

    @property
    def entry(self) -> CatalogueEntry:
        """The catalogue's entry: status, title, hint, retryable."""
        return CATALOGUE[self.code]

    def problem(self, *, instance: str | None = None, trace_id: str | None = None) -> dict[str, Any]:
        """The error as problem details (RFC 9457), the shape of `specs/errors`."""
        entry = self.entry
        body: dict[str, Any] = {
            "type": f"https://dragancorp.dev/errors/{self.code.value}",
            "title": entry.title,
            "status": entry.status,
            "code": self.code.value,
            "detail": self.detail[:8000],
            "hint": entry.hint,
            "retryable": entry.retryable,
        }
        if instance is not None:
            body["instance"] = instance[:4000]
        if self.violations:
            body["violations"] = [violation.as_json() for violation in self.violations[:1000]]
        if self.facts:
            body["facts"] = self.facts
        if trace_id is not None:
            body["trace_id"] = trace_id
        return body
