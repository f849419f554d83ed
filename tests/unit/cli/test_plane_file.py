import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dragancorp.cli import plane_file
from dragancorp.cli.plane_file import PlaneFile
from dragancorp.errors import DraganError, ErrorCode

OURS = PlaneFile(url="http://127.0.0.1:1", token="secret", worker_token="other", pid=os.getpid(), instance_id="local")


def test_it_is_read_as_it_was_written_and_by_its_user_alone(tmp_path: Path) -> None:
    plane_file.write(tmp_path, OURS)

    assert plane_file.read(tmp_path) == OURS
    assert stat.S_IMODE((tmp_path / "plane.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["plane.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"url": "http://x"}', '{"url":1,"token":1,"pid":"x"}', "\xff"]
)
def test_what_cannot_be_understood_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "plane.json").write_text(text, encoding="latin-1")

    assert plane_file.read(tmp_path) is None


def test_only_its_writer_removes_it(tmp_path: Path) -> None:
    plane_file.write(tmp_path, replace(OURS, pid=1))
    plane_file.remove(tmp_path)
    assert plane_file.read(tmp_path) is not None

    plane_file.write(tmp_path, OURS)
    plane_file.remove(tmp_path)
    assert plane_file.read(tmp_path) is None
    plane_file.remove(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DraganError) as caught:
        plane_file.write(tmp_path / "file" / "folder", OURS)

    assert caught.value.code is ErrorCode.DATA_FOLDER_UNUSABLE


def test_a_process_is_alive_until_it_has_ended() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert plane_file.is_alive(os.getpid())
    assert plane_file.is_alive(1)
    assert not plane_file.is_alive(ended.pid)
    assert not plane_file.is_alive(0)
    assert not plane_file.is_alive(-1)
