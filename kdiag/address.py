"""What an address is by itself: private, loopback, unusable, a name only its own network knows."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Union

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

# How much of an address two hosts share when they are likely in one network: a VPC is at most a
# /16, a home or office network usually a /24, an overlay such as a mesh VPN spans all of CGNAT.
_PRIVATE = tuple(
    (ipaddress.ip_network(network), prefix)
    for network, prefix in (
        ("10.0.0.0/8", 16),
        ("172.16.0.0/12", 16),
        ("192.168.0.0/16", 24),
        ("100.64.0.0/10", 10),
        ("169.254.0.0/16", 16),
        ("fc00::/7", 48),
        ("fe80::/10", 64),
    )
)

_INTERNAL_SUFFIXES = (
    ".compute.internal",
    ".ec2.internal",
    ".internal",
    ".svc",
    ".cluster.local",
    ".local",
    ".localdomain",
    ".lan",
    ".home.arpa",
)

# What answers here tells a cloud's machine its own secrets: link-local, and what clouds have beside
# it (AWS, Alibaba, Azure, Oracle, Google).
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/64",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd20:ce::254/128",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOOPBACK_6 = ipaddress.IPv6Network("::/127")  # and unspecified

# Compiled when they are needed: 0.2 ms each.
_CONTAINER_ID = r"[0-9a-f]{12}\Z"
_POD_NAME = r"[a-z0-9-]+-\d+\.[a-z0-9-]+-(headless|kafka-brokers)(\.[a-z0-9-]+)?\Z"
_EC2_PUBLIC = r"ec2((?:-\d{1,3}){4})\.(?:[^.]+\.)+amazonaws\.com(?:\.cn)?\Z"
_AWS_NAME = r"(.+)\.(?:amazonaws\.com(?:\.cn)?|compute\.internal)\Z"
_AWS_REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]\Z"
_MSK_NAME = r"[^.]+\.([^.]+)\.[^.]+\.c[0-9]+\.kafka(?:-beta)?\.[^.]+\.amazonaws\.com(?:\.cn)?\Z"
_EC2_NAME = r"ip-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})(\.|\Z)"


@lru_cache(maxsize=4096)  # files are judged by many rules
def parse(host: str) -> IPAddress | None:
    """The IP address that `host` spells, None for a name. IPv4-mapped IPv6 counts as IPv4.
    Only IPv6 has a zone: anything else with a % is for a resolver to refuse."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def is_private(host: str) -> bool:
    """RFC 1918, CGNAT (RFC 6598), link-local or unique local IPv6."""
    return _private_network(parse(host)) is not None


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1, or a name that means them."""
    ip = parse(host)
    name = host.rstrip(".").lower()
    return ip.is_loopback if ip else name == "localhost" or name.endswith(".localhost")


def is_local(address: str) -> bool:
    """An address by which this machine reaches itself; 0.0.0.0 and :: are two of them."""
    return any(ip.is_loopback or ip.is_unspecified for ip in _meanings(address))


def is_metadata_service(address: str) -> bool:
    """Link-local, or where a cloud tells a machine about itself, its credentials among that."""
    return any(ip in network for ip in _meanings(address) for network in _METADATA)


def _meanings(address: str) -> tuple[IPAddress, ...]:
    """An address, and the IPv4 address that an IPv6 one stands for: by translation (RFC 6052),
    6to4, or as the oldest way to write it."""
    ip = parse(address)
    if ip is None:
        return ()
    if isinstance(ip, ipaddress.IPv4Address):
        return (ip,)
    inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    carried = ip in _NAT64 or (ip not in _LOOPBACK_6 and int(ip) >> 32 == 0)
    return (ip, *((inner,) if carried else ()), *((ip.sixtofour,) if ip.sixtofour else ()))


def is_unusable(host: str, port: int) -> bool:
    """No client elsewhere can use it: empty host, 0.0.0.0, ::, or a port outside 1 to 65535."""
    ip = parse(host)
    return is_undialable(host, port) or (ip is not None and ip.is_unspecified)


def is_undialable(host: str, port: int) -> bool:
    """Nobody can dial it: empty host, or a port outside 1 to 65535. 0.0.0.0 and :: can be dialled
    on Linux and macOS, and lead to the machine itself."""
    return not host or not 0 < port < 65536


def same_network(one: str, other: str) -> bool:
    """True when two addresses are likely in the same private network, or both are loopback."""
    a, b = parse(one), parse(other)
    if a is None or b is None:
        return False
    if a.is_loopback or b.is_loopback:
        return a.is_loopback and b.is_loopback
    network = _private_network(a)
    return network is not None and b in network


def network_of(host: str) -> str | None:
    """The private network that an address is likely in, None for a public one: 10.0.0.0/16."""
    network = _private_network(parse(host))
    return str(network) if network else None


def internal_name(host: str) -> str | None:
    """Which kind of name that only its own network can resolve `host` looks like, else None."""
    name = host.rstrip(".").lower()
    if not name or parse(name) or is_loopback(name):
        return None
    if ec2_address(name) or name.endswith((".compute.internal", ".ec2.internal")):
        return "a private DNS name of EC2"
    if name.endswith((".svc", ".cluster.local")) or ".svc." in name or re.match(_POD_NAME, name):
        return "a Kubernetes service name"
    if re.match(_CONTAINER_ID, name):
        return "a container id"
    if "." not in name:
        return "a bare host name"
    if name.endswith(_INTERNAL_SUFFIXES):
        return "a name of a private zone"
    return None


def ec2_address(host: str) -> str | None:
    """The private address that an EC2 name carries: ip-10-0-1-11.… → 10.0.1.11."""
    found = re.match(_EC2_NAME, host.lower())
    dotted = ".".join(found.groups()[:4]) if found else ""
    return dotted if is_private(dotted) else None


def ec2_public_address(host: str) -> str | None:
    """The public address that an EC2 name carries: ec2-3-10-139-221.….amazonaws.com."""
    found = re.match(_EC2_PUBLIC, host.rstrip(".").lower())
    dotted = found.group(1)[1:].replace("-", ".") if found else ""
    return dotted if parse(dotted) else None


def aws_region(host: str) -> str:
    """The region that a name of AWS's tells of, "" if none: those of EC2, load balancers, MSK."""
    name = host.rstrip(".").lower()
    # The oldest region is left out of EC2's names.
    if name.endswith((".ec2.internal", ".compute-1.amazonaws.com", ".compute-1.internal")):
        return "us-east-1"
    found = re.match(_AWS_NAME, name)
    labels = found.group(1).split(".") if found else []
    return next((label for label in reversed(labels) if re.match(_AWS_REGION, label)), "")


def is_balancer(host: str) -> bool:
    """Whether this is the name that AWS gives a load balancer."""
    name = host.rstrip(".").lower()
    return ".elb." in name and name.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def msk_label(host: str) -> str:
    """What the name of an MSK broker has of its cluster's name, "" for other names:
    b-1.demo.abc123.c2.kafka.eu-west-2.amazonaws.com → demo."""
    found = re.match(_MSK_NAME, host.rstrip(".").lower())
    return found.group(1) if found else ""


def _private_network(
    ip: IPAddress | None,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network around a private address that its neighbours share, None for a public one."""
    for network, prefix in _PRIVATE:
        if ip is not None and ip in network:
            return ipaddress.ip_network(f"{ip}/{prefix}", strict=False)
    return None
