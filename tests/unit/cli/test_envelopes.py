from dragancorp.cli.envelopes import envelope, new_key
from dragancorp.rules import violations


def test_options_make_a_valid_envelope() -> None:
    made = envelope(lane="vp.coder.primary", objective="x", commands=["echo 'a b'"], mission_type=None, key="k")

    assert violations("mission-envelope", made) == []
    assert violations("automation-mission", made["extensions"][0]["value"]) == []
    assert made["mission_type"] == "automation"


def test_a_mission_without_commands_has_no_extension() -> None:
    made = envelope(lane="vp.coder.primary", objective="x", commands=[], mission_type="coding", key="k")

    assert violations("mission-envelope", made) == []
    assert made["mission_type"] == "coding"
    assert "extensions" not in made


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100
