"""The socket a control plane is reached by: bound before anything else is touched."""

import ipaddress
import socket

from dragancorp.errors import DraganError, ErrorCode

BACKLOG = 512


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises `port_in_use`, `settings_invalid`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise DraganError(ErrorCode.SETTINGS_INVALID, f"--host is {host!r}: {error.strerror or error}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        # Without it a restart would have to wait for the connections of the process before to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # only now does the kernel say that another process listens there
    except OSError as error:
        listener.close()
        raise DraganError(
            ErrorCode.PORT_IN_USE, f"port {port} of {host} cannot be listened on: {error.strerror or error}"
        ) from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this host can reach a server that listens there. An unknown name is not loopback."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def local_url(listener: socket.socket) -> str:
    """The URL by which this host reaches the socket."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
