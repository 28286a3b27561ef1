"""A DNS server that knows a handful of names, and says of every other that it does not exist.

`python -m tests.lab.names ADDRESS NAME=ADDRESS,ADDRESS ...`: listens on ADDRESS, port 53 (UDP),
and prints a line when it does.
"""

from __future__ import annotations

import socket
import sys

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def answer(query: bytes, zone: dict[str, list[str]]) -> bytes:
    """The response to a query for a name's IPv4 or IPv6 addresses.

    Raises dns.exception.DNSException where there is no query to read.
    """
    asked = dns.message.from_wire(query)
    response = dns.message.make_response(asked, recursion_available=True)
    for question in asked.question:
        addresses = zone.get(question.name.to_text(omit_final_dot=True).lower())
        if addresses is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            continue
        kind = dns.rdatatype.to_text(question.rdtype)
        fitting = [a for a in addresses if kind == ("AAAA" if ":" in a else "A")]
        if fitting:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *fitting))
    return response.to_wire()


def serve(address: str, zone: dict[str, list[str]]) -> None:
    """Answers until it is killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 53))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            query, client = sock.recvfrom(4096)
            try:
                sock.sendto(answer(query, zone), client)
            except dns.exception.DNSException:
                continue


if __name__ == "__main__":
    pairs = (entry.partition("=") for entry in sys.argv[2:])
    serve(sys.argv[1], {name: told.split(",") for name, _, told in pairs})
