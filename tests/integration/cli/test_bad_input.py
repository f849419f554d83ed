"""What a user can get wrong, and how it is answered: a code, every broken rule, what to do next; never a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest


def dispatch_text(dragan: Any, text: str) -> Any:
    return dragan("mission", "dispatch", "-", "--json", stdin=text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("malformed", '{"vp_id": '),
        ("NaN", '{"vp_id": "vp.coder.primary", "budget": {"max_cost_usd": NaN}}'),
        ("a key twice", '{"vp_id": "vp.coder.primary", "vp_id": "vp.coder.primary"}'),
        ("a lone surrogate", '{"objective": "\\ud800"}'),
        ("ten thousand levels", "[" * 10_000 + "]" * 10_000),
        ("nothing", ""),
    ],
)
def test_json_that_readers_disagree_about_is_refused(dragan: Any, name: str, text: str) -> None:
    done = dispatch_text(dragan, text)

    assert done.exit_code == 1
    assert done.out == ""
    assert (done.problem["status"], done.problem["code"]) == (400, "json_invalid")
    assert done.problem["hint"]


def test_every_broken_rule_is_named_with_its_place(dragan: Any, lane: str) -> None:
    text = json.dumps({"vp_id": lane, "mission_type": "cooking", "objective": "", "idempotency_key": "k", "extra": 1})

    as_json = dispatch_text(dragan, text)
    for_people = dragan("mission", "dispatch", "-", stdin=text)

    assert as_json.exit_code == for_people.exit_code == 1
    assert as_json.problem["code"] == "document_invalid"
    rules = {(one["pointer"], one["rule"]) for one in as_json.problem["violations"]}
    assert ("/mission_type", "mission-envelope/v1#/properties/mission_type/enum") in rules
    assert ("/objective", "mission-envelope/v1#/properties/objective/minLength") in rules
    assert len(rules) == 3
    for pointer, rule in rules:
        assert rule in for_people.err
        assert pointer in for_people.err
    assert "hint: " in for_people.err


def test_an_envelope_over_the_limit_is_refused(dragan: Any, lane: str) -> None:
    text = json.dumps({"vp_id": lane, "objective": "x" * 1_100_000})

    done = dispatch_text(dragan, text)

    assert (done.exit_code, done.problem["code"]) == (1, "body_too_large")


def test_an_id_that_climbs_out_is_wrong_usage(dragan: Any) -> None:
    done = dragan("mission", "show", "../../healthz")

    assert (done.exit_code, done.out) == (2, "")


def test_an_unknown_lane_is_refused(dragan: Any) -> None:
    ask = ("mission", "dispatch", "--lane", "vp.nobody", "--objective", "x", "--run", "echo x")

    done = dragan(*ask)

    assert done.exit_code == 1
    assert "(lane_unknown)" in done.err
    assert "dragan lane list" in done.err


def test_a_key_used_again_for_another_request_is_refused(dragan: Any, lane: str) -> None:
    ask = ("mission", "dispatch", "--lane", lane, "--run", "echo x", "--key", "key-reused", "--json", "--objective")
    assert dragan(*ask, "one").exit_code == 0

    done = dragan(*ask, "another")

    assert (done.exit_code, done.problem["code"]) == (1, "idempotency_key_reused")


def test_a_command_outside_the_allow_list_is_refused_before_anything_starts(dragan: Any, lane: str) -> None:
    before = len(dragan.ask("mission", "list", "--all")["missions"])

    done = dragan(
        "mission", "dispatch", "--lane", lane, "--objective", "x", "--run", "echo x", "--run", "rm -rf /", "--json"
    )

    assert (done.exit_code, done.problem["code"]) == (1, "command_not_allowed")
    assert "rm" in json.dumps(done.problem["violations"])
    assert len(dragan.ask("mission", "list", "--all")["missions"]) == before


@pytest.mark.parametrize("command", ["show", "watch", "cancel"])
def test_an_unknown_mission_is_said_to_be_unknown(dragan: Any, command: str) -> None:
    done = dragan("mission", command, "m-nobody", "--json")

    assert (done.exit_code, done.problem["code"]) == (1, "mission_unknown")


def test_a_finished_mission_cannot_be_cancelled(dragan: Any) -> None:
    mission_id = dragan.dispatch("echo done")
    assert dragan("mission", "watch", mission_id).exit_code == 0

    done = dragan("mission", "cancel", mission_id)

    assert done.exit_code == 1
    assert "(mission_terminal)" in done.err
    assert dragan.state(mission_id) == "completed"


def test_a_wrong_token_is_refused_and_where_to_put_another_is_said(dragan: Any) -> None:
    for token in ("drg_wrong", "no\x1btoken"):
        done = dragan("mission", "list", "--token", token)

        assert done.exit_code == 1
        assert "(unauthenticated)" in done.err
        assert "UA_OPS_TOKEN" in done.err


def test_a_state_that_does_not_exist_is_refused_by_its_rule(dragan: Any) -> None:
    done = dragan("mission", "list", "--state", "sleeping", "--json")

    assert (done.exit_code, done.problem["code"]) == (1, "parameter_invalid")
    assert "running" in json.dumps(done.problem["violations"])


def test_a_server_that_is_not_there_is_an_unfit_environment(alone: Any) -> None:
    by_file = alone("mission", "list")
    by_url = alone("lane", "list", "--url", "http://127.0.0.1:9", "--json")
    no_url = alone("lane", "list", "--url", "127.0.0.1:9")

    assert by_file.exit_code == by_url.exit_code == no_url.exit_code == 3
    assert "plane.json" in by_file.err
    assert "dragan dev" in by_file.err
    assert by_url.problem["code"] == "server_unreachable"
    assert by_url.out == ""
    assert "(settings_invalid)" in no_url.err


def test_a_stale_plane_file_leads_to_a_hint_not_to_a_traceback(alone: Any, folder: Path) -> None:
    (folder / ".dragan").mkdir()
    (folder / ".dragan" / "plane.json").write_text(
        '{"url": "http://127.0.0.1:9", "token": "t", "pid": 999999999, "instance_id": "local"}'
    )

    done = alone("mission", "list")

    assert done.exit_code == 3
    assert "(server_unreachable)" in done.err
