import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dragancorp.executors.receipts import Receipt, read, write

RECEIPT = Receipt(
    mission_id="m-1",
    attempt=2,
    outcome="completed",
    event={"type": "completed", "summary": "done – naïvely"},
    artifacts=({"name": "report.json", "sha256": "0" * 64, "size_bytes": 1},),
    written_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
)


def test_a_receipt_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "m-1.json", RECEIPT)
    found = read(tmp_path / "m-1.json", "m-1").receipt
    assert found is not None
    assert found.as_json() == RECEIPT.as_json()
    assert found.written_at == RECEIPT.written_at
    assert [path.name for path in tmp_path.iterdir()] == ["m-1.json"]


def test_no_receipt_is_no_receipt_without_a_reason(tmp_path: Path) -> None:
    found = read(tmp_path / "m-1.json", "m-1")
    assert (found.receipt, found.reason) == (None, None)


def test_a_torn_temporary_file_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / ".m-1.json.2.tmp").write_text('{"mission_id": "m-')
    assert read(tmp_path / "m-1.json", "m-1").receipt is None
    write(tmp_path / "m-1.json", RECEIPT)
    assert read(tmp_path / "m-1.json", "m-1").receipt is not None
    assert not (tmp_path / ".m-1.json.2.tmp").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b'{"mission_id": "m-1"', "cannot be read"),
        (b"[]", "a member is missing"),
        (b'{"mission_id": "m-1", "attempt": 1}', "a member is missing"),
        (b'{"mission_id": "m-1", "mission_id": "m-1"}', "cannot be read"),
        (b"\xff", "cannot be read"),
        (
            b'{"mission_id":"m-1","attempt":1,"outcome":"lost","event":{},"artifacts":[],"written_at":"2026-01-01"}',
            "a member is missing",
        ),
        (
            b'{"mission_id":"m-1","attempt":1,"outcome":"failed","event":{},"artifacts":[],"written_at":"2026-01-01"}',
            "no offset",
        ),
    ],
)
def test_an_unreadable_receipt_counts_as_absent_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "m-1.json").write_bytes(content)
    found = read(tmp_path / "m-1.json", "m-1")
    assert found.receipt is None
    assert found.reason is not None
    assert reason in found.reason


def test_the_receipt_of_another_mission_counts_as_absent(tmp_path: Path) -> None:
    write(tmp_path / "m-1.json", replace(RECEIPT, mission_id="m-2"))
    found = read(tmp_path / "m-1.json", "m-1")
    assert found.receipt is None
    assert found.reason == "m-1.json is the receipt of mission m-2"


def test_a_writer_killed_at_any_moment_leaves_a_whole_receipt(tmp_path: Path) -> None:
    """A process rewrites a large receipt without end and is killed with 9, ten times."""
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from dataclasses import replace
from pathlib import Path
from dragancorp.executors.receipts import read, write, Receipt
from datetime import UTC, datetime
path = Path({str(tmp_path / "m-1.json")!r})
number = 0
while True:
    event = {{"number": number, "text": "x" * 200_000}}
    write(path, Receipt(mission_id="m-1", attempt=1, outcome="completed", event=event, artifacts=(),
                        written_at=datetime.now(UTC)))
    number += 1
    print(number, flush=True)
"""
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(3):
                assert writer.stdout.readline()
            os.kill(writer.pid, signal.SIGKILL)
        found = read(tmp_path / "m-1.json", "m-1").receipt
        assert found is not None
        assert found.event["number"] >= 2
