"""Rules of lanes, of the file that lists them, and of who may call."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from dragancorp.rules.command_words import SESSION_FIELD, TOOL_FIELDS, fields_in
from dragancorp.rules.rule import Breach, Rule, RulesByContract, parts, repeated
from dragancorp_contracts import resources


@cache
def _lane_default(member: str) -> Any:
    return resources.read_document("lane")["properties"][member]["default"]


def _heartbeat_well_inside_the_lease(lane: Any) -> Iterator[Breach]:
    if "heartbeat_interval" not in lane:
        return
    interval, ttl = lane["heartbeat_interval"], lane.get("lease_ttl", _lane_default("lease_ttl"))
    # Decimals of the digits as written: 1.1 is a third of 3.3, though three times the float 1.1 is more than 3.3.
    if Decimal(str(interval)) * 3 > Decimal(str(ttl)):
        yield "/heartbeat_interval", f"{interval} s is more than a third of lease_ttl, {ttl} s"


def _parallel_missions_apart(lane: Any) -> Iterator[Breach]:
    if lane.get("parallel_missions", 1) > 1 and lane.get("workspace", {}).get("scope", "lane") != "mission":
        yield "/parallel_missions", 'several missions at once need a workspace each: "scope": "mission" in workspace'


_OWN = {"automation": "allow", "process": "command", "tool": "command", "callable": "target"}
"""What an executor works by."""


def _each_executor_its_own(lane: Any) -> Iterator[Breach]:
    executor = lane["executor"]
    kind = executor["type"]
    own = _OWN[kind]
    for other in sorted(set(_OWN.values()) - {own}):
        if other in executor:
            yield f"/executor/{other}", f"a lane of type {kind} works by `{own}`; leave `{other}` out"
    if own not in executor and own != "allow":  # without an allow list nothing is allowed, which is a configuration
        yield "/executor", f"a lane of type {kind} works by `{own}`, and there is none"


def _fields_of_a_tool(lane: Any) -> Iterator[Breach]:
    executor = lane["executor"]
    if executor["type"] != "tool":
        return
    for member, known in (("command", TOOL_FIELDS), ("resume_command", (*TOOL_FIELDS, SESSION_FIELD))):
        for index, word in enumerate(executor.get(member, ())):
            fields, place = fields_in(word), f"/executor/{member}/{index}"
            if index == 0 and fields:
                yield place, "what a mission says must not choose the program"
            elif unknown := [field for field in fields if field not in known]:
                yield place, f"there is no field {unknown[0]!r}; known: {', '.join(known)}; `{{{{` is a brace"


def _a_session_is_found_and_told(lane: Any) -> Iterator[Breach]:
    executor = lane["executor"]
    resumed, member = executor.get("resume_command"), executor.get("session_member")
    if resumed is None and member is None:
        return
    at = "resume_command" if resumed is not None else "session_member"
    if executor["type"] != "tool":
        yield f"/executor/{at}", f"a lane of type {executor['type']} says its session itself; leave it out"
    elif resumed is None:
        yield "/executor/session_member", "the session's id is found and nothing is done with it: write resume_command"
    elif member is None:
        yield "/executor/resume_command", "nothing says where the session's id is found: write session_member"
    elif resumed[0] != executor.get("command", [None])[0]:
        yield "/executor/resume_command/0", "it is another program than that of command"
    elif not any(SESSION_FIELD in fields_in(word) for word in resumed):
        yield "/executor/resume_command", "`{session_id}` is not among its words"


def _broadened_is_no_narrower(lane: Any) -> Iterator[Breach]:
    routing = lane.get("routing", {})
    defaults = resources.read_document("lane")["properties"]["routing"]["properties"]
    cohort, broadened = (
        routing.get(name, defaults[name]["default"]) for name in ("cohort_percent", "broadened_percent")
    )
    if cohort > broadened:
        named = "broadened_percent" if "broadened_percent" in routing else "cohort_percent"
        yield f"/routing/{named}", f"{broadened} % of the sessions when broadened are fewer than {cohort} % before"


def _lanes_once(file: Any) -> Iterator[Breach]:
    for pointer, vp_id in repeated(parts(file, ("lanes", "*", "vp_id"), "")):
        yield pointer, f"the lane {vp_id} is configured twice"


def _aliases_mean_one_lane(file: Any) -> Iterator[Breach]:
    owners: dict[str, int] = {}
    for number, lane in enumerate(file["lanes"]):
        for index, alias in enumerate(lane.get("aliases", ())):
            owner = owners.setdefault(alias.casefold(), number)
            if owner != number:
                other = file["lanes"][owner]["vp_id"]
                yield f"/lanes/{number}/aliases/{index}", f"the alias {alias} already stands for {other}"


def _flags_once(file: Any) -> Iterator[Breach]:
    for pointer, flag in repeated(parts(file, ("lanes", "*", "flag"), "")):
        yield pointer, f"the flag {flag} already belongs to another lane"


def _names_once(file: Any) -> Iterator[Breach]:
    for pointer, name in repeated(parts(file, ("tokens", "*", "name"), "")):
        yield pointer, f"the token name {name} is used twice"


def _digests_once(file: Any) -> Iterator[Breach]:
    for pointer, _ in repeated(parts(file, ("tokens", "*", "sha256"), "")):
        yield pointer, "another entry has the same digest, so it is the same token"


RULES: RulesByContract = {
    "lane": (
        Rule.of("LAN-1", "The heartbeat interval is at most a third of the lease.", _heartbeat_well_inside_the_lease),
        Rule.of("LAN-5", "Missions run in parallel only in a workspace each.", _parallel_missions_apart),
        Rule.of(
            "LAN-6",
            "An automation lane has an allow list, a process or tool lane a command, a callable lane a target; "
            "none has another's.",
            _each_executor_its_own,
        ),
        Rule.of(
            "LAN-7",
            "A tool's program is fixed, and its other words have only known fields in braces.",
            _fields_of_a_tool,
        ),
        Rule.of("LAN-8", "A broadened cohort holds every session of the limited one.", _broadened_is_no_narrower),
        Rule.of(
            "LAN-9",
            "A tool that goes on in its session is the same program, is told the session's id, and says where it is "
            "found.",
            _a_session_is_found_and_told,
        ),
    ),
    "lanes-file": (
        Rule.of("LAN-2", "Each lane is configured once.", _lanes_once),
        Rule.of("LAN-3", "An alias, in any case of letters, stands for one lane.", _aliases_mean_one_lane),
        Rule.of("LAN-4", "Each flag belongs to one lane.", _flags_once),
    ),
    "tokens": (
        Rule.of("TOK-1", "Each name is used once.", _names_once),
        Rule.of("TOK-2", "Each digest is used once.", _digests_once),
    ),
}
