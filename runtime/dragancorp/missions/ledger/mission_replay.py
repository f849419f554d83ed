"""A mission's row, rebuilt from its envelope and its entries by asking `decide` the same questions again. Pure.

An entry says which step was taken, by whom, when and with what; that makes the command again. What the world around
was like (the queue, the quota, the lane's policy) is not in the ledger: it is taken to have been such that the step
was possible, and everything the mission itself must fulfil is judged anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dragancorp.lifecycle import decide
from dragancorp.lifecycle.change import Change, Refusal
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import LanePolicy, MissionFacts
from dragancorp.lifecycle.mission import follow_up
from dragancorp.lifecycle.mission_events import EVENT_CONTENT
from dragancorp.lifecycle.mission_step import MissionTransition
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.envelopes import Draft, draft
from dragancorp.missions.ledger.chain import Event, chain_findings, differing
from dragancorp.missions.ledger.findings import Finding, Rule, shown
from dragancorp_contracts.lifecycle import (
    MISSION_TRANSITIONS,
    Actor,
    Holder,
    MissionKind,
    MissionTrigger,
    ReasonCode,
    SessionState,
)

BY_ID: Mapping[str, MissionTransition] = {transition.id: transition for transition in MISSION_TRANSITIONS}


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The row that the entries make (None: they make none), and what is wrong with them."""

    row: MissionRow | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way an entry may have come about: the row just before it, the command and the facts."""

    row: MissionRow
    command: MissionCommand
    facts: MissionFacts
    now: datetime

    def decided(self) -> Change[MissionRow] | Refusal:
        """What the life cycle says to it."""
        return decide(self.row, self.command, self.facts, self.now)


class MissionReplay:
    """Goes through the entries of one mission."""

    def __init__(self, envelope: Mapping[str, Any], assigned: Mapping[str, Any], events: Sequence[Event]) -> None:
        self._envelope = envelope
        self._assigned = assigned
        self._events = events
        self._id = str(assigned.get("mission_id"))

    def run(self) -> Replay:
        """Rebuild the row; entries after one that cannot have been decided are only checked as a chain."""
        findings = list(chain_findings("mission", self._id, self._events))
        if not self._events:
            return Replay(row=None, findings=(self._finding(Rule.EVENT_MISSING, 0, "it has no entries at all"),))
        try:
            row = self._replayed()
        except UndecidedError as undecided:
            findings.append(undecided.finding)
            row = None
        except (KeyError, ValueError, TypeError) as error:
            findings.append(self._finding(Rule.DOCUMENT_UNREADABLE, None, f"it cannot be read: {error!r}"))
            row = None
        return Replay(row=row, findings=tuple(findings))

    def _replayed(self) -> MissionRow:
        made = self._draft(self._events[0])
        row, index = made.row, 0
        while index < len(self._events):
            reading, change = self._reading_of(row, index)
            last = self._events[index + len(change.events) - 1]
            # Its place in the chain is judged by itself: one broken link does not make every later entry wrong.
            row = replace(change.row, last_sequence=last["sequence"], last_digest=last.get("digest"))
            index += len(change.events)
            self._expect_follow_up(replace(reading, row=row), made, index)
        return row

    def _draft(self, first: Event) -> Draft:
        return draft(
            {**self._envelope, **self._assigned},
            source_instance_id=self._assigned["source_instance_id"],
            kind=MissionKind(first["kind"]),
            now=datetime.fromisoformat(first["emitted_at"]),
            retry_of=first.get("retry_of"),
        )

    def _reading_of(self, row: MissionRow, index: int) -> tuple[Reading, Change[MissionRow]]:
        event = self._events[index]
        transition = BY_ID.get(event.get("transition", ""))
        if transition is None:
            raise UndecidedError(self._finding(Rule.EVENT_NOT_DECIDED, event, "it names no step of the life cycle"))
        why = ""
        for reading in self._readings(transition, row, event):
            answer = reading.decided()
            if isinstance(answer, Refusal):
                why = why or f"the life cycle refuses it: {answer.detail}"
                continue
            recorded = self._events[index : index + len(answer.events)]
            wrong = differing(answer.events, recorded)
            if wrong is None:
                return reading, answer
            why = f"the life cycle would have written it otherwise: {wrong}"
        raise UndecidedError(self._finding(Rule.EVENT_NOT_DECIDED, event, why))

    def _readings(self, transition: MissionTransition, row: MissionRow, event: Event) -> Iterator[Reading]:
        now = datetime.fromisoformat(event["emitted_at"])
        actor = event["actor"]
        by = By(kind=Actor(actor["kind"]), name=actor["name"], reason=actor.get("reason"), way=actor.get("way"))
        epoch = event.get("lease_epoch", 0)
        facts = MissionFacts(
            lane=_policy_for(transition, row, event, now),
            session=SessionRow(
                vp_id=row.vp_id,
                vp_session_id=row.vp_session_id,
                status=SessionState.ACTIVE,
                lease_owner=by.name,
                lease_epoch=epoch,
                vp_runtime_id=event.get("vp_runtime_id"),
                continuity_id=event.get("continuity_id", ""),
                created_at=now,
                updated_at=now,
            ),
            receipt=True,
            missing_outputs=self._missing_outputs(event),
            artifacts=event.get("artifact_index", ()),
            seconds_running=event.get("ran_seconds"),
        )
        for trigger in sorted(transition.triggers):
            holder = Holder.LANE if trigger is MissionTrigger.CLAIM else row.holder
            reason, content = self._said(transition, trigger, event)
            command = MissionCommand(
                trigger=trigger,
                by=by,
                fence=Fence(attempt=row.attempt, holder=holder, lease_epoch=epoch),
                attempt_as_read=row.attempt,
                reason=reason,
                idempotency_key=event.get("idempotency_key"),
                content=content,
            )
            before = row
            if trigger is MissionTrigger.HOLD_EXPIRED:
                before = replace(row, hold_expires_at=now)  # a primary renews its hold outside the ledger
            yield Reading(row=before, command=command, facts=facts, now=now)

    def _said(
        self, transition: MissionTransition, trigger: MissionTrigger, event: Event
    ) -> tuple[ReasonCode | None, dict[str, Any]]:
        """The reason and the content that the command came with."""
        if transition.id == "C3":
            late = dict(event.get("late_result", {}))
            late.pop("trigger", None)
            reason = late.pop("reason_code", None)
            return (None if reason is None else ReasonCode(reason)), late
        content = {name: event[name] for name in (*EVENT_CONTENT, "recommended_next_action") if name in event}
        content |= {name: event["fallback"][name] for name in ("error", "path") if name in event.get("fallback", {})}
        content |= event.get("budget", {})
        if trigger is MissionTrigger.DISPATCH:
            content["hold_for_approval"] = self._held_for_approval()
        if transition.sets.get("cause") == "command":
            reason = event.get("cause")
        else:
            reason = event.get("reason_code") if transition.reason is None else None
        return (None if reason is None else ReasonCode(reason)), content

    def _held_for_approval(self) -> bool:
        return "*" in self._envelope.get("constraints", {}).get("approval_required", [])

    def _missing_outputs(self, event: Event) -> tuple[str, ...]:
        there = {reference["name"] for reference in event.get("artifact_index", ())}
        wanted = self._envelope.get("artifact_policy", {}).get("required_outputs", [])
        return tuple(name for name in wanted if name not in there)

    def _expect_follow_up(self, reading: Reading, made: Draft, index: int) -> None:
        """What the store does in the same transaction must be the very next entry."""
        following = follow_up(reading.row, reading.command)
        if following is None:
            return
        more = replace(reading, command=following).decided()
        if isinstance(more, Refusal):
            return
        present = self._events[index].get("transition") if index < len(self._events) else None
        if present != more.transition:
            sequence = reading.row.last_sequence + 1
            detail = f"the step {more.transition} must follow at once, and there is {shown(present)}"
            raise UndecidedError(self._finding(Rule.EVENT_MISSING, sequence, detail))

    def _finding(self, rule: Rule, where: Event | int | None, detail: str) -> Finding:
        sequence = where.get("sequence") if isinstance(where, Mapping) else where
        return Finding(subject="mission", id=self._id, rule=rule, sequence=sequence, detail=detail)


class UndecidedError(Exception):
    """The entries go on in a way that the life cycle does not."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.finding = finding


def replay_mission(envelope: Mapping[str, Any], assigned: Mapping[str, Any], events: Sequence[Event]) -> Replay:
    """The row that these entries make of this envelope (as received, and what was assigned), and what is wrong."""
    return MissionReplay(envelope, assigned, events).run()


def _policy_for(transition: MissionTransition, row: MissionRow, event: Event, now: datetime) -> LanePolicy:
    """A lane under which a lost mission ends as its entry says; other steps ask little of it."""
    again = transition.sets.get("backoff", False)
    backoff = 0.0
    if again and "not_before" in event:
        waits = (datetime.fromisoformat(event["not_before"]) - now).total_seconds()
        backoff = waits / 2 ** min(row.failures, 32)
    return LanePolicy(
        vp_id=row.vp_id,
        retry="no_retry" not in transition.when,
        max_attempts=row.failures + (2 if again else 1),
        backoff=backoff,
    )
