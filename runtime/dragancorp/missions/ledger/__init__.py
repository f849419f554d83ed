"""Ledgers verified: rows rebuilt from entries through `decide`, differences and breaks named."""

from dragancorp.missions.ledger.audit import Reader, Report, verify_archives, verify_page, verify_store
from dragancorp.missions.ledger.findings import OUTSIDE_THE_LEDGER, Finding, Rule
from dragancorp.missions.ledger.mission_replay import Replay, replay_mission
from dragancorp.missions.ledger.session_replay import SessionReplay, replay_session

__all__ = [
    "OUTSIDE_THE_LEDGER",
    "Finding",
    "Reader",
    "Replay",
    "Report",
    "Rule",
    "SessionReplay",
    "replay_mission",
    "replay_session",
    "verify_archives",
    "verify_page",
    "verify_store",
]
