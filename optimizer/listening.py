"""A socket that listens, for whatever serves HTTP here."""

import socket

from optimizer.errors import InvalidRequest

BACKLOG = 1024


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises
    ------
    InvalidRequest
        If the port is taken or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0].lower()
        raise InvalidRequest("port", f"cannot listen on {host}:{port} ({reason}); is it taken? try another") from None
    # asyncio does so only where a socket names its protocol; without it a reply waits 40 ms for an acknowledgement.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def origin(sock: socket.socket) -> str:
    """Return the `http://host:port` under which a socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
