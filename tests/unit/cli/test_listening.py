from contextlib import closing

import pytest

from dragancorp.cli import listening
from dragancorp.errors import DraganError, ErrorCode


def test_port_zero_takes_a_free_port_and_the_url_names_it() -> None:
    with closing(listening.bind("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert port > 0
        assert listening.local_url(listener) == f"http://127.0.0.1:{port}"


def test_a_socket_on_every_address_is_reached_by_loopback() -> None:
    with closing(listening.bind("0.0.0.0", 0)) as listener:
        assert listening.local_url(listener).startswith("http://127.0.0.1:")


def test_a_port_is_taken_once() -> None:
    with closing(listening.bind("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(DraganError) as caught:
            listening.bind("127.0.0.1", port)

    assert caught.value.code is ErrorCode.PORT_IN_USE
    assert str(port) in caught.value.detail
    listening.bind("127.0.0.1", port).close()


def test_a_host_that_does_not_exist_is_a_wrong_setting() -> None:
    with pytest.raises(DraganError) as caught:
        listening.bind("no.such.host.invalid", 0)

    assert caught.value.code is ErrorCode.SETTINGS_INVALID


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert listening.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "no.such.host.invalid"])
def test_all_others_are_not_loopback(host: str) -> None:
    assert not listening.is_loopback(host)
