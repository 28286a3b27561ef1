"""Calls to the AWS API: the calls that kdiag makes, and failed calls. Real boto3, fake account."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest
from botocore import exceptions
from botocore.loaders import JSONFileLoader

from kdiag.aws.account import snapshot
from kdiag.aws.ec2 import (
    CALLS,
    REASONS_BY_CODE,
    REASONS_BY_EXCEPTION,
    ApiModelLoader,
    AwsApi,
    failure_reason,
)
from kdiag.aws.facts import Snapshot, UnavailableCall
from tests.accounts import (
    PRIVATE,
    REGION,
    SECRET,
    Account,
    delayed_response,
    error_response,
    json_response,
    moto,
    text_response,
)

POLICY = Path(__file__).parents[2] / "docs" / "aws.md"
ALL_REASONS = {"credentials", "expired", "denied", "region", "throttled", "unreachable", "failed"}

# Exceptions without a specific reason: bugs of kdiag, and services that kdiag does not use.
FAILED = set(
    """
    AliasConflictParameterError ApiVersionNotFoundError AwsChunkedWrapperError BotoCoreError
    CapacityNotAvailableError ChecksumError DataNotFoundError FlexibleChecksumError
    InvalidChecksumConfigError InvalidDNSNameError InvalidDefaultsMode
    InvalidEndpointDiscoveryConfigurationError InvalidExpressionError InvalidHostLabelError
    InvalidMaxRetryAttemptsError InvalidRetryConfigurationError InvalidRetryModeError
    InvalidS3AddressingStyleError InvalidS3UsEast1RegionalEndpointConfigError
    InvalidSTSRegionalEndpointsConfigError MD5UnavailableError MissingParametersError
    OperationNotPageableError PaginationError ParamValidationError RangeError StubAssertionError
    StubResponseError UnStubbedResponseError UnknownClientMethodError UnknownKeyError
    UnknownParameterError UnknownServiceError UnknownServiceStyle UnknownSignatureVersionError
    UnseekableStreamError UnsupportedOutpostResourceError UnsupportedS3AccesspointConfigurationError
    UnsupportedS3ArnError UnsupportedS3ConfigurationError UnsupportedS3ControlArnError
    UnsupportedS3ControlConfigurationError UnsupportedServiceProtocolsError
    UnsupportedSignatureVersionError ValidationError WaiterConfigError WaiterError
