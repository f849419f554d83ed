"""Artifacts fetched over the API: whole, in ranges, by what is known already, and never anything else."""

import asyncio
from pathlib import Path

import pytest

from .conftest import CODER, READER, Api, assert_problem, envelope

pytestmark = pytest.mark.anyio


async def made(api: Api) -> tuple[str, dict[str, str | int]]:
    """A mission that has ended; the address of its files, and the reference of its log."""
    mission_id = (await api.dispatch()).json()["mission_id"]
    await api.until(mission_id, "completed")
    path = f"/api/v1/missions/{mission_id}/artifacts"
    listed = (await api.call("GET", path)).json()["artifacts"]
    (reference,) = [one for one in listed if one["name"] == "report.json"]
    return f"{path}/content", reference


def folder(api: Api, content: str) -> Path:
    return api.plane.lanes[CODER].root / "artifacts" / content.split("/")[4]


async def test_the_bytes_are_those_the_mission_left(api: Api) -> None:
    path, reference = await made(api)
    whole = await api.call("GET", path, params={"name": "report.json"})
    assert whole.status_code == 200
    assert whole.content == (folder(api, path) / "report.json").read_bytes()
    assert len(whole.content) == reference["size_bytes"]
    assert whole.headers["etag"] == f'"{reference["sha256"]}"'
    assert whole.headers["content-disposition"].startswith("attachment;")
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-type"] == "application/octet-stream"


async def test_a_range_is_answered_and_resumed_only_of_the_same_file(api: Api) -> None:
    path, reference = await made(api)
    size, name = int(reference["size_bytes"]), {"name": "report.json"}
    whole = (await api.call("GET", path, params=name)).content
    part = await api.call("GET", path, params=name, headers={"Range": "bytes=3-7"})
    assert (part.status_code, part.content) == (206, whole[3:8])
    assert part.headers["content-range"] == f"bytes 3-7/{size}"
    rest = await api.call("GET", path, params=name, headers={"Range": "bytes=8-", "If-Range": part.headers["etag"]})
    assert (rest.status_code, rest.content) == (206, whole[8:])
    other = await api.call("GET", path, params=name, headers={"Range": "bytes=8-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole)
    beyond = await api.call("GET", path, params=name, headers={"Range": f"bytes={size}-"})
    assert_problem(beyond, 416, "range_unsatisfiable")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    known = await api.call("GET", path, params=name, headers={"If-None-Match": part.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("name", ["../../../state.db", "/etc/hostname", "a/../b", ".."])
async def test_a_name_that_climbs_is_refused(api: Api, name: str) -> None:
    path, _ = await made(api)
    answer = await api.call("GET", path, params={"name": name})
    assert answer.status_code in (400, 404)


async def test_what_is_not_listed_is_unknown_and_what_changed_since_is_gone(api: Api) -> None:
    path, _ = await made(api)
    (folder(api, path) / "more.txt").write_text("left by nobody")
    assert_problem(await api.call("GET", path, params={"name": "more.txt"}), 404, "artifact_unknown")
    report = folder(api, path) / "report.json"
    report.write_bytes(report.read_bytes()[:-1] + b"!")
    assert_problem(await api.call("GET", path, params={"name": "report.json"}), 410, "artifact_gone")
    report.unlink()
    report.symlink_to("/etc/hostname")
    assert_problem(await api.call("GET", path, params={"name": "report.json"}), 410, "artifact_gone")


async def test_another_lanes_files_are_those_of_no_mission(api: Api) -> None:
    path, _ = await made(api)
    answer = await api.call("GET", path, params={"name": "report.json"}, token=READER)
    assert_problem(answer, 404, "mission_unknown")


async def test_a_log_is_read_while_the_mission_runs_and_to_its_end(api: Api) -> None:
    mission_id = (
        await api.call(
            "POST",
            "/api/v1/missions",
            json=envelope("echo first", "sleep 1", "echo last") | {"idempotency_key": "log-1"},
        )
    ).json()["mission_id"]
    path, cursor, got, while_running = f"/api/v1/missions/{mission_id}/log", None, "", False
    async with asyncio.timeout(60):
        while True:
            part = (await api.call("GET", path, params={} if cursor is None else {"cursor": cursor})).json()
            got += "".join(piece["text"] for piece in part["parts"])
            while_running = while_running or (bool(got) and not part["terminal"])
            if part["terminal"] and part["cursor"] == cursor:
                break
            cursor = part["cursor"]
            await asyncio.sleep(0.05)
    assert while_running
    assert got.endswith("last\n")
    assert_problem(await api.call("GET", path, params={"cursor": "x"}), 400, "parameter_invalid")
