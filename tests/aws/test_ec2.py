"""AWS's API as it is asked: what is called, and what becomes of calls that fail. boto3 on moto."""

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
from kdiag.aws.ec2 import CALLS, CODES, REASONS, AwsApi, Models, reason
from kdiag.aws.facts import Snapshot, Unavailable
from tests.accounts import MOTO, PRIVATE, REGION, SECRET, Account, late, refused, said, told

POLICY = Path(__file__).parents[2] / "docs" / "aws.md"
REASONABLE = {"credentials", "expired", "denied", "region", "throttled", "unreachable", "failed"}

# What has no better word: kdiag's own mistakes, and services that it does not use.
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


def look(*addresses: str, seconds: float = 30, profile: str = "", region: str = "") -> Snapshot:
    api = AwsApi(profile, time.monotonic() + seconds)
    api.open()
    return snapshot(api, {a: (a,) for a in addresses or PRIVATE}, region, "")


def reasons(found: Snapshot) -> dict[str, str]:
    return {gap.call: gap.reason for gap in found.gaps}


def test_every_error_of_botocore_has_its_reason() -> None:
    """A new one of botocore's fails here, until it is decided what it means."""
    kinds: list[Any] = [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.BotoCoreError)
    ]
    assert len(kinds) > 50
    for kind in kinds:
        found = reason(kind.__new__(kind))
        assert (found == "failed") is (kind.__name__ in FAILED), kind.__name__
    assert set(REASONS.values()) | set(CODES.values()) == REASONABLE


def test_the_models_are_those_that_botocore_reads() -> None:
    plain, own = JSONFileLoader(), Models()
    folder = Path(botocore.__file__).parent / "data"
    for name in ("endpoints", "ec2/2016-11-15/service-2", "ec2/2016-11-15/paginators-1", "none"):
        path = str(folder / name)
        assert own.exists(path) == plain.exists(path) == (name != "none")
        assert json.dumps(own.load_file(path)) == json.dumps(plain.load_file(path)), name


def test_reasons_name_errors_that_there_are() -> None:
    assert [name for name in REASONS if not hasattr(exceptions, name)] == []


@pytest.mark.parametrize("call", ["DescribeInstances", "DescribeSecurityGroupRules",
                                  "DescribeNetworkAcls", "DescribeRouteTables"])  # fmt: skip
@pytest.mark.parametrize(
    ("code", "why"),
    [("UnauthorizedOperation", "denied"), ("RequestLimitExceeded", "throttled"),
     ("InternalError", "failed")],
)  # fmt: skip
def test_one_call_that_fails_leaves_the_others(
    account: Account, call: str, code: str, why: str
) -> None:
    account.three()
    words = "You are not authorized.&#x200b; Encoded authorization failure message: A1b2C3"
    account.instead = {f"ec2:{call}": refused(code, words)}
    found = look()
    (gap,) = found.gaps
    assert (gap.call, gap.region, gap.reason) == (f"ec2:{call}", REGION, why)
    assert gap.words.startswith(f"{code}: You are not authorized")
    assert gap.words.isprintable() and "\\u200b" in gap.words and "A1b2C3" not in gap.words
    assert len(found.interfaces) == 3
    known = {
        "DescribeInstances": bool(found.instances),
        "DescribeSecurityGroupRules": account.group in found.groups,
        "DescribeNetworkAcls": bool(found.acls),
        "DescribeRouteTables": bool(found.tables),
    }
    assert known == {name: name != call for name in known}


def test_half_an_answer_is_none(account: Account) -> None:
    """A group of which not every rule was told is not known: it would seem to lack a rule."""
    account.three()
    rest = "<nextToken>2</nextToken>"
    first = said(200, f"<R><securityGroupRuleSet/>{rest}</R>", "text/xml")
    denied, asked = refused("RequestLimitExceeded", status=503), [0]

    def answer(environ: Any, start: Any) -> Any:
        asked[0] += 1
        return (first if asked[0] == 1 else denied)(environ, start)

    account.instead = {"ec2:DescribeSecurityGroupRules": answer}
    found = look()
    assert reasons(found) == {"ec2:DescribeSecurityGroupRules": "throttled"}
    assert found.groups == {}


