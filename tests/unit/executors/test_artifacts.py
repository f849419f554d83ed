import hashlib
import os
from pathlib import Path

from dragancorp.executors.artifacts import index
from dragancorp_contracts import judge


def test_files_are_listed_by_name_with_digest_size_and_type(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "01-test.log").write_bytes(b"ok\n")
    (tmp_path / "diff.patch").write_bytes(b"")
    (tmp_path / "data").write_bytes(b"\0" * 10)
    found = index(tmp_path)
    assert [artifact.as_json() for artifact in found.artifacts] == [
        {
            "name": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "media_type": media_type,
        }
        for name, data, media_type in [
            ("data", b"\0" * 10, "application/octet-stream"),
            ("diff.patch", b"", "text/x-diff"),
            ("logs/01-test.log", b"ok\n", "text/plain"),
        ]
    ]
    assert found.ignored == ()
    for artifact in found.artifacts:
        assert not judge.violations("common", {"artifact_reference": artifact.as_json()})


def test_links_and_special_files_are_named_and_never_read(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder-link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = index(folder)
    assert found.artifacts == ()
    assert {entry.name: entry.reason for entry in found.ignored} == {
        "link": "a symbolic link",
        "folder-link": "a symbolic link",
        "pipe": "not a regular file",
    }


def test_names_that_no_event_can_hold_are_passed_over(tmp_path: Path) -> None:
    for name in (b"new\nline", b"back\\slash", b"not-utf-8-\xff", b"..."):
        (tmp_path / os.fsdecode(name)).touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "naïve name.txt").touch()
    found = index(tmp_path)
    assert [artifact.name for artifact in found.artifacts] == [".hidden", "naïve name.txt"]
    assert len(found.ignored) == 4
    for artifact in found.artifacts:
        assert not judge.violations("common", {"relative_path": artifact.name})


def test_count_and_size_are_limited(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"file-{number}").write_bytes(b"x" * 10)
    assert len(index(tmp_path, most_files=3).artifacts) == 3
    assert len(index(tmp_path, most_files=3).ignored) == 2
    found = index(tmp_path, most_bytes=25)
    assert [artifact.name for artifact in found.artifacts] == ["file-0", "file-1"]
    assert all("limit" in entry.reason for entry in found.ignored)


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert index(tmp_path / "nowhere").artifacts == ()
