from pathlib import Path

import pytest

from dragancorp.cli import plane_file
from dragancorp.cli.connection import Server
from dragancorp.errors import DraganError, ErrorCode
from dragancorp_contracts.client import ServerUnreachable

URL = "http://127.0.0.1:8642"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    plane_file.write(
        tmp_path,
        plane_file.PlaneFile(url=URL, token="of the file", worker_token="of a worker", pid=1, instance_id="local"),
    )
    return tmp_path


def test_plane_json_names_url_and_token(data: Path) -> None:
    assert Server(url=None, token=None, data=data).found() == (URL, "of the file")


def test_options_win_over_the_environment_and_that_over_the_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "of the environment")

    assert Server(url=None, token=None, data=data).found() == (URL, "of the environment")
    assert Server(url=None, token="given", data=data).found() == (URL, "given")


def test_the_token_of_the_file_is_shown_to_no_other_server(data: Path) -> None:
    assert Server(url="http://evil.example", token=None, data=data).found() == ("http://evil.example", None)
    assert Server(url="http://127.0.0.1:8643", token=None, data=data).found()[1] is None
    assert Server(url=URL + "/", token=None, data=data).found()[1] == "of the file"


def test_an_empty_token_in_the_environment_is_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "")

    assert Server(url=None, token=None, data=data).found() == (URL, "of the file")


def test_without_any_address_the_server_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match=r"plane\.json"):
        Server(url=None, token=None, data=tmp_path).found()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8642", "ftp://host", "http://", "http:///x", "http://[::1", "http://x:port", "http://x:99999"]
)
def test_what_is_no_url_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DraganError) as caught:
        Server(url=url, token=None, data=tmp_path).found()

    assert caught.value.code is ErrorCode.SETTINGS_INVALID


def test_a_worker_shows_the_workers_token_and_never_the_operators(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "of the operator")

    assert Server(url=None, token=None, data=data).found_by_worker() == (URL, "of a worker")
    assert Server(url="http://evil.example", token=None, data=data).found_by_worker()[1] is None
    monkeypatch.setenv("UA_INTERNAL_API_TOKEN", "of the environment")
    assert Server(url=None, token=None, data=data).found_by_worker() == (URL, "of the environment")
    assert Server(url=None, token="given", data=data).found_by_worker() == (URL, "given")
