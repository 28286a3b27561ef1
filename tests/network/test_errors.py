"""Which failure an error of the operating system means: Windows' numbers too, made up here."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from kdiag.network.attempt import Failure
from kdiag.network.errors import lookup_failure, os_failure, os_message


def windows(kind: type[OSError], winerror: int, text: str = "") -> OSError:
    """An error as Python raises it on Windows: errno is 22 for numbers that C does not have."""
    error = kind(errno.EINVAL, text)
    vars(error)["winerror"] = winerror
    return error


@pytest.mark.parametrize(
    ("error", "failure", "text"),
    [
        (windows(ConnectionRefusedError, 1225), Failure.REFUSED, "Connection refused"),
        (windows(OSError, 1225), Failure.REFUSED, "Connection refused"),
        (windows(ConnectionRefusedError, 10061), Failure.REFUSED, "Connection refused"),
        (windows(OSError, 64), Failure.RESET, "Connection reset by peer"),
        (windows(ConnectionAbortedError, 1236), Failure.RESET, "Connection aborted"),
        (windows(ConnectionResetError, 10054), Failure.RESET, "Connection reset by peer"),
        (windows(ConnectionAbortedError, 10053), Failure.RESET, "Connection aborted"),
        (windows(OSError, 121), Failure.TIMEOUT, "Connection timed out"),
        (windows(TimeoutError, 10060), Failure.TIMEOUT, "Connection timed out"),
        (windows(OSError, 1231), Failure.UNREACHABLE, "Network is unreachable"),
        (windows(OSError, 1232), Failure.UNREACHABLE, "No route to host"),
        (windows(OSError, 10051), Failure.UNREACHABLE, "Network is unreachable"),
        (windows(OSError, 10065), Failure.UNREACHABLE, "No route to host"),
        (windows(OSError, 10013, "forbidden here"), Failure.UNREACHABLE, "forbidden here"),
        (OSError(errno.EHOSTUNREACH, ""), Failure.UNREACHABLE, os.strerror(errno.EHOSTUNREACH)),
        (OSError(errno.ECONNREFUSED, ""), Failure.REFUSED, os.strerror(errno.ECONNREFUSED)),
        (OSError(errno.EPIPE, ""), Failure.CLOSED, os.strerror(errno.EPIPE)),
    ],
)
def test_an_error_of_the_network(error: OSError, failure: Failure, text: str) -> None:
    assert os_failure(error) is failure
    assert os_message(error) == text


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (11001, Failure.NOT_FOUND),
        (11002, Failure.RESOLVER_FAILED),
        (11003, Failure.RESOLVER_FAILED),
        (11004, Failure.NOT_FOUND),
        (socket.EAI_NONAME, Failure.NOT_FOUND),
        (socket.EAI_AGAIN, Failure.RESOLVER_FAILED),
    ],
)
def test_an_error_of_the_resolver(number: int, failure: Failure) -> None:
    assert lookup_failure(socket.gaierror(number, "no")) is failure


def test_what_this_process_lacks_is_no_failure_of_the_network() -> None:
    with pytest.raises(OSError):
        os_failure(OSError(errno.EMFILE, "no descriptor left"))
