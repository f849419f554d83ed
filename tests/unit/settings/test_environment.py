"""Settings from the environment: what is read, what each changes, and what is refused by name."""

import os
from pathlib import Path

import pytest

from dragancorp.control_plane import is_postgres, sqlite_path
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lanes.configuration import configure_lanes
from dragancorp.settings import LaneFlags, Settings

LANE = {"vp_id": "vp.coder.primary", "flag": "CODER_VP", "executor": {"type": "automation"}}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)


def refused(variables: dict[str, str]) -> str:
    with pytest.raises(DraganError) as caught:
        LaneFlags.read("CODER_VP", variables)
    assert caught.value.code is ErrorCode.SETTINGS_INVALID
    return str(caught.value)


def test_nothing_set_is_the_defaults() -> None:
    settings = Settings.from_environment()
    assert (settings.runtime_db_url, settings.ops_token, settings.tokens_file) == (None, None, None)
    assert settings.instance_id == "local"
    assert LaneFlags.read("CODER_VP", {}) == LaneFlags()
    assert not LaneFlags().on


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_RUNTIME_DB_URL", "sqlite:////var/lib/state.db")
    monkeypatch.setenv("UA_OPS_TOKEN", "secret")
    monkeypatch.setenv("UA_TOKENS_FILE", "/etc/tokens.json")
    monkeypatch.setenv("UA_INSTANCE_ID", "gateway-1")
    settings = Settings.from_environment()
    assert settings.runtime_db_url == "sqlite:////var/lib/state.db"
    assert settings.ops_token is not None
    assert settings.ops_token.get_secret_value() == "secret"
    assert (settings.tokens_file, settings.instance_id) == (Path("/etc/tokens.json"), "gateway-1")
    assert "secret" not in repr(settings)


def test_a_bad_setting_is_refused_by_its_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_INSTANCE_ID", "../gateway")
    with pytest.raises(DraganError) as caught:
        Settings.from_environment()
    assert caught.value.code is ErrorCode.SETTINGS_INVALID
    assert "UA_INSTANCE_ID" in str(caught.value)


@pytest.mark.parametrize("text", ["1", "true", "YES", " on "])
def test_ways_to_say_yes(text: str) -> None:
    assert LaneFlags.read("CODER_VP", {"UA_ENABLE_CODER_VP": text}).enabled


@pytest.mark.parametrize("text", ["", "0", "False", "no", "off"])
def test_ways_to_say_no(text: str) -> None:
    assert not LaneFlags.read("CODER_VP", {"UA_ENABLE_CODER_VP": text}).enabled


@pytest.mark.parametrize(
    "name",
    ["UA_ENABLE_CODER_VP", "UA_DISABLE_CODER_VP", "UA_CODER_VP_SHADOW_MODE", "UA_CODER_VP_FORCE_FALLBACK"],
)
def test_anything_else_is_refused_by_the_variables_name(name: str) -> None:
    assert name in refused({name: "perhaps"})


@pytest.mark.parametrize("text", ["29.9", "0", "-1", "nan", "inf", "86401", "soon", "1e400"])
def test_a_lease_ttl_below_thirty_seconds_or_senseless_is_refused(text: str) -> None:
    assert "UA_CODER_VP_LEASE_TTL_SECONDS" in refused({"UA_CODER_VP_LEASE_TTL_SECONDS": text})


def test_flags_of_one_lane_are_no_other_lanes() -> None:
    variables = {"UA_ENABLE_CODER_VP": "1", "UA_DISABLE_RESEARCH": "1"}
    assert LaneFlags.read("CODER_VP", variables).on
    assert not LaneFlags.read("RESEARCH", variables).on
    assert LaneFlags.read(None, {}).on  # a lane without a flag is on


def test_disable_and_force_fallback_beat_enable() -> None:
    enabled = {"UA_ENABLE_CODER_VP": "1"}
    assert LaneFlags.read("CODER_VP", enabled).on
    assert not LaneFlags.read("CODER_VP", enabled | {"UA_DISABLE_CODER_VP": "1"}).on
    assert not LaneFlags.read("CODER_VP", enabled | {"UA_CODER_VP_FORCE_FALLBACK": "1"}).on
    assert LaneFlags.read("CODER_VP", enabled | {"UA_CODER_VP_SHADOW_MODE": "1"}).on


def test_the_lease_ttl_of_the_environment_beats_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (configured,) = configure_lanes([{**LANE, "lease_ttl": 60}], tmp_path)
    assert (configured.policy.lease_ttl, configured.policy.heartbeat_interval) == (60, 15)
    monkeypatch.setenv("UA_CODER_VP_LEASE_TTL_SECONDS", "120")
    (configured,) = configure_lanes([{**LANE, "lease_ttl": 60}], tmp_path)
    assert (configured.policy.lease_ttl, configured.policy.heartbeat_interval) == (120, 30)


def test_a_lease_ttl_too_short_for_the_files_heartbeat_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UA_CODER_VP_LEASE_TTL_SECONDS", "30")
    with pytest.raises(DraganError) as caught:
        configure_lanes([{**LANE, "lease_ttl": 60, "heartbeat_interval": 15}], tmp_path)
    assert caught.value.code is ErrorCode.SETTINGS_INVALID


def test_a_heartbeat_of_exactly_a_third_is_taken_as_the_rule_has_it(tmp_path: Path) -> None:
    # 1.1 is a third of 3.3, though as floats it is a little more.
    (configured,) = configure_lanes([{**LANE, "lease_ttl": 3.3, "heartbeat_interval": 1.1}], tmp_path)
    assert configured.policy.heartbeat_interval == 1.1


def test_the_workspace_folder_of_the_environment_is_the_lanes_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (configured,) = configure_lanes([LANE], tmp_path / "lanes")
    assert configured.root == tmp_path / "lanes" / "vp.coder.primary"
    monkeypatch.setenv("UA_CODER_VP_WORKSPACE_DIR", str(tmp_path / "elsewhere"))
    (configured,) = configure_lanes([LANE], tmp_path / "lanes")
    assert configured.root == tmp_path / "elsewhere"


@pytest.mark.parametrize("url", ["", "state.db", "sqlite://", "sqlite:///", "postgresql://db/x", "SQLITE:///x"])
def test_a_database_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(DraganError) as caught:
        sqlite_path(url)
    assert caught.value.code is ErrorCode.SETTINGS_INVALID


@pytest.mark.parametrize("url", ["postgresql://db.example/missions", "postgres://db.example/missions"])
def test_a_database_url_may_name_a_postgres(url: str) -> None:
    assert is_postgres(url)


@pytest.mark.parametrize(
    "url", ["sqlite:///postgresql://x", "POSTGRESQL://x", "postgresql+psycopg://db/x", "mysql://db"]
)
def test_other_urls_do_not(url: str) -> None:
    assert not is_postgres(url)


def test_a_database_url_names_a_file() -> None:
    assert sqlite_path("sqlite:///state.db") == Path("state.db")
    assert sqlite_path("sqlite:////var/lib/state.db") == Path("/var/lib/state.db")
