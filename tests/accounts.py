"""A fake AWS account: the server of moto on loopback, for real boto3 calls.

This module adds features of AWS that moto does not have: filters, the ListNodes call of MSK, pages,
and error responses.
"""

from __future__ import annotations

import fnmatch
import io
import json
import logging
import marshal
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
import pytest
from werkzeug.serving import make_server

from kdiag.aws.ec2 import ApiModelLoader

REGION, LAPTOP = "eu-west-2", "203.0.113.10"
PRIVATE = ("10.0.1.11", "10.0.1.12", "10.0.1.13")
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")
_VALUE = re.compile(r"Filter\.\d+\.Value\.\d+\Z")

Environ = dict[str, Any]
Start = Callable[..., Any]
Responder = Callable[[Environ, Start], Iterable[bytes]]


@dataclass(frozen=True)
class Call:
    """One request to the server; `values` are its filter values."""

    action: str
    region: str
    values: tuple[str, ...] = ()


@dataclass
class Account:
    """The account of the server at `url`. `calls` has every request. `overrides` maps an action
    (ec2:DescribeInstances, or * for all) to the function that responds in place of moto."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    overrides: dict[str, Responder] = field(default_factory=dict)
    vpc: str = ""
    subnet: str = ""
    group: str = ""
    table: str = ""
    gateway: str = ""

    @property
    def call_counts(self) -> dict[str, int]:
        """The number of calls by action, without the name of the service."""
        names = sorted({call.action.partition(":")[2] for call in self.calls})
        return {n: sum(c.action.endswith(f":{n}") for c in self.calls) for n in names}

    def client(self, service: str = "ec2", region: str = REGION) -> Any:
        """A boto3 client to create resources with. Its calls count too."""
        return _client(self.url, service, region)

    def network(self, cidr: str = "10.0.0.0/16", subnet: str = "10.0.0.0/20") -> None:
        """Creates a VPC with an internet gateway, a subnet, and a security group without rules."""
        ec2 = self.client()
        self.vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        created = ec2.create_subnet(VpcId=self.vpc, CidrBlock=subnet)
        self.subnet = created["Subnet"]["SubnetId"]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        internet = "0.0.0.0/0"
        ec2.create_route(
            RouteTableId=self.table, DestinationCidrBlock=internet, GatewayId=self.gateway
        )
        ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        created = ec2.create_security_group(
            GroupName="kafka", Description="brokers", VpcId=self.vpc
        )
        self.group = created["GroupId"]

    def allow(self, ports: tuple[int, int] = (9094, 9094), **peer: Any) -> None:
        """Adds a rule to the security group of the brokers, by default for the address LAPTOP."""
        peer_fields = peer or {"IpRanges": [{"CidrIp": f"{LAPTOP}/32", "Description": "laptop"}]}
        permission = {"IpProtocol": "tcp", "FromPort": ports[0], "ToPort": ports[1], **peer_fields}
        self.client().authorize_security_group_ingress(
            GroupId=self.group, IpPermissions=[permission]
        )

    def broker(self, private: str, *, public: bool | str = True, groups: Sequence[str] = ()) -> str:
        """Creates an instance with a private address, in these groups or the group of the brokers.
        Returns its elastic address, "" without one."""
        ec2 = self.client()
        attachment = {"DeviceIndex": 0, "SubnetId": self.subnet, "PrivateIpAddress": private}
        name = {"Key": "Name", "Value": f"kafka-{private}"}
        instance = ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{**attachment, "Groups": list(groups) or [self.group]}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [name]}],
        )["Instances"][0]["InstanceId"]
        if not public:
            return ""
        options = {"Address": public} if isinstance(public, str) else {}
        address = ec2.allocate_address(Domain="vpc", **options)
        ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
        return str(address["PublicIp"])

    def create_interface(self, private: str, *, public: bool = False, **given: Any) -> str:
        """Creates a network interface without an instance; returns its elastic address, "" without
        one."""
        ec2 = self.client()
        created = ec2.create_network_interface(
            SubnetId=self.subnet, PrivateIpAddress=private, Groups=[self.group], **given
        )["NetworkInterface"]["NetworkInterfaceId"]
        if not public:
            return ""
        address = ec2.allocate_address(Domain="vpc")
        ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=created)
        return str(address["PublicIp"])

    def three(self, *, public: bool = True) -> list[str]:
        """Creates a network, a rule for LAPTOP and three brokers; returns the elastic addresses."""
        self.network()
        self.allow()
        return [self.broker(address, public=public) for address in PRIVATE]

    def reset(self) -> None:
        """Empties the account. The ids of the next resources are always the same."""
        self.overrides.clear()
        self._do("reset")
        self.client().describe_vpcs()  # moto creates a region, with ids, at the first call to it
        self._do("seed?a=1")
        self.calls.clear()

    def _do(self, what: str) -> None:
        """Sends a command to the management API of moto."""
        request = urllib.request.Request(f"{self.url}/moto-api/{what}", method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Records a request, and responds to it."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = _call(environ, body)
        self.calls.append(call)
        respond = self.overrides.get(call.action) or self.overrides.get("*") or moto()
        return respond(environ, start)


@cache
def _client(url: str, service: str, region: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="builder",
        aws_secret_access_key="builder",
    )


def text_response(status: int, text: str, kind: str = "application/json") -> Responder:
    """Responds with this text."""

    def respond(environ: Environ, start: Start) -> Iterable[bytes]:
        start(f"{status} Said", [("Content-Type", kind), ("Content-Length", str(len(text)))])
        return [text.encode()]

    return respond


def json_response(**members: Any) -> Responder:
    """Responds with a JSON object."""
    return text_response(200, json.dumps(members))


def error_response(code: str, message: str = "no", status: int = 403) -> Responder:
    """Responds with an EC2 error."""
    error = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    return text_response(
        status, f"<Response>{error}<RequestID>1</RequestID></Response>", "text/xml"
    )


def delayed_response(seconds: float) -> Responder:
    """Responds as moto does, after a delay."""

    def respond(environ: Environ, start: Start) -> Iterable[bytes]:
        time.sleep(seconds)
        return moto()(environ, start)

    return respond


def paged(size: int, tag: str) -> Responder:
    """Responds as moto does, in pages of `size` items of the set `tag`."""

    def respond(environ: Environ, start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        at = int(parse_qs(body.decode()).get("NextToken", ["0"])[0])
        plain = re.sub(rb"&NextToken=\d+", b"", body)
        request = {**environ, "wsgi.input": io.BytesIO(plain), "CONTENT_LENGTH": str(len(plain))}
        whole = b"".join(moto()(request, lambda *_: None)).decode()
        head, inner, tail = re.split(rf"(?<=<{tag}>)|(?=</{tag}>)", whole)
        items = _items(inner)
        more = f"<nextToken>{at + size}</nextToken>" if at + size < len(items) else ""
        page = head + "".join(items[at : at + size]) + tail.replace(
            f"</{tag}>", f"</{tag}>{more}"
        )  # fmt: skip
        return text_response(200, page, "text/xml")(environ, start)

    return respond


def environment(account: Account, folder: Path) -> dict[str, str]:
    """Environment variables with which boto3 uses only this account, with access keys."""
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
def running_account() -> Iterator[Account]:
    """Runs the server of an account in a thread."""
    account = Account()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        account.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with serving(account, sock):
            yield account


@contextmanager
def models_read_once() -> Iterator[None]:
    """kdiag parses an API model of botocore once for all tests: EC2's takes 0.1 s, and to look for
    all 400 takes as long. Of what botocore changes, endpoints and paginators, it gets a copy."""
    load_file, own = ApiModelLoader.load_file, ApiModelLoader()
    parsed = cache(lambda path: load_file(own, path))
    packed = cache(lambda path: marshal.dumps(parsed(path)))
    there = cache(own.exists)

    def load(_: ApiModelLoader, path: str) -> Any:
        return parsed(path) if path.endswith("service-2") else marshal.loads(packed(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ApiModelLoader, "exists", lambda _, path: there(path))
        patch.setattr(ApiModelLoader, "load_file", load)
        yield


@contextmanager
def serving(account: Account, sock: socket.socket) -> Iterator[None]:
    """Serves an account on another socket, which may be in another network namespace."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto()  # not while somebody waits for an answer
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
    """The items of an XML set; nested items stay in their parent."""
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


