"""Which bytes a download is about, as RFC 9110 has it."""

import asyncio
import os
from pathlib import Path

import pytest

from dragancorp.executors.artifacts import digest_of
from dragancorp.executors.downloads import Part, RangeUnsatisfiableError, matches, opened, part_of, parts


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", Part(0, 10)),
        ("bytes=90-", Part(90, 100)),
        ("bytes=-10", Part(90, 100)),
        ("bytes=-1000", Part(0, 100)),
        ("bytes=50-1000", Part(50, 100)),
        (None, None),
        ("bytes=-", None),
        ("bytes=9-0", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_a_range_is_one_of_bytes_or_none(header: str | None, part: Part | None) -> None:
    assert part_of(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=200-300", "bytes=-0"])
def test_a_range_outside_of_the_file_is_none_that_can_be_answered(header: str) -> None:
    with pytest.raises(RangeUnsatisfiableError):
        part_of(header, 100)


def test_a_known_etag_is_found_among_several() -> None:
    assert matches('"a", W/"b"', '"b"')
    assert matches("*", '"b"')
    assert not matches('"a"', '"b"')
    assert not matches(None, '"b"')


def test_only_what_the_mission_left_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a").write_bytes(b"twice")
    twice = digest_of(tmp_path, "a/a")
    assert twice is not None
    descriptor = opened(tmp_path, "a/a", *twice)
    assert descriptor is not None
    os.close(descriptor)
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "a.txt"
    file.write_bytes(b"hello")
    found = digest_of(tmp_path, "out/a.txt")
    assert found is not None

    def is_there() -> bool:
        descriptor = opened(tmp_path, "out/a.txt", *found)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is not None

    assert is_there()
    file.write_bytes(b"jello")
    assert not is_there()
    file.write_bytes(b"hello")
    os.utime(file, ns=(1, 1))
    assert is_there(), "the same bytes are the same artifact"
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert not is_there()
    file.unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_bytes(b"hello")
    (tmp_path / "out").rmdir()
    (tmp_path / "out").symlink_to("elsewhere")
    assert not is_there()


def test_bytes_come_in_pieces_and_the_file_is_closed_also_for_who_leaves(tmp_path: Path) -> None:
    content = os.urandom(700_000)
    (tmp_path / "a").write_bytes(content)

    async def read(most: int | None) -> bytes:
        descriptor = os.open(tmp_path / "a", os.O_RDONLY)
        pieces = parts(descriptor, Part(10, 600_000))
        got = b""
        async for piece in pieces:
            got += piece
            if most is not None and len(got) >= most:
                break
        await pieces.aclose()  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        return got

    async def left_before_the_first_piece() -> None:
        descriptor = os.open(tmp_path / "a", os.O_RDONLY)
        pieces = parts(descriptor, Part(0, 10))
        del pieces
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    asyncio.run(left_before_the_first_piece())
    assert asyncio.run(read(None)) == content[10:600_000]
    assert asyncio.run(read(1)) == content[10 : 10 + 256 * 1024]
