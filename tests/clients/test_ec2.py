"""What is asked of AWS and what becomes of the answers: real boto3 against a server of moto's."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions
from moto.server import ThreadedMotoServer

from kdiag.clients import ec2
from kdiag.clients.ec2 import CALLS, Asked, Ec2
from kdiag.cloud import Gap, Snapshot, Source
from tests.running import Brokers, kdiag

REGION, LAPTOP = "eu-west-2", "203.0.113.10"
PRIVATE = tuple(f"10.0.1.{last}" for last in (11, 12, 13))
POLICY = Path(__file__).parents[2] / "docs" / "aws.md"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """A made-up AWS on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """boto3's own client of it, an empty AWS, and an environment in which only it can be met."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST"))
    yield boto3.client("ec2", region_name=REGION)


def network(aws: Any, count: int = 3, port: int = 9094) -> dict[str, Any]:
    """A VPC with a way to the internet, and brokers that the laptop's network may reach."""
    vpc = aws.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = aws.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"]
    gateway = aws.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    aws.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = aws.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    aws.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    aws.associate_route_table(RouteTableId=table, SubnetId=subnet)
    group = aws.create_security_group(GroupName="brokers", Description="d", VpcId=vpc)["GroupId"]
    allowed = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
               "IpRanges": [{"CidrIp": "203.0.113.0/24", "Description": "office"}]}  # fmt: skip
    aws.authorize_security_group_ingress(GroupId=group, IpPermissions=[allowed])
    interfaces, public = [], []
    for number in range(count):
        address = f"10.0.{1 + number // 200}.{11 + number % 200}"
        made = aws.create_network_interface(
            SubnetId=subnet, PrivateIpAddress=address, Groups=[group]
        )["NetworkInterface"]["NetworkInterfaceId"]
        interfaces.append(made)
        if number < 3:
            elastic = aws.allocate_address(Domain="vpc")
            aws.associate_address(AllocationId=elastic["AllocationId"], NetworkInterfaceId=made)
            public.append(elastic["PublicIp"])
    return {"vpc": vpc, "subnet": subnet, "group": group, "gateway": gateway, "table": table,
            "interfaces": interfaces, "public": public}  # fmt: skip


def look(*addresses: str, **asked: Any) -> tuple[Snapshot, Source]:
    door = Ec2(Asked(**{"region": REGION, "source": LAPTOP, **asked}))
    return asyncio.run(door.look({address: (address,) for address in addresses}))


def test_what_stands_before_three_brokers(aws: Any) -> None:
    made = network(aws)
    snapshot, source = look(made["public"][0], *PRIVATE)
    assert source == Source(LAPTOP, "given")
    assert snapshot.gaps == ()
    assert {one.id for one in snapshot.interfaces} == set(made["interfaces"])
    first = next(one for one in snapshot.interfaces if one.private == (PRIVATE[0],))
    assert first.public == {PRIVATE[0]: made["public"][0]}
    assert (first.vpc, first.subnet, first.groups) == (
        made["vpc"],
        made["subnet"],
        (made["group"],),
    )
    (rule,) = snapshot.groups[made["group"]].inbound
    assert re.match(r"sgr-[0-9a-f]+", rule.id)
    assert (rule.protocol, rule.from_port, rule.to_port) == ("tcp", 9094, 9094)
    assert rule.cidr == "203.0.113.0/24"
    own = next(table for table in snapshot.tables if table.id == made["table"])
    assert own.subnets == (made["subnet"],)
    routes = {route.network: route.target for route in own.routes}
    assert routes == {"10.0.0.0/16": "local", "0.0.0.0/0": made["gateway"]}
    assert [made["subnet"] in acl.subnets for acl in snapshot.acls] == [True]
    assert any(entry.allow for acl in snapshot.acls for entry in acl.entries)


def test_at_most_twelve_calls(aws: Any) -> None:
    made = network(aws)
    snapshot, _ = look(*made["public"], *PRIVATE)
    assert 0 < snapshot.calls <= 12


def test_three_hundred_brokers_cost_what_filters_of_200_force(aws: Any) -> None:
    made = network(aws, count=300)
    few, _ = look(*PRIVATE)
    wanted = [f"10.0.{1 + n // 200}.{11 + n % 200}" for n in range(300)]
    many, _ = look(*wanted)
    assert len(many.interfaces) == 300
    assert many.calls - few.calls == 1, "one more for the second 100 of 300 addresses"
    assert made["group"] in many.groups


def test_an_address_that_is_not_there(aws: Any) -> None:
    network(aws)
    snapshot, _ = look("10.9.9.9", "198.51.100.7")
    assert snapshot.interfaces == ()
    assert snapshot.gaps == ()


