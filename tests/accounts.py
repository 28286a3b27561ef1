"""A made-up AWS account: moto's server on loopback, asked by real boto3 calls.

What moto lacks is added here, at the other end of the wire: filters that AWS has, MSK's ListNodes,
pages, and answers that go wrong.
"""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

REGION, LAPTOP = "eu-west-2", "203.0.113.10"
PRIVATE = ("10.0.1.11", "10.0.1.12", "10.0.1.13")
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")
_VALUE = re.compile(r"Filter\.\d+\.Value\.\d+\Z")

Environ = dict[str, Any]
Start = Callable[..., Any]
Answer = Callable[[Environ, Start], Iterable[bytes]]


@dataclass(frozen=True)
class Call:
    """One request as it came over the wire; `values` are those of its filters."""

    action: str
    region: str
    values: tuple[str, ...] = ()


@dataclass
class Account:
    """The account behind the server at `url`. `calls` has every request; `instead` maps an action
    (ec2:DescribeInstances, or * for all) to who answers it in moto's place."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    instead: dict[str, Answer] = field(default_factory=dict)
    vpc: str = ""
    subnet: str = ""
    group: str = ""
    table: str = ""
    gateway: str = ""

    @property
    def counted(self) -> dict[str, int]:
        """How often each action was asked for, by its name without the service's."""
        names = sorted({call.action.partition(":")[2] for call in self.calls})
        return {n: sum(c.action.endswith(f":{n}") for c in self.calls) for n in names}

    def client(self, service: str = "ec2", region: str = REGION) -> Any:
        """boto3's own, to build with; what it asks counts like anybody's."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="builder",
            aws_secret_access_key="builder",
        )

    def network(self, cidr: str = "10.0.0.0/16", subnet: str = "10.0.0.0/20") -> None:
        """A VPC with a way to the internet, a subnet, and a security group without rules."""
        ec2 = self.client()
        self.vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        made = ec2.create_subnet(VpcId=self.vpc, CidrBlock=subnet)
        self.subnet = made["Subnet"]["SubnetId"]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        everywhere = "0.0.0.0/0"
        ec2.create_route(
            RouteTableId=self.table, DestinationCidrBlock=everywhere, GatewayId=self.gateway
        )
        ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        made = ec2.create_security_group(GroupName="kafka", Description="brokers", VpcId=self.vpc)
        self.group = made["GroupId"]

    def allow(self, ports: tuple[int, int] = (9094, 9094), **peer: Any) -> None:
        """A rule of the brokers' security group; for the laptop, if `peer` does not say else."""
        whom = peer or {"IpRanges": [{"CidrIp": f"{LAPTOP}/32", "Description": "laptop"}]}
        permission = {"IpProtocol": "tcp", "FromPort": ports[0], "ToPort": ports[1], **whom}
        self.client().authorize_security_group_ingress(
            GroupId=self.group, IpPermissions=[permission]
        )

    def broker(self, private: str, *, public: bool | str = True, groups: Sequence[str] = ()) -> str:
        """An instance at a private address, in these groups or the network's; gives its elastic
        address, which is any if none is given, "" for none."""
        ec2 = self.client()
        card = {"DeviceIndex": 0, "SubnetId": self.subnet, "PrivateIpAddress": private}
        name = {"Key": "Name", "Value": f"kafka-{private}"}
        instance = ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{**card, "Groups": list(groups) or [self.group]}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [name]}],
        )["Instances"][0]["InstanceId"]
        if not public:
            return ""
        wanted = {"Address": public} if isinstance(public, str) else {}
        address = ec2.allocate_address(Domain="vpc", **wanted)
        ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
        return str(address["PublicIp"])

    def card(self, private: str, *, public: bool = False, **given: Any) -> str:
        """A network interface of nobody's; gives its elastic address, "" for none."""
        ec2 = self.client()
        made = ec2.create_network_interface(
            SubnetId=self.subnet, PrivateIpAddress=private, Groups=[self.group], **given
        )["NetworkInterface"]["NetworkInterfaceId"]
        if not public:
            return ""
        address = ec2.allocate_address(Domain="vpc")
        ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=made)
        return str(address["PublicIp"])

    def three(self, *, public: bool = True) -> list[str]:
        """A network, a rule for the laptop, three brokers; gives their elastic addresses."""
        self.network()
        self.allow()
        return [self.broker(address, public=public) for address in PRIVATE]

    def reset(self) -> None:
        """An empty account, that nobody has asked anything; the ids to come are always the same."""
        self.instead.clear()
        self._do("reset")
        self.client().describe_vpcs()  # moto makes a region when it is first asked of, with ids
        self._do("seed?a=1")
        self.calls.clear()

    def _do(self, what: str) -> None:
        """One of moto's own commands."""
        ask = urllib.request.Request(f"{self.url}/moto-api/{what}", method="POST")
        urllib.request.urlopen(ask, timeout=10).close()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Notes a request, and has it answered."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = _call(environ, body)
        self.calls.append(call)
        answer = self.instead.get(call.action) or self.instead.get("*") or MOTO
        return answer(environ, start)