""".split()
)


def facts_about(
    *addresses: str, seconds: float = 30, profile: str = "", region: str = ""
) -> Snapshot:
    api = AwsApi(profile, time.monotonic() + seconds)
    api.open()
    return snapshot(api, {a: (a,) for a in addresses or PRIVATE}, region, "")


def reasons(found: Snapshot) -> dict[str, str]:
    return {gap.call: gap.reason for gap in found.unavailable}


def test_every_exception_of_botocore_has_a_reason() -> None:
    """A new exception of botocore fails this test until it has a reason."""
    kinds: list[Any] = [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.BotoCoreError)
    ]
    assert len(kinds) > 50
    for kind in kinds:
        found = failure_reason(kind.__new__(kind))
        assert (found == "failed") is (kind.__name__ in FAILED), kind.__name__
    assert set(REASONS_BY_EXCEPTION.values()) | set(REASONS_BY_CODE.values()) == ALL_REASONS


def test_the_model_loader_reads_what_botocore_reads() -> None:
    plain, own = JSONFileLoader(), ApiModelLoader()
    folder = Path(botocore.__file__).parent / "data"
    for name in ("endpoints", "ec2/2016-11-15/service-2", "ec2/2016-11-15/paginators-1", "none"):
        path = str(folder / name)
        assert own.exists(path) == plain.exists(path) == (name != "none")
        assert json.dumps(own.load_file(path)) == json.dumps(plain.load_file(path)), name


def test_every_reason_is_for_an_existing_exception() -> None:
    assert [name for name in REASONS_BY_EXCEPTION if not hasattr(exceptions, name)] == []


@pytest.mark.parametrize("call", ["DescribeInstances", "DescribeSecurityGroupRules",
                                  "DescribeNetworkAcls", "DescribeRouteTables"])  # fmt: skip
@pytest.mark.parametrize(
    ("code", "reason"),
    [("UnauthorizedOperation", "denied"), ("RequestLimitExceeded", "throttled"),
     ("InternalError", "failed")],
)  # fmt: skip
def test_one_failed_call_does_not_affect_the_others(
    account: Account, call: str, code: str, reason: str
) -> None:
    account.three()
    message = "You are not authorized.&#x200b; Encoded authorization failure message: A1b2C3"
    account.overrides = {f"ec2:{call}": error_response(code, message)}
    found = facts_about()
    (gap,) = found.unavailable
    assert (gap.call, gap.region, gap.reason) == (f"ec2:{call}", REGION, reason)
    assert gap.message.startswith(f"{code}: You are not authorized")
    assert gap.message.isprintable() and "\\u200b" in gap.message and "A1b2C3" not in gap.message
    assert len(found.interfaces) == 3
    known = {
        "DescribeInstances": bool(found.instances),
        "DescribeSecurityGroupRules": account.group in found.groups,
        "DescribeNetworkAcls": bool(found.acls),
        "DescribeRouteTables": bool(found.tables),
    }
    assert known == {name: name != call for name in known}


def test_an_incomplete_response_is_ignored(account: Account) -> None:
    """A group with only some of its rules is unknown: kdiag would report missing rules."""
    account.three()
    rest = "<nextToken>2</nextToken>"
    first = text_response(200, f"<R><securityGroupRuleSet/>{rest}</R>", "text/xml")
    denied, call_count = error_response("RequestLimitExceeded", status=503), [0]

    def answer(environ: Any, start: Any) -> Any:
        call_count[0] += 1
        return (first if call_count[0] == 1 else denied)(environ, start)

    account.overrides = {"ec2:DescribeSecurityGroupRules": answer}
    found = facts_about()
    assert reasons(found) == {"ec2:DescribeSecurityGroupRules": "throttled"}
    assert found.groups == {}


@pytest.mark.parametrize(
    "call",
    ["DescribeLoadBalancers", "DescribeListeners", "DescribeLoadBalancerAttributes",
     "DescribeTargetHealth", "DescribeTargetGroupAttributes"],
)  # fmt: skip
def test_an_incomplete_load_balancer_is_ignored(account: Account, call: str) -> None:
    """kdiag would report missing listeners or targets."""
    name = _everything(account)
    api = AwsApi("", time.monotonic() + 30)
    api.open()
    assert len(snapshot(api, {name: ("198.51.100.9",)}, "", "").balancers) == 1
    account.overrides[f"elasticloadbalancing:{call}"] = error_response("AccessDenied")
    found = snapshot(api, {name: ("198.51.100.9",)}, "", "")
    assert found.balancers == ()
    assert f"elasticloadbalancing:{call}" in {gap.call for gap in found.unavailable}


def test_a_throttled_call_is_tried_twice(account: Account) -> None:
    account.three()
    account.overrides = {
        "ec2:DescribeRouteTables": error_response("RequestLimitExceeded", status=503)
    }
    account.calls.clear()
    found = facts_about()
    assert reasons(found) == {"ec2:DescribeRouteTables": "throttled"}
    assert account.call_counts["DescribeRouteTables"] == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [("AuthFailure", "credentials"), ("RequestExpired", "expired"), ("OptInRequired", "region")],
)
def test_a_login_failure_stops_all_calls(account: Account, code: str, reason: str) -> None:
    account.overrides = {"*": error_response(code, "no", 401)}
    found = facts_about()
    assert {gap.reason for gap in found.unavailable} == {reason}
    assert "DescribeRegions" not in account.call_counts


def test_the_prefix_list_of_a_failed_call_is_unknown(account: Account) -> None:
    account.three()
    list_id = account.client().create_managed_prefix_list(
        PrefixListName="offices", AddressFamily="IPv4", MaxEntries=1, Entries=[]
    )["PrefixList"]["PrefixListId"]
    account.allow(PrefixListIds=[{"PrefixListId": list_id}])
    account.overrides = {"ec2:GetManagedPrefixListEntries": error_response("UnauthorizedOperation")}
    found = facts_about()
    assert found.prefix_lists == {}
    assert reasons(found) == {"ec2:GetManagedPrefixListEntries": "denied"}


@pytest.mark.parametrize(("address", "is_reported"), [(PRIVATE[0], False), ("10.9.9.9", True)])
def test_a_denied_region_is_reported_if_addresses_are_missing(
    account: Account, monkeypatch: pytest.MonkeyPatch, address: str, is_reported: bool
) -> None:
    account.three()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    denied = error_response("UnauthorizedOperation")

    def answer(environ: Any, start: Any) -> Any:
        here = "/ap-south-1/" in environ["HTTP_AUTHORIZATION"]
        return (denied if here else moto())(environ, start)

    account.overrides = {"*": answer}
    found = facts_about(address)
    assert bool(found.interfaces) is not is_reported
    assert {gap.region for gap in found.unavailable} == ({"ap-south-1"} if is_reported else set())


def test_no_credentials(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = facts_about()
    assert found.unavailable == (
        UnavailableCall(
            "ec2:DescribeNetworkInterfaces", "", "credentials", "Unable to locate credentials"
        ),
    )
    assert account.calls == []


def test_an_unknown_profile(account: Account) -> None:
    (gap,) = facts_about(profile="gone").unavailable
    assert (gap.reason, gap.message) == (
        "credentials", "The config profile (gone) could not be found",
    )  # fmt: skip


def test_a_configuration_that_cannot_be_read(account: Account, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile prod\nregion\n")
    (gap,) = facts_about().unavailable
    assert gap.reason == "credentials"


def test_an_unreachable_endpoint(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
        found = facts_about()
    assert {gap.reason for gap in found.unavailable} == {"unreachable"}


def test_a_response_that_is_not_from_aws(account: Account) -> None:
    account.overrides = {
        "*": text_response(200, "<html>Log in to the hotel's network", "text/html")
    }
    assert {gap.reason for gap in facts_about().unavailable} == {"failed"}


def test_unavailable_calls_contain_no_secrets(account: Account) -> None:
    message = f"the signature of {SECRET} does not match"
    account.overrides = {"*": error_response("SignatureDoesNotMatch", message)}
    gaps = facts_about().unavailable
    assert gaps and all("does not match" in gap.message for gap in gaps)
    assert SECRET not in repr(gaps)


def test_a_call_that_runs_at_the_deadline_is_unavailable(account: Account) -> None:
    account.three()
    account.overrides = {"ec2:DescribeRouteTables": delayed_response(8)}
    started = time.monotonic()
    found = facts_about(seconds=4)
    assert time.monotonic() - started < 7
    assert reasons(found) == {"ec2:DescribeRouteTables": "unreachable"}
    assert found.groups and found.acls


def test_a_silent_metadata_service_is_called_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    connections: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
        (gap,) = facts_about().unavailable
        server.shutdown(socket.SHUT_RDWR)
    assert gap.reason == "credentials"
    assert len(connections) <= 2  # one for a token, and one for the role


def test_the_policy_the_list_and_the_calls_are_equal(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy in docs/aws.md, CALLS, and the real calls."""
    called: set[str] = set()
    plain = boto3.session.Session.client

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        client = plain(self, *args, **kwargs)
        prefix = client.meta.service_model.signing_name
        client.meta.events.register(
            "before-call", lambda model, **_: called.add(f"{prefix}:{model.name}")
        )
        return client

    balancer_name = _everything(account)
    monkeypatch.setattr(boto3.session.Session, "client", watched)
    api = AwsApi("", time.monotonic() + 30)
    api.open()
    msk = f"b-1.demo.a1.c2.kafka.{REGION}.amazonaws.com"
    hosts = {PRIVATE[0]: (PRIVATE[0],), balancer_name: ("198.51.100.9",), msk: ("2001:db8::1",)}
    assert snapshot(api, hosts, "", "").unavailable == ()
    api.regions()
    assert called == set(CALLS)
    assert {call.action for call in account.calls if call.action in CALLS} == set(CALLS)
    block = re.search(r"```json\n(.*?)```", POLICY.read_text("utf-8"), re.DOTALL)
    assert block
    (statement,) = json.loads(block[1])["Statement"]
    assert statement == {"Effect": "Allow", "Action": list(CALLS), "Resource": "*"}