def _matches(value: str, pattern: str) -> bool:
    """As fnmatch does, which compiles each of the 200 addresses of a filter."""
    wild = any(mark in pattern for mark in "*?[")
    return fnmatch.fnmatch(value, pattern) if wild else value == pattern


@cache
def moto() -> Responder:
    """The server of moto, imported here: that takes 1.6 s, and each worker reads this module. No
    region of it has Amazon's images, which take 0.2 s a region."""
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    from moto import backends
    from moto.core import responses
    from moto.ec2 import utils
    from moto.ec2.models.elastic_network_interfaces import NetworkInterface
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    plain = NetworkInterface.get_filter_value

    def filter_value(self: Any, name: str, method: str | None = None) -> Any:
        """Adds the filters of network interfaces that moto does not have."""
        if name == "association.public-ip":
            return self.public_ip
        if name == "ipv6-addresses.ipv6-address":
            return list(self.ipv6_addresses)
        return plain(self, name, method)

    NetworkInterface.get_filter_value = filter_value
    # What each call would find out anew takes a third of its time.
    responses.method_names_from_class = cache(responses.method_names_from_class)
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    utils.fnmatch = SimpleNamespace(**vars(fnmatch) | {"fnmatch": _matches})
    app: Responder = DomainDispatcherApplication(create_backend_app)
    return app
