"""What an address says by itself, in tables of addresses that the field has shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.address import (
    ec2_address,
    internal_name,
    is_loopback,
    is_private,
    is_unusable,
    parse,
    same_network,
)

EC2 = "a private DNS name of EC2"
KUBERNETES = "a Kubernetes service name"
CONTAINER = "a container id"
BARE = "a bare host name"
ZONE = "a name of a private zone"


@pytest.mark.parametrize(
    ("host", "spelt"),
    [
        ("10.0.1.11", "10.0.1.11"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_is_read(host: str, spelt: str) -> None:
    assert str(parse(host)) == spelt


@pytest.mark.parametrize("host", ["10.0.0.1%x", "10.0.0.1%x.example.com", "127.0.0.1%1"])
def test_an_ipv4_address_has_no_zone(host: str) -> None:
    """Else it would be dialled as it is, and resolved on the way by whoever dials."""
    assert parse(host) is None


@pytest.mark.parametrize(
    "host", ["", "broker", "10.0.0", "10.0.0.256", "010.0.0.1", "[::1]", "1.2.3.4:9092", "١.0.0.1"]
)
def test_a_name_is_no_address(host: str) -> None:
    assert parse(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.0",
        "10.0.1.11",
        "10.255.255.255",
        "172.16.0.0",
        "172.21.1.13",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.65.3",
        "192.168.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "169.254.169.254",
        "fc00::1",
        "fd12:3456::1",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "::ffff:10.0.1.11",
        "::ffff:192.168.0.132",
    ],
)
def test_private_addresses(host: str) -> None:
    assert is_private(host)
    assert not is_loopback(host)
    assert internal_name(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "3.10.139.221",
        "127.0.0.1",
        "0.0.0.0",
        "fbff::1",
        "fec0::1",
        "2001:db8::1",
        "::1",
        "::ffff:3.10.139.221",
        "",
        "ip-10-0-145-219.us-west-2.compute.internal",
    ],
)
def test_addresses_that_are_not_private(host: str) -> None:
    assert not is_private(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "localhost",
        "LocalHost",
        "localhost.",
        "kafka.localhost",
    ],
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    assert not is_private(host)
    assert internal_name(host) is None


@pytest.mark.parametrize(
    "host",
    ["126.255.255.255", "128.0.0.1", "::2", "0.0.0.0", "", "localhost.example.com", "mylocalhost"],
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("", 30887),
        ("0.0.0.0", 9092),
        ("::", 9092),
        ("::ffff:0.0.0.0", 9092),
        ("broker", 0),
        ("broker", -1),
        ("broker", 65536),
        ("10.0.1.11", 2**31 - 1),
    ],
)
def test_addresses_that_nobody_can_dial(host: str, port: int) -> None:
    assert is_unusable(host, port)


@pytest.mark.parametrize(
    ("host", "port"), [("broker", 1), ("10.0.1.11", 65535), ("::1", 9092), ("0.0.0.1", 9092)]
)
def test_addresses_that_can_be_dialled(host: str, port: int) -> None:
    assert not is_unusable(host, port)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # a VPC is at most a /16
        ("10.0.1.11", "10.0.200.4", True),
        ("10.0.1.11", "10.1.1.11", False),
        ("172.16.0.1", "172.16.255.1", True),
        ("172.16.0.1", "172.17.0.1", False),
        # a home or an office is a /24
        ("192.168.1.5", "192.168.1.200", True),
        ("192.168.1.5", "192.168.2.5", False),
        # an overlay spans all of CGNAT
        ("100.64.0.1", "100.127.255.1", True),
        ("169.254.1.1", "169.254.200.1", True),
        ("fd00:1:2:3::1", "fd00:1:2:4::1", True),
        ("fd00:1:2::1", "fd00:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:10.0.1.11", "10.0.2.2", True),
        ("127.0.0.1", "::1", True),
        ("127.0.0.1", "10.0.0.1", False),
        # public addresses are in no network that we know, however close
        ("3.10.139.221", "3.10.139.221", False),
        ("3.10.139.221", "10.0.1.11", False),
        ("2001:db8::1", "2001:db8::2", False),
        ("10.0.0.1", "fd00::1", False),
        ("broker", "broker", False),
        ("10.0.0.1", "broker", False),
        ("", "", False),
        ("0.0.0.0", "0.0.0.0", False),
    ],
)
def test_neighbours(one: str, other: str, same: bool) -> None:
    assert same_network(one, other) is same
    assert same_network(other, one) is same


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("ip-10-0-145-219.us-west-2.compute.internal", EC2),
        ("IP-10-0-145-219.us-west-2.compute.internal.", EC2),
        ("ip-10-0-1-11.ec2.internal", EC2),
        ("ip-10-0-1-11", EC2),
        ("ip-10-0-1-11.corp.example.com", EC2),
        ("i-0abc.us-west-2.compute.internal", EC2),
        ("kafka-0.kafka-headless.kafka.svc.cluster.local", KUBERNETES),
        ("kafka-0.kafka-headless.kafka.svc.cluster.local.", KUBERNETES),
        ("my-cluster-kafka-bootstrap.kafka.svc", KUBERNETES),
        ("kafka-kafka-node-pool-clusterip-2.kafka.svc", KUBERNETES),
        ("kafka-0.kafka-brokers.prod.svc.cumulus-k8s", KUBERNETES),
        ("KAFKA.NS.SVC", KUBERNETES),
        ("voltha-kafka-0.voltha-kafka-headless.voltha", KUBERNETES),
        ("kafka-0.kafka-headless", KUBERNETES),
        ("my-cluster-pool-12.my-cluster-kafka-brokers.prod", KUBERNETES),
        ("c3d0d2984699", CONTAINER),
        ("c3d0d2984699.", CONTAINER),
        ("123456789012", CONTAINER),
        ("kafka", BARE),
        ("broker-1", BARE),
        ("c3d0d298469", BARE),
        ("c3d0d2984699a", BARE),
        ("c3d0d298469g", BARE),
        ("kafka.internal", ZONE),
        ("b1.kafka.local", ZONE),
        ("nas.lan", ZONE),
        ("host.localdomain", ZONE),
        ("pi.home.arpa", ZONE),
    ],
)
def test_names_that_only_their_own_network_knows(host: str, kind: str) -> None:
    assert internal_name(host) == kind


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "kafka.example.com",
        "kafka.example.com.",
        "ec2-3-10-139-221.eu-west-2.compute.amazonaws.com",
        "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com",
        "ip-51-38-12-34.eu",
        "internal.example.com",
        "svc.example.com",
        "local.io",
        "notinternal.org",
        "c3d0d2984699.example.com",
        "broker-1.corp-brokers.com",
        "broker-1.corp-headless.example.com",
        "10.0.0.1",
        "::1",
        "localhost",
    ],
)
def test_public_names_and_addresses(host: str) -> None:
    assert internal_name(host) is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("ip-10-0-145-219.us-west-2.compute.internal", "10.0.145.219"),
        ("IP-172-31-0-5.EC2.INTERNAL.", "172.31.0.5"),
        ("ip-192-168-0-1", "192.168.0.1"),
        ("ip-100-64-0-1.eu-west-2.compute.internal", "100.64.0.1"),
        ("ip-999-0-0-1.us-west-2.compute.internal", None),
        ("ip-10-0-256-1.us-west-2.compute.internal", None),
        ("ip-010-0-0-1.us-west-2.compute.internal", None),
        ("ip-10-0-1.us-west-2.compute.internal", None),
        ("ip-10-0-1-1-5.us-west-2.compute.internal", None),
        ("ip-10-0-1-11x.us-west-2.compute.internal", None),
        ("my-ip-10-0-1-11.us-west-2.compute.internal", None),
        ("ip-51-38-12-34.eu", None),
        ("ip-127-0-0-1", None),
        ("ip-١٠-0-0-1.ec2.internal", None),
        ("10.0.145.219", None),
        ("", None),
    ],
)
def test_the_address_that_an_ec2_name_carries(host: str, address: str | None) -> None:
    assert ec2_address(host) == address


@given(host=st.text() | st.text("0123456789abcdef:.%[]-ip"), other=st.ip_addresses().map(str))
@hypothesis_settings(max_examples=300, deadline=None, database=None, derandomize=True)
def test_no_peer_can_advertise_what_breaks_these(host: str, other: str) -> None:
    kinds = (EC2, KUBERNETES, CONTAINER, BARE, ZONE, None)
    assert internal_name(host) in kinds
    assert internal_name(other) is None
    assert same_network(host, other) in (True, False)
    assert not (is_private(host) and is_loopback(host))
    assert is_unusable(host, 0)
    assert parse(ec2_address(host) or other) is not None
