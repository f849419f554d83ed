"""A lane session's row, rebuilt from its entries by asking `decide` the same questions again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from dragancorp.lifecycle import decide
from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import By, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy, SessionFacts
from dragancorp.lifecycle.rows import SessionRow
from dragancorp.lifecycle.session import SessionTransition
from dragancorp.missions.ledger.chain import Event, chain_findings, differing
from dragancorp.missions.ledger.findings import Finding, Rule
from dragancorp_contracts.lifecycle import SESSION_TRANSITIONS, Actor, SessionState

# What a command says beside its trigger stands in the entry's detail, under the same names.
SAID = tuple(field.name for field in fields(SessionCommand) if field.name not in {"trigger", "by", "lease_epoch"})
BY_ID: Mapping[str, SessionTransition] = {transition.id: transition for transition in SESSION_TRANSITIONS}


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who took a lane under an epoch."""

    owner: str | None
    vp_runtime_id: str | None


@dataclass(frozen=True, kw_only=True)
class SessionReplay:
    """The row that the entries make (None: none), every lease that was ever given, and what is wrong."""

    row: SessionRow | None
    leases: Mapping[int, Lease]
    findings: tuple[Finding, ...]


def replay_session(vp_id: str, events: Sequence[Event]) -> SessionReplay:
    """Rebuild a lane session; entries after one that cannot have been decided are only checked as a chain."""
    findings = list(chain_findings("session", vp_id, events))
    row: SessionRow | None = None
    try:
        for event in events:
            row = _after(vp_id, row, event)
    except (KeyError, ValueError, TypeError) as error:
        detail = str(error) if isinstance(error, _UndecidedError) else f"it cannot be read: {error!r}"
        rule = Rule.EVENT_NOT_DECIDED if isinstance(error, _UndecidedError) else Rule.DOCUMENT_UNREADABLE
        findings.append(Finding(subject="session", id=vp_id, rule=rule, sequence=event.get("sequence"), detail=detail))
        row = None
    if not events:
        findings.append(Finding(subject="session", id=vp_id, rule=Rule.EVENT_MISSING, detail="it has no entries"))
    return SessionReplay(row=row, leases=_leases(events), findings=tuple(findings))


class _UndecidedError(ValueError):
    pass


def _after(vp_id: str, row: SessionRow | None, event: Event) -> SessionRow:
    transition = BY_ID.get(event.get("transition", ""))
    if transition is None:
        raise _UndecidedError("it names no step of the life cycle")
    now, detail, actor = datetime.fromisoformat(event["emitted_at"]), event.get("detail", {}), event["actor"]
    fresh = detail.get("continuity_id", "")
    if row is None:
        row = SessionRow(
            vp_id=vp_id,
            vp_session_id=event["vp_session_id"],
            status=SessionState.IDLE,
            continuity_id=fresh,
            created_at=now,
            updated_at=now,
        )
    (trigger,) = transition.triggers
    command = SessionCommand(
        trigger=trigger,
        by=By(kind=Actor(actor["kind"]), name=actor["name"], reason=actor.get("reason"), way=actor.get("way")),
        lease_epoch=row.lease_epoch,
        **{name: detail[name] for name in SAID if name in detail},
    )
    facts = SessionFacts(lane=LanePolicy(vp_id=vp_id), fresh_id=fresh, observed_expired=True)
    answer = decide(row, command, facts, now)
    if isinstance(answer, Refusal):
        raise _UndecidedError(f"the life cycle refuses it: {answer.detail}")
    wrong = differing(answer.events, [event])
    if wrong is not None:
        raise _UndecidedError(f"the life cycle would have written it otherwise: {wrong}")
    return replace(answer.row, last_sequence=event["sequence"], last_digest=event.get("digest"))


def _leases(events: Sequence[Event]) -> dict[int, Lease]:
    leases: dict[int, Lease] = {}
    for event in events:
        transition, detail = BY_ID.get(event.get("transition", "")), event.get("detail", {})
        if transition is not None and transition.sets.get("lease") == "acquire":
            lease = Lease(owner=detail.get("owner"), vp_runtime_id=detail.get("vp_runtime_id"))
            leases[event.get("lease_epoch", 0)] = lease
    return leases
