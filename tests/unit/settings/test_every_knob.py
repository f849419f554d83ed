"""A knob that changes nothing is a defect: every member of a lane's configuration and every flag has a test."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dragancorp.lanes.configuration import configure_lanes
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.settings import LaneFlags, Settings
from dragancorp_contracts import resources

TESTS = Path(__file__).parents[2]
SEEN = "integration/delegation/test_what_the_caller_sees.py"
PROGRAMS = "integration/lanes/test_programs.py"
STAGES = "integration/delegation/test_stages.py"
STAY = "integration/delegation/test_turns_that_stay.py"
WORKING = "integration/lanes/test_working.py"
STOPPING = "integration/lanes/test_stopping.py"
RESTARTS = "integration/lanes/test_restarts.py"
KNOBS = "integration/lanes/test_knobs.py"
SERVING = "integration/cli/test_serving.py"
RETENTION = "integration/registry/test_retention.py"
ACCESS = "unit/cli/test_access.py"
ROUTING = "unit/gateway/test_routing.py"
REASONS = "unit/gateway/test_reasons.py"
EXECUTOR = "unit/executors/test_automation_refusals.py"

LANE_MEMBERS: Mapping[str, tuple[str, str]] = {
    "vp_id": (STAY, "test_of_several_lanes_the_one_that_is_meant_gets_the_turn"),
    "executor.type": (EXECUTOR, "test_a_configuration_that_makes_no_executor_is_a_clear_error"),
    "executor.allow": (SEEN, "test_a_forbidden_command_is_refused_before_anything_is_stored"),
    "executor.command": (
        "unit/executors/test_tool.py",
        "test_the_mission_stands_among_its_words_and_never_meets_a_shell",
    ),
    "executor.resume_command": (PROGRAMS, "test_a_tool_goes_on_in_its_own_session_also_after_a_restart"),
    "executor.session_member": (PROGRAMS, "test_a_tool_goes_on_in_its_own_session_also_after_a_restart"),
    "executor.target": ("unit/executors/test_callable.py", "test_what_it_yields_is_passed_on"),
    "executor.environment": (KNOBS, "test_commands_see_the_variables_that_the_lane_names"),
    "executor.cancel_grace_seconds": (KNOBS, "test_a_command_has_the_lanes_grace_to_stop"),
    "aliases": (ROUTING, "test_a_lane_is_meant_by_name_or_by_a_marker_as_a_whole_word"),
    "markers": (STAY, "test_turns_are_counted_by_reason_and_the_share_is_of_those_that_meant_the_lane"),
    "routing.signals": (REASONS, "test_signals_mean_the_lane_only_when_there_are_enough_different_ones"),
    "routing.signals_needed": (REASONS, "test_signals_mean_the_lane_only_when_there_are_enough_different_ones"),
    "routing.internal_markers": (REASONS, "test_what_the_system_itself_says_stays_even_where_the_lane_is_meant"),
    "routing.saturated_at": (STAY, "test_turns_stay_while_the_lane_has_as_much_to_do_as_it_may"),
    "routing.cohort_percent": (REASONS, "test_a_stage_reaches_the_share_of_sessions_that_the_lane_says"),
    "routing.broadened_percent": (REASONS, "test_a_stage_reaches_the_share_of_sessions_that_the_lane_says"),
    "routing.initial_stage": (REASONS, "test_the_flags_are_a_ceiling_over_the_stage"),
    "flag": (STAY, "test_a_lane_that_is_off_does_not_keep_the_others_from_their_turns"),
    "fallback_path": (STAY, "test_of_several_lanes_the_one_that_is_meant_gets_the_turn"),
    "parallel_missions": (WORKING, "test_with_a_workspace_each_two_missions_really_run_at_once"),
    "queue_limit": (SEEN, "test_a_full_queue_is_a_lane_that_cannot_start"),
    "quotas.claims_per_hour": (KNOBS, "test_claims_beyond_the_quota_wait"),
    "lease_ttl": (KNOBS, "test_the_lease_is_good_for_as_long_as_the_lane_says"),
    "heartbeat_interval": (KNOBS, "test_the_holder_renews_as_often_as_the_lane_says"),
    "start_timeout": (SEEN, "test_a_mission_claimed_too_late_is_completed_by_the_primary"),
    "cancel_deadline": (STOPPING, "test_a_holder_that_does_not_stop_in_time_is_cancelled_without_its_word"),
    "idle_limit": (STOPPING, "test_an_executor_that_says_nothing_is_stopped_after_the_idle_limit"),
    "backstop": (STOPPING, "test_the_backstop_ends_any_attempt_whatever_it_says"),
    "recovery.policy": (RESTARTS, "test_a_lane_that_gives_up_at_once_fails_a_mission_whose_worker_was_lost"),
    "recovery.max_attempts": (RESTARTS, "test_a_mission_that_keeps_killing_its_worker_is_parked_and_the_lane_goes_on"),
    "recovery.backoff": (KNOBS, "test_a_mission_that_lost_its_worker_waits_for_as_long_as_the_lane_says"),
    "workspace.kind": (RESTARTS, "test_a_lane_keeps_its_session_continuity_and_workspace_over_a_restart"),
    "workspace.scope": (WORKING, "test_with_a_workspace_each_two_missions_really_run_at_once"),
    "workspace.repository": (WORKING, "test_a_set_up_that_fails_degrades_the_lane_until_it_is_mended"),
    "workspace.branch": (KNOBS, "test_the_workspace_is_a_worktree_of_the_repository_on_the_branch_from_the_base"),
    "workspace.base": (KNOBS, "test_the_workspace_is_a_worktree_of_the_repository_on_the_branch_from_the_base"),
}
FOR_PEOPLE = {"description"}

FLAGS: Mapping[str, tuple[str, str]] = {
    "UA_ENABLE_CODER_VP": (STAY, "test_a_flag_keeps_every_turn_on_the_primary_path"),
    "UA_DISABLE_CODER_VP": (STAY, "test_a_flag_keeps_every_turn_on_the_primary_path"),
    "UA_CODER_VP_SHADOW_MODE": (STAY, "test_a_flag_keeps_every_turn_on_the_primary_path"),
    "UA_CODER_VP_FORCE_FALLBACK": (STAY, "test_a_flag_keeps_every_turn_on_the_primary_path"),
    "UA_CODER_VP_WORKSPACE_DIR": (KNOBS, "test_the_environments_folder_is_where_the_lane_works"),
    "UA_CODER_VP_LEASE_TTL_SECONDS": (KNOBS, "test_the_environments_lease_time_comes_first"),
    "UA_INSTANCE_ID": (KNOBS, "test_the_planes_name_is_the_source_of_what_it_is_asked"),
    "UA_RETENTION_DAYS": (RETENTION, "test_the_plane_archives_by_itself_as_time_goes_by"),
    "UA_ROLLOUT_POLICY_FILE": (STAGES, "test_the_lane_goes_by_the_policy_of_the_file"),
    "UA_RUNTIME_DB_URL": (SERVING, "UA_RUNTIME_DB_URL"),
    "UA_INTERNAL_API_TOKEN": (ACCESS, "test_the_internal_token_is_what_workers_show_and_a_token_that_is_configured"),
    "UA_OPS_TOKEN": (SERVING, "UA_OPS_TOKEN"),
    "UA_TOKENS_FILE": (SERVING, "UA_TOKENS_FILE"),
}

# Numbers that decisions depend on: the configuration's member, the policy's, and a value that is not the default.
NUMBERS = (
    ("lease_ttl", "lease_ttl", 77),
    ("start_timeout", "start_timeout", 7),
    ("cancel_deadline", "cancel_deadline", 7.5),
    ("idle_limit", "idle_limit", 70),
    ("backstop", "backstop", 700),
    ("queue_limit", "queue_limit", 0),
    ("recovery.max_attempts", "max_attempts", 1),
    ("recovery.backoff", "backoff", 0),
    ("recovery.policy", "retry", "fail"),
    ("quotas.claims_per_hour", "claims_per_hour", 9),
    ("heartbeat_interval", "heartbeat_interval", 0.1),
)


def members(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, member in schema["properties"].items():
        if "properties" in member:
            yield from members(member, f"{prefix}{name}.")
        else:
            yield prefix + name


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_"))


def test_every_member_of_a_lanes_configuration_has_a_test_that_shows_its_effect() -> None:
    assert set(members(resources.read_document("lane"))) - FOR_PEOPLE == set(LANE_MEMBERS)


def test_every_variable_that_is_read_has_a_test_that_shows_its_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noting(dict[str, str]):
        asked: set[str] = set()  # noqa: RUF012

        def get(self, name: str, default: Any = None) -> Any:
            self.asked.add(name)
            return default

    LaneFlags.read("CODER_VP", Noting())
    assert Noting.asked | {f"UA_{name.upper()}" for name in Settings.model_fields} == set(FLAGS)


@pytest.mark.parametrize("knob", [*LANE_MEMBERS, *FLAGS])
def test_the_test_of_a_knob_is_there(knob: str) -> None:
    path, name = {**LANE_MEMBERS, **FLAGS}[knob]
    if name == knob:  # shown by a whole module that serves with it
        assert f"{knob}=" in (TESTS / path).read_text(encoding="utf-8")
    else:
        assert name in names_in(path)


@pytest.mark.parametrize(("member", "attribute", "value"), NUMBERS)
def test_every_number_of_the_configuration_reaches_the_policy(
    tmp_path: Path, member: str, attribute: str, value: Any
) -> None:
    lane: dict[str, Any] = {"vp_id": "vp.a", "executor": {"type": "automation"}}
    group, _, name = member.rpartition(".")
    (plain,) = configure_lanes([lane], tmp_path)
    (turned,) = configure_lanes([lane | ({group: {name: value}} if group else {name: value})], tmp_path)
    found = getattr(turned.policy, attribute)
    assert found == (False if value == "fail" else value)
    assert found != getattr(plain.policy, attribute)


def test_what_is_left_out_is_the_contracts_default(tmp_path: Path) -> None:
    schema = resources.read_document("lane")["properties"]
    (plain,) = configure_lanes([{"vp_id": "vp.a", "executor": {"type": "automation"}}], tmp_path)
    policy: LanePolicy = plain.policy
    for member, attribute, _ in NUMBERS:
        group, _, name = member.rpartition(".")
        described = schema[group]["properties"][name] if group else schema[name]
        expected = {"recovery.policy": True, "heartbeat_interval": schema["lease_ttl"]["default"] / 4}.get(
            member, described.get("default")
        )
        assert getattr(policy, attribute) == expected, member
    assert policy.parallel_missions == schema["parallel_missions"]["default"]
    assert policy == LanePolicy(vp_id="vp.a")
