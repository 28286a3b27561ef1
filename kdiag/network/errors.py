"""Maps errors of sockets and of the resolver to failures and messages."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from kdiag.network.attempt import Failure, clean

_BY_CLASS = (
    (TimeoutError, Failure.TIMEOUT),
    (ConnectionRefusedError, Failure.REFUSED),
    (ConnectionResetError, Failure.RESET),
    (ConnectionAbortedError, Failure.RESET),
    (BrokenPipeError, Failure.CLOSED),
)

# Windows' numbers, those of its overlapped I/O and of its sockets: errno says 22 for the former.
_BY_WINERROR = {
    64: (Failure.RESET, "Connection reset by peer"),  # ERROR_NETNAME_DELETED
    121: (Failure.TIMEOUT, "Connection timed out"),  # ERROR_SEM_TIMEOUT
    1225: (Failure.REFUSED, "Connection refused"),  # ERROR_CONNECTION_REFUSED
    1231: (Failure.UNREACHABLE, "Network is unreachable"),  # ERROR_NETWORK_UNREACHABLE
    1232: (Failure.UNREACHABLE, "No route to host"),  # ERROR_HOST_UNREACHABLE
    1236: (Failure.RESET, "Connection aborted"),  # ERROR_CONNECTION_ABORTED
    10051: (Failure.UNREACHABLE, "Network is unreachable"),  # WSAENETUNREACH
    10053: (Failure.RESET, "Connection aborted"),  # WSAECONNABORTED
    10054: (Failure.RESET, "Connection reset by peer"),  # WSAECONNRESET
    10060: (Failure.TIMEOUT, "Connection timed out"),  # WSAETIMEDOUT
    10061: (Failure.REFUSED, "Connection refused"),  # WSAECONNREFUSED
    10065: (Failure.UNREACHABLE, "No route to host"),  # WSAEHOSTUNREACH
}
# The name exists, and has no address of the families that the lookup asks for.
NO_SUCH_FAMILY = {
    getattr(socket, name) for name in ("EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
}
_NO_SUCH_NAME = {
    socket.EAI_NONAME,
    *NO_SUCH_FAMILY,
    11001,  # WSAHOST_NOT_FOUND; 11002 and 11003 are the resolver's failures
    11004,  # WSANO_DATA
}
_LOCAL = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


def os_failure(error: OSError) -> Failure:
    """The failure that an operating system's error means. An error that is not in the table means
    that no path exists (no route, no such family, forbidden by a local firewall).

    Raises the error itself where this process is the cause: it is out of descriptors or memory.
    """
    for kind, failure in _BY_CLASS:
        if isinstance(error, kind):
            return failure
    if isinstance(error, ssl.SSLError):
        from kdiag.network.tls import tls_failure  # 11 ms: plaintext does not need it

        return tls_failure(error)
    if error.errno in _LOCAL:
        raise error
    known = _BY_WINERROR.get(getattr(error, "winerror", None) or 0)
    return known[0] if known else Failure.UNREACHABLE


def lookup_failure(error: OSError | UnicodeError) -> Failure:
    """NOT_FOUND where the name does not exist, else RESOLVER_FAILED.

    An empty or too long label raises UnicodeError: no such name can exist.
    """
    if isinstance(error, socket.gaierror):
        return Failure.NOT_FOUND if error.errno in _NO_SUCH_NAME else Failure.RESOLVER_FAILED
    return Failure.NOT_FOUND if isinstance(error, UnicodeError) else Failure.RESOLVER_FAILED


def os_message(error: OSError) -> str:
    """The message of the operating system or of OpenSSL, "" where it has none."""
    if isinstance(error, ssl.SSLError):
        from kdiag.network.tls import tls_message  # 11 ms

        return tls_message(error)
    if isinstance(error, socket.gaierror):  # an IPv6 zone that this machine does not have
        return clean(error.strerror or "")
    number = getattr(error, "winerror", None)
    if number:  # os.strerror knows none of these numbers
        return _BY_WINERROR[number][1] if number in _BY_WINERROR else clean(error.strerror or "")
    return os.strerror(error.errno) if error.errno else ""
