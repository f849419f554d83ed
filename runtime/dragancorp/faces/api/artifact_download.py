"""Files of a mission: an artifact as RFC 9110 has downloads, and the log while it grows."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import downloads, log_tail
from dragancorp.executors.workspace import artifacts_dir
from dragancorp.faces.api.requester import requester_of
from dragancorp_contracts.api.records import Answer, ApiProblem, ByteStream, Principal


class ArtifactDownload:
    """The part of `OpsService` that answers files."""

    @property
    def _plane(self) -> ControlPlane:
        raise NotImplementedError

    async def download_artifact(
        self,
        principal: Principal,
        *,
        mission_id: str,
        name: str,
        range: str | None = None,
        if_none_match: str | None = None,
        if_range: str | None = None,
    ) -> Answer | ByteStream:
        """One artifact, or a range of it."""
        requester = requester_of(principal)
        listed = await self._plane.decisions.artifacts(mission_id, requester)
        reference = next((one for one in listed if one["name"] == name), None)
        if reference is None:
            raise DraganError(ErrorCode.ARTIFACT_UNKNOWN, f"the mission {mission_id!r} has no artifact {name!r}")
        etag, size = f'"{reference["sha256"]}"', int(reference["size_bytes"])
        headers = _headers(name, etag)
        if downloads.matches(if_none_match, etag):
            return Answer(status=304, headers=headers)
        asked = range if if_range in (None, etag) else None
        try:
            part = downloads.part_of(asked, size)
        except downloads.RangeUnsatisfiableError as error:
            raise ApiProblem(
                ErrorCode.RANGE_UNSATISFIABLE,
                f"the file has {size} bytes",
                facts={"size_bytes": size},
                headers={"Content-Range": f"bytes */{size}"},
            ) from error
        descriptor = await asyncio.to_thread(
            self._opened, await self._vp_id(mission_id, requester), mission_id, reference
        )
        if descriptor is None:
            raise DraganError(ErrorCode.ARTIFACT_GONE, f"the file of {name!r} is gone, or is another one by now")
        whole = downloads.Part(0, size)
        sent = part or whole
        headers["Content-Length"] = str(sent.end - sent.start)
        if part is not None:
            headers["Content-Range"] = part.content_range(size)
        return ByteStream(parts=downloads.parts(descriptor, sent), status=200 if part is None else 206, headers=headers)

    async def read_mission_log(self, principal: Principal, *, mission_id: str, cursor: str | None = None) -> Answer:
        """What the mission's programs printed after a cursor."""
        row = (await self._plane.missions.get(mission_id, requester_of(principal))).row
        lane = self._plane.lanes.get(row.vp_id)
        if lane is None:
            return Answer(body={"parts": [], "cursor": cursor or "0:", "terminal": row.terminal})
        # The state first: what is printed between the two looks is read by the next.
        folder = lane.root / "artifacts" / mission_id
        part = await asyncio.to_thread(log_tail.read, folder, cursor)
        pieces = [{"name": name, "text": text} for name, text in part.pieces]
        return Answer(body={"parts": pieces, "cursor": part.cursor, "terminal": row.terminal})

    async def _vp_id(self, mission_id: str, requester: Any) -> str:
        return (await self._plane.missions.get(mission_id, requester)).row.vp_id

    def _opened(self, vp_id: str, mission_id: str, reference: Any) -> int | None:
        lane = self._plane.lanes.get(vp_id)
        if lane is None:  # taken out of the lanes file since: nobody knows where its files are
            return None
        root: Path = lane.root
        folder = artifacts_dir(root, mission_id)
        return downloads.opened(folder, reference["name"], reference["sha256"], int(reference["size_bytes"]))


def _headers(name: str, etag: str) -> dict[str, str]:
    """What every answer about the file carries. It is data, whatever it is: saved, never shown or run."""
    last = name.rpartition("/")[2]
    return {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(last, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
