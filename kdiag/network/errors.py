"""Which failure an error of sockets or of the resolver means, and its words."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from kdiag.network.attempt import Failure, clean

_BY_ERRNO = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.ECONNRESET: Failure.RESET,
    errno.ECONNABORTED: Failure.RESET,
    errno.EPIPE: Failure.CLOSED,
}
_OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


def os_failure(error: OSError) -> Failure:
    """The failure behind an operating system's error; whatever has no name of its own is a path
    that does not exist (no route, no such family, forbidden by a local firewall).

    Raises the error itself when it is not the network's: this process is out of descriptors.
    """
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, ssl.SSLError):
        from kdiag.network.tls import tls_failure  # which plaintext has no use for

        return tls_failure(error)
    if error.errno in _OUR_OWN:
        raise error
    return _BY_ERRNO.get(error.errno or 0, Failure.UNREACHABLE)


def lookup_failure(error: OSError | UnicodeError) -> Failure:
    """Whether a name does not exist, or the resolver could not tell.

    A label that is empty or too long raises UnicodeError: no such name can exist.
    """
    if isinstance(error, socket.gaierror):
        absent = {socket.EAI_NONAME, socket.EAI_NODATA, getattr(socket, "EAI_ADDRFAMILY", None)}
        return Failure.NOT_FOUND if error.errno in absent else Failure.RESOLVER_FAILED
    return Failure.NOT_FOUND if isinstance(error, UnicodeError) else Failure.RESOLVER_FAILED


def os_words(error: OSError) -> str:
    """What went wrong, in the words of the operating system or of OpenSSL; "" where it has none."""
    if isinstance(error, ssl.SSLError):
        from kdiag.network.tls import tls_words

        return tls_words(error)
    if isinstance(error, socket.gaierror):  # an IPv6 zone that this machine does not have
        return clean(error.strerror or "")
    return os.strerror(error.errno) if error.errno else ""
