"""What a mission's programs are told by variables: ids, folders and the end, as lane-process/v1 has it; no secrets."""

from datetime import datetime

from dragancorp.executors.workspace import Workspace
from dragancorp.lanes.link import Claimed
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.envelopes import ends_by


def mission_environment(
    claimed: Claimed, workspace: Workspace, now: datetime, backstop: float, agent_session: str | None = None
) -> dict[str, str]:
    """The variables of an attempt that starts `now`; `backstop` is the lane's, in seconds."""
    session = {} if agent_session is None else {"DRAGAN_SESSION_ID": agent_session}
    return session | {
        "DRAGAN_VP_ID": claimed.vp_id,
        "DRAGAN_MISSION_ID": claimed.mission_id,
        "DRAGAN_ATTEMPT": str(claimed.attempt),
        "DRAGAN_WORKSPACE": str(workspace.path),
        "DRAGAN_ARTIFACTS": str(workspace.artifacts_dir(claimed.mission_id)),
        "DRAGAN_DEADLINE_AT": utc_text(ends_by(claimed.envelope, now, backstop)),
    }