def said(status: int, text: str, kind: str = "application/json") -> Answer:
    """An answer of one's own."""

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        start(f"{status} Said", [("Content-Type", kind), ("Content-Length", str(len(text)))])
        return [text.encode()]

    return answer


def told(**members: Any) -> Answer:
    """An answer of a service that speaks JSON."""
    return said(200, json.dumps(members))


def refused(code: str, words: str = "no", status: int = 403) -> Answer:
    """An error as EC2 spells it."""
    error = f"<Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors>"
    return said(status, f"<Response>{error}<RequestID>1</RequestID></Response>", "text/xml")


def late(seconds: float) -> Answer:
    """moto's answer, late."""

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        time.sleep(seconds)
        return MOTO(environ, start)

    return answer


def paged(size: int, tag: str) -> Answer:
    """moto's answer in pages of that size; `tag` is the set whose items are counted."""

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        at = int(parse_qs(body.decode()).get("NextToken", ["0"])[0])
        plain = re.sub(rb"&NextToken=\d+", b"", body)
        asked = {**environ, "wsgi.input": io.BytesIO(plain), "CONTENT_LENGTH": str(len(plain))}
        whole = b"".join(MOTO(asked, lambda *_: None)).decode()
        head, inner, tail = re.split(rf"(?<=<{tag}>)|(?=</{tag}>)", whole)
        items = _items(inner)
        more = f"<nextToken>{at + size}</nextToken>" if at + size < len(items) else ""
        page = head + "".join(items[at : at + size]) + tail.replace(
            f"</{tag}>", f"</{tag}>{more}"
        )  # fmt: skip
        return said(200, page, "text/xml")(environ, start)

    return answer


def environment(account: Account, folder: Path) -> dict[str, str]:
    """The environment in which boto3 meets this account and no other, as somebody with keys."""
    return {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }


@contextmanager
def served() -> Iterator[Account]:
    """An account whose server runs in a thread."""
    account = Account()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        account.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with answered(account, sock):
            yield account


@contextmanager
def answered(account: Account, sock: socket.socket) -> Iterator[None]:
    """An account that answers at one more socket, which may be in a network of its own."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, account, threaded=True, fd=sock.fileno())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def _items(text: str) -> Sequence[str]:
    """The items of a set, each with the items that are in it."""
    found, depth, begun = [], 0, 0
    for tag in re.finditer(r"<(/?)item>", text):
        if not tag[1]:
            begun = tag.start() if depth == 0 else begun
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                found.append(text[begun : tag.end()])
    return found


def _call(environ: Environ, body: bytes) -> Call:
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    region, service = scope.groups() if scope else ("", "")
    if service == "kafka":
        nodes = unquote(environ["PATH_INFO"]).endswith("/nodes")
        return Call(f"kafka:{'ListNodes' if nodes else 'ListClustersV2'}", region)
    given = parse_qs(body.decode())
    values = tuple(value[0] for name, value in given.items() if _VALUE.match(name))
    return Call(f"{service}:{given.get('Action', ['?'])[0]}", region, values)


def _filter_value(self: Any, name: str, method: str | None = None) -> Any:
    """AWS's filters for network interfaces that moto does not know."""
    if name == "association.public-ip":
        return self.public_ip
    if name == "ipv6-addresses.ipv6-address":
        return list(self.ipv6_addresses)
    return _PLAIN(self, name, method)


_PLAIN = NetworkInterface.get_filter_value
NetworkInterface.get_filter_value = _filter_value  # type: ignore[method-assign, assignment]
MOTO: Answer = DomainDispatcherApplication(create_backend_app)