@pytest.mark.parametrize(
    "call",
    ["DescribeLoadBalancers", "DescribeListeners", "DescribeLoadBalancerAttributes",
     "DescribeTargetHealth", "DescribeTargetGroupAttributes"],
)  # fmt: skip
def test_a_load_balancer_of_which_a_part_is_not_told_is_not_known(
    account: Account, call: str
) -> None:
    """It would seem to lack a listener, or a target."""
    name = _everything(account)
    api = AwsApi("", time.monotonic() + 30)
    api.open()
    assert len(snapshot(api, {name: ("198.51.100.9",)}, "", "").balancers) == 1
    account.instead[f"elasticloadbalancing:{call}"] = refused("AccessDenied")
    found = snapshot(api, {name: ("198.51.100.9",)}, "", "")
    assert found.balancers == ()
    assert f"elasticloadbalancing:{call}" in {gap.call for gap in found.gaps}


def test_throttling_is_tried_twice(account: Account) -> None:
    account.three()
    account.instead = {"ec2:DescribeRouteTables": refused("RequestLimitExceeded", status=503)}
    account.calls.clear()
    found = look()
    assert reasons(found) == {"ec2:DescribeRouteTables": "throttled"}
    assert account.counted["DescribeRouteTables"] == 2


@pytest.mark.parametrize(
    ("code", "why"),
    [("AuthFailure", "credentials"), ("RequestExpired", "expired"), ("OptInRequired", "region")],
)
def test_what_no_call_gets_around(account: Account, code: str, why: str) -> None:
    account.instead = {"*": refused(code, "no", 401)}
    found = look()
    assert {gap.reason for gap in found.gaps} == {why}
    assert "DescribeRegions" not in account.counted


def test_a_prefix_list_that_is_not_told_is_not_known(account: Account) -> None:
    account.three()
    made = account.client().create_managed_prefix_list(
        PrefixListName="offices", AddressFamily="IPv4", MaxEntries=1, Entries=[]
    )["PrefixList"]["PrefixListId"]
    account.allow(PrefixListIds=[{"PrefixListId": made}])
    account.instead = {"ec2:GetManagedPrefixListEntries": refused("UnauthorizedOperation")}
    found = look()
    assert found.prefix_lists == {}
    assert reasons(found) == {"ec2:GetManagedPrefixListEntries": "denied"}


@pytest.mark.parametrize(("sought", "matters"), [(PRIVATE[0], False), ("10.9.9.9", True)])
def test_a_region_that_is_denied_matters_while_something_is_missing(
    account: Account, monkeypatch: pytest.MonkeyPatch, sought: str, matters: bool
) -> None:
    account.three()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    denied = refused("UnauthorizedOperation")

    def answer(environ: Any, start: Any) -> Any:
        here = "/ap-south-1/" in environ["HTTP_AUTHORIZATION"]
        return (denied if here else MOTO)(environ, start)

    account.instead = {"*": answer}
    found = look(sought)
    assert bool(found.interfaces) is not matters
    assert {gap.region for gap in found.gaps} == ({"ap-south-1"} if matters else set())