def test_the_region_is_in_a_name(aws: Any) -> None:
    made = network(aws)
    host = f"ip-10-0-1-11.{REGION}.compute.internal"
    snapshot, _ = asyncio.run(Ec2(Asked()).look({host: (PRIVATE[0],)}))
    assert snapshot.regions == (REGION,)
    assert {one.id for one in snapshot.interfaces} == {made["interfaces"][0]}


def test_without_a_region_all_are_asked(aws: Any) -> None:
    made = network(aws)
    snapshot, _ = asyncio.run(Ec2(Asked()).look({PRIVATE[0]: (PRIVATE[0],)}))
    assert REGION in snapshot.regions
    assert len(snapshot.regions) > 1
    assert {one.id for one in snapshot.interfaces} == {made["interfaces"][0]}


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials"),
        ({"AWS_PROFILE": "nobody"}, "credentials"),
        ({"AWS_ENDPOINT_URL": "closed"}, "unreachable"),
    ],
)
def test_a_gap(
    aws: Any, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str | None], reason: str
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        for name, value in environment.items():
            if value is None:
                monkeypatch.delenv(name)
            else:
                there = f"http://127.0.0.1:{sock.getsockname()[1]}"
                monkeypatch.setenv(name, there if value == "closed" else value)
        snapshot, _ = look(*PRIVATE)
    assert {gap.reason for gap in snapshot.gaps} == {reason}
    assert all(gap.words and "made-up" not in gap.words for gap in snapshot.gaps)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("UnauthorizedOperation", "denied"),
        ("RequestLimitExceeded", "throttled"),
        ("ExpiredToken", "expired"),
        ("AuthFailure", "credentials"),
        ("InternalError", "failed"),
    ],
)
def test_what_aws_answers(code: str, reason: str) -> None:
    told = {"Error": {"Code": code, "Message": "no \x1b[31m"}}
    error = exceptions.ClientError(told, "DescribeNetworkAcls")
    gap = ec2._gap("ec2:DescribeNetworkAcls", REGION, error)
    assert gap == Gap("ec2:DescribeNetworkAcls", REGION, reason, f"{code}: no \\x1b[31m")


def test_every_error_of_botocore_has_a_reason() -> None:
    kinds: list[Any] = [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.BotoCoreError)
    ]
    assert len(kinds) > 50
    for kind in kinds:
        error = kind.__new__(kind)
        assert ec2._gap("c", "r", error).reason in (
            "credentials", "expired", "denied", "region", "throttled", "unreachable", "failed",
        )  # fmt: skip


def test_one_call_that_is_denied_leaves_the_others(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto answers a profile's session; a hook of botocore's refuses one call, as IAM would."""
    network(aws)
    session = boto3.Session()
    events = session._session.get_component("event_emitter")

    def deny(**_: Any) -> None:
        told = {"Error": {"Code": "UnauthorizedOperation", "Message": "not authorized"}}
        raise exceptions.ClientError(told, "DescribeNetworkAcls")

    events.register("before-call.ec2.DescribeNetworkAcls", deny)
    monkeypatch.setattr(boto3, "Session", lambda **_: session)
    snapshot, _ = look(*PRIVATE)
    assert [gap.reason for gap in snapshot.gaps] == ["denied"]
    assert snapshot.acls == ()
    assert snapshot.groups
    assert snapshot.tables


def test_nothing_outside_the_policy_is_called(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy of docs/aws.md, the list in the code, and what is really called."""
    network(aws)
    session = boto3.Session()
    called: set[str] = set()
    session._session.get_component("event_emitter").register(
        "before-call", lambda model, **_: called.add(model.name)
    )
    monkeypatch.setattr(boto3, "Session", lambda **_: session)
    look(*PRIVATE, "198.51.100.7", region="")
    assert called
    assert {f"ec2:{name}" for name in called} <= set(CALLS)
    block = re.search(r"```json\n(.*?)```", POLICY.read_text("utf-8"), re.DOTALL)
    assert block
    (statement,) = json.loads(block[1])["Statement"]
    assert statement == {"Effect": "Allow", "Action": list(CALLS), "Resource": "*"}


def test_a_check_with_aws(aws: Any, brokers: Brokers) -> None:
    """The whole command: brokers on loopback, of which AWS knows nothing."""
    target = brokers.three().bootstrap
    done = kdiag(
        "check", target, "--aws", "--aws-region", REGION, "--aws-source", LAPTOP,
        "--aws-echo", "off", "-o", "json",
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert [hop["hop"] for hop in told["hops"]][-1] == "aws"
    assert told["failing_hop"] in (None, "aws")
    assert done.returncode in (0, 50)


def test_an_odd_source_is_refused(brokers: Brokers) -> None:
    done = kdiag("check", brokers.three().bootstrap, "--aws", "--aws-source", "my laptop")
    assert (done.returncode, done.stdout) == (2, "")
    assert "203.0.113.10" in done.stderr
