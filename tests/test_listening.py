"""What listens says where, and says in one line why it cannot."""

import pytest

from optimizer.errors import InvalidRequest
from optimizer.listening import listening, origin


def test_a_free_port_is_found_and_named() -> None:
    with listening("127.0.0.1", 0) as sock:
        assert origin(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_a_port_that_is_taken_is_refused_by_its_name() -> None:
    with listening("127.0.0.1", 0) as sock, pytest.raises(InvalidRequest, match=r"port.*in use.*try another"):
        listening("127.0.0.1", sock.getsockname()[1])


def test_an_address_elsewhere_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"cannot listen on 192\.0\.2\.1"):
        listening("192.0.2.1", 0)