def test_no_credentials(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = look()
    assert found.gaps == (
        Unavailable(
            "ec2:DescribeNetworkInterfaces", "", "credentials", "Unable to locate credentials"
        ),
    )
    assert account.calls == []


def test_no_such_profile(account: Account) -> None:
    (gap,) = look(profile="gone").gaps
    assert (gap.reason, gap.words) == (
        "credentials", "The config profile (gone) could not be found",
    )  # fmt: skip


def test_a_configuration_that_cannot_be_read(account: Account, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile prod\nregion\n")
    (gap,) = look().gaps
    assert gap.reason == "credentials"


def test_nobody_answers(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
        found = look()
    assert {gap.reason for gap in found.gaps} == {"unreachable"}


def test_an_answer_that_is_no_answer(account: Account) -> None:
    account.instead = {"*": said(200, "<html>Log in to the hotel's network", "text/html")}
    assert {gap.reason for gap in look().gaps} == {"failed"}


def test_secrets_are_in_no_gap(account: Account) -> None:
    words = f"the signature of {SECRET} does not match"
    account.instead = {"*": refused("SignatureDoesNotMatch", words)}
    gaps = look().gaps
    assert gaps and all("does not match" in gap.words for gap in gaps)
    assert SECRET not in repr(gaps)


def test_what_is_under_way_when_time_is_up_is_a_gap(account: Account) -> None:
    account.three()
    account.instead = {"ec2:DescribeRouteTables": late(8)}
    begun = time.monotonic()
    found = look(seconds=4)
    assert time.monotonic() - begun < 7
    assert reasons(found) == {"ec2:DescribeRouteTables": "unreachable"}
    assert found.groups and found.acls


def test_a_metadata_service_that_is_silent_is_asked_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    met: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    met.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        there = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", there)
        (gap,) = look().gaps
        server.shutdown(socket.SHUT_RDWR)
    assert gap.reason == "credentials"
    assert len(met) <= 2  # for a token, and then for the role without one


def test_nothing_outside_the_policy_is_called(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy of docs/aws.md, the list in the code, and what is really called: all the same."""
    called: set[str] = set()
    plain = boto3.session.Session.client

    def watched(self: Any, *given: Any, **named: Any) -> Any:
        client = plain(self, *given, **named)
        prefix = client.meta.service_model.signing_name
        client.meta.events.register(
            "before-call", lambda model, **_: called.add(f"{prefix}:{model.name}")
        )
        return client

    elb = _everything(account)
    monkeypatch.setattr(boto3.session.Session, "client", watched)
    api = AwsApi("", time.monotonic() + 30)
    api.open()
    msk = f"b-1.demo.a1.c2.kafka.{REGION}.amazonaws.com"
    hosts = {PRIVATE[0]: (PRIVATE[0],), elb: ("198.51.100.9",), msk: ("2001:db8::1",)}
    assert snapshot(api, hosts, "", "").gaps == ()
    api.regions()
    assert called == set(CALLS)
    assert {call.action for call in account.calls if call.action in CALLS} == set(CALLS)
    block = re.search(r"```json\n(.*?)```", POLICY.read_text("utf-8"), re.DOTALL)
    assert block
    (statement,) = json.loads(block[1])["Statement"]
    assert statement == {"Effect": "Allow", "Action": list(CALLS), "Resource": "*"}


def _everything(account: Account) -> str:
    """A network in which there is something of each kind to be asked about; gives the name of its
    load balancer."""
    account.three()
    ec2, elb = account.client(), account.client("elbv2")
    made = ec2.create_managed_prefix_list(
        PrefixListName="offices", AddressFamily="IPv4", MaxEntries=1, Entries=[]
    )["PrefixList"]["PrefixListId"]
    account.allow(PrefixListIds=[{"PrefixListId": made}])
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    peering = ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=account.vpc)
    name = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=name)
    ec2.create_route(
        RouteTableId=account.table, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=name
    )
    front = elb.create_load_balancer(Name="kafka", Type="network", Subnets=[account.subnet])
    group = elb.create_target_group(Name="brokers", Protocol="TCP", Port=9094, VpcId=account.vpc)
    action = {"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}
    arn = front["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=9094, DefaultActions=[action])
    cluster = {"clusterArn": "arn:aws:kafka:eu-west-2:1:cluster/demo/1", "clusterName": "demo"}
    account.instead = {
        "kafka:ListClustersV2": told(clusterInfoList=[cluster]),
        "kafka:ListNodes": told(nodeInfoList=[]),
    }
    account.calls.clear()
    return str(front["LoadBalancers"][0]["DNSName"])