def _everything(account: Account) -> str:
    """Creates a network that needs every kind of call; returns the name of its load balancer."""
    account.three()
    ec2, balancer_name = account.client(), account.client("elbv2")
    list_id = ec2.create_managed_prefix_list(
        PrefixListName="offices", AddressFamily="IPv4", MaxEntries=1, Entries=[]
    )["PrefixList"]["PrefixListId"]
    account.allow(PrefixListIds=[{"PrefixListId": list_id}])
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    peering = ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=account.vpc)
    name = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=name)
    ec2.create_route(
        RouteTableId=account.table, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=name
    )
    created_balancer = balancer_name.create_load_balancer(
        Name="kafka", Type="network", Subnets=[account.subnet]
    )
    group = balancer_name.create_target_group(
        Name="brokers", Protocol="TCP", Port=9094, VpcId=account.vpc
    )
    action = {"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}
    arn = created_balancer["LoadBalancers"][0]["LoadBalancerArn"]
    balancer_name.create_listener(
        LoadBalancerArn=arn, Protocol="TCP", Port=9094, DefaultActions=[action]
    )
    cluster = {"clusterArn": "arn:aws:kafka:eu-west-2:1:cluster/demo/1", "clusterName": "demo"}
    account.overrides = {
        "kafka:ListClustersV2": json_response(clusterInfoList=[cluster]),
        "kafka:ListNodes": json_response(nodeInfoList=[]),
    }
    account.calls.clear()
    return str(created_balancer["LoadBalancers"][0]["DNSName"])
