"""What `dragan doctor` looks at, in this order: the host, the configuration, the data folder, the running plane."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from dragancorp.cli import host_checks, plane_file
from dragancorp.cli.check import Check, fail, ok, warn
from dragancorp.cli.database_url import database_url, shown
from dragancorp.errors import DraganError
from dragancorp.lanes_file import Lane, read_lanes
from dragancorp.rollout.policy import RolloutPolicy
from dragancorp.settings import LaneFlags, Settings
from dragancorp.tokens_file import read_tokens

HEALTH_SECONDS = 3.0


def examine(data: Path, lanes_file: Path) -> list[Check]:
    """All checks."""
    lanes, lanes_check = check_lanes(lanes_file)
    return [
        host_checks.python(sys.version_info[:3]),
        host_checks.platform(sys.platform),
        host_checks.sqlite(),
        host_checks.git(needed=any(lane.get("workspace", {}).get("kind") == "worktree" for lane in lanes)),
        host_checks.clock(),
        check_settings(lanes),
        lanes_check,
        check_programs(lanes),
        check_policy(),
        check_tokens(),
        host_checks.folder(data),
        host_checks.fsync(data),
        check_database(data),
        check_plane(data),
    ]


def check_lanes(path: Path) -> tuple[Sequence[Lane], Check]:
    """The lanes of the file, and how it reads."""
    if not path.exists():
        return (), fail("lanes file", f"there is no {path}", "Write one, or name it with --lanes.")
    try:
        lanes = read_lanes(path)
    except DraganError as error:
        return (), refused("lanes file", error)
    return lanes, ok("lanes file", f"{path}: {', '.join(lane['vp_id'] for lane in lanes) or 'no lane'}")


def check_settings(lanes: Sequence[Lane]) -> Check:
    """The environment's settings and the flags of each lane."""
    try:
        settings = Settings.from_environment()
        off = [lane["vp_id"] for lane in lanes if not LaneFlags.read(lane.get("flag")).on]
    except DraganError as error:
        return refused("settings", error)
    if off:
        return warn(
            "settings", f"switched off by the environment: {', '.join(off)}", "Set the lane's UA_ENABLE_ flag to 1."
        )
    return ok("settings", f"instance {settings.instance_id}")


def check_programs(lanes: Sequence[Lane]) -> Check:
    """Whether the programs of the lanes are there and may be run, as the worker would look for them."""
    wanted = {lane["vp_id"]: lane["executor"]["command"][0] for lane in lanes if "command" in lane["executor"]}
    lacking = [f"{vp_id}: {program}" for vp_id, program in wanted.items() if shutil.which(program) is None]
    if lacking:
        return fail(
            "programs",
            f"not there, or may not be run: {', '.join(lacking)}",
            "Install the program, make it executable, or mend executor.command in the lanes file.",
        )
    return ok("programs", ", ".join(sorted(set(wanted.values()))) or "no lane needs one")


def check_policy() -> Check:
    """The rollout policy in force."""
    try:
        policy = RolloutPolicy.read(Settings.from_environment().rollout_policy_file)
    except DraganError as error:
        return refused("rollout policy", error)
    return ok("rollout policy", f"{policy.document['policy_id']}, {policy.digest[:12]}")


def check_tokens() -> Check:
    """The tokens that the environment names."""
    try:
        settings = Settings.from_environment()
        tokens = read_tokens(settings.tokens_file) if settings.tokens_file is not None else ()
    except DraganError as error:
        return refused("tokens", error)
    operator = settings.ops_token is not None and bool(settings.ops_token.get_secret_value())
    if not tokens and not operator:
        return ok("tokens", "none configured: a server lets in this host only")
    said = [f"{len(tokens)} in {settings.tokens_file}"] if settings.tokens_file is not None else []
    return ok("tokens", ", ".join([*said, *(["UA_OPS_TOKEN"] if operator else [])]))


def check_database(data: Path) -> Check:
    """Whether the registry can be read, and whether its schema is this version's."""
    from dragancorp.control_plane import schema_at
    from dragancorp.registry.migrations import Phase

    try:
        url = database_url(data)
        found = schema_at(url)
    except DraganError as error:
        return refused("database", error)
    said = f"{shown(url)}, {found.server}, "
    if found.current is None:
        return ok("database", f"{said}without a schema: the first start makes it")
    if not found.pending:
        return ok("database", f"{said}schema {found.current}")
    left = ", ".join(revision.name for revision in found.pending)
    if all(revision.phase is Phase.AFTER for revision in found.pending):
        return warn(
            "database",
            f"{said}schema {found.current}; after the deploy: {left}",
            "Run `dragan database upgrade --phase after` once no older control plane or worker is left.",
        )
    return ok("database", f"{said}schema {found.current}; the next start brings it to {found.pending[-1].name}")


def check_plane(data: Path) -> Check:
    """Whether the plane that says it serves this folder does."""
    plane = plane_file.read(data)
    if plane is None:
        if (data / plane_file.NAME).exists():
            return fail(
                "plane", f"{data / plane_file.NAME} cannot be read", "Remove it, or start the plane again as its owner."
            )
        return ok("plane", f"none runs on {data}; `dragan dev` starts one")
    if not plane_file.is_alive(plane.pid):
        return warn(
            "plane",
            f"{data / plane_file.NAME} was left by process {plane.pid}, which is gone",
            "Nothing is lost: the next `dragan dev` writes it anew.",
        )
    return _reached(plane)


def _reached(plane: plane_file.PlaneFile) -> Check:
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(), timeout=HEALTH_SECONDS) as http:
            answer = http.get(f"{plane.url}/healthz")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return fail(
            "plane",
            f"process {plane.pid} does not answer at {plane.url}: {error}",
            "Look at its log; end that process and start it again.",
        )
    if not answer.is_success:
        return fail("plane", f"{plane.url} answers {answer.status_code}", "Look at its log.")
    return ok("plane", f"process {plane.pid} serves {plane.url} as {plane.instance_id}")


def refused(name: str, error: DraganError) -> Check:
    """A failure that has a code, a detail and a hint of its own."""
    return fail(name, error.detail, error.entry.hint)
