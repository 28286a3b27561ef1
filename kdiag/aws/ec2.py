"""AWS's API: the only door to boto3. Calls are counted, paged and bounded; what fails is a Gap."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kdiag.aws.facts import Unavailable
from kdiag.network.attempt import clean

T = TypeVar("T")
Answer = dict[str, Any]

# Every call made, as an IAM policy spells it; docs/aws.md has the policy, and a test compares them.
CALLS = (
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:GetManagedPrefixListEntries",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetHealth",
    "kafka:ListClustersV2",
    "kafka:ListNodes",
)
FIRST = "ec2:DescribeNetworkInterfaces"  # what a gap is about, where not even this can be asked

BATCH = 200  # values of one filter; EC2 takes no more

# Items of one answer, the most that each service gives.
_PAGES = {"ec2": 1000, "elbv2": 400, "kafka": 100}

# In seconds; the metadata service is next door, or there is none.
_CONNECT, _READ, _METADATA = 2, 5, 1
_ATTEMPTS = 2
_AT_ONCE = 32
_WORDS = 300  # characters of what AWS says of an error
_GLOBAL = "us-east-1"  # whom to ask for the list of regions, where none is configured
_LATE = "no answer in the time that was left"

# IAM's name of a service, where botocore has another.
_SERVICES = {"elbv2": "elasticloadbalancing"}

# Why a call failed, by the name of botocore's exception or of one that it is derived from.
REASONS = {
    "NoCredentialsError": "credentials",
    "PartialCredentialsError": "credentials",
    "CredentialRetrievalError": "credentials",
    "UnknownCredentialError": "credentials",
    "NoAuthTokenError": "credentials",
    "UnknownTokenProviderError": "credentials",
    "MetadataRetrievalError": "credentials",
    "RefreshWithMFAUnsupportedError": "credentials",
    "InvalidIMDSEndpointError": "credentials",
    "InvalidIMDSEndpointModeError": "credentials",
    "ProfileNotFound": "credentials",
    "ConfigNotFound": "credentials",
    "ConfigParseError": "credentials",
    "InvalidConfigError": "credentials",
    "MissingDependencyException": "credentials",
    "TokenRetrievalError": "expired",
    "SSOError": "expired",
    "LoginError": "expired",
    "LoginInsufficientPermissions": "denied",
    "UnknownRegionError": "region",
    "ServiceNotInRegionError": "region",
    "InvalidRegionError": "region",
    "BaseEndpointResolverError": "region",
    "EndpointProviderError": "region",
    "ConnectionError": "unreachable",
    "HTTPClientError": "unreachable",
    "IncompleteReadError": "unreachable",
    "InvalidProxiesConfigError": "unreachable",
    "InvalidEndpointConfigurationError": "unreachable",
    "BotoCoreError": "failed",
}

# The same, by the code of what AWS answers. Source: the EC2 API's error codes, and the errors that
# the other services have in common.
CODES = {
    "AuthFailure": "credentials",
    "IncompleteSignature": "credentials",
    "InvalidAccessKeyId": "credentials",
    "InvalidClientTokenId": "credentials",
    "InvalidSignatureException": "credentials",
    "MissingAuthenticationToken": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "UnrecognizedClientException": "credentials",
    "ExpiredToken": "expired",
    "ExpiredTokenException": "expired",
    "RequestExpired": "expired",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "ForbiddenException": "denied",
    "UnauthorizedException": "denied",
    "UnauthorizedOperation": "denied",
    "OptInRequired": "region",
    "RequestLimitExceeded": "throttled",
    "RequestThrottled": "throttled",
    "RequestThrottledException": "throttled",
    "SlowDown": "throttled",
    "Throttling": "throttled",
    "ThrottledException": "throttled",
    "ThrottlingException": "throttled",
    "TooManyRequestsException": "throttled",
}

# What botocore puts before AWS's own words; which call it was is known.
_WHOSE = re.compile(
    r"\AAn error occurred \((\w[\w.]*)\) when calling the \w+ operation"
    r"(?: \(reached max retries: \d+\))?"
)

_NOBODY = ("credentials", "expired")  # where one of these is the answer, no other call fares better


class AwsApi:
    """AWS as one profile ("" is the default) sees it, until a moment of time.monotonic().

    `calls` counts what was asked, `gaps` has what was not answered. May be used by many threads.
    """

    def __init__(self, profile: str, until: float) -> None:
        self.until = until
        self.calls = 0
        self._profile = profile
        self._gaps: dict[tuple[str, str, str], Unavailable] = {}
        self._flying: dict[tuple[str, str], str] = {}
        self._answered = False
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._secrets: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._making = threading.Lock()

    @property
    def gaps(self) -> tuple[Unavailable, ...]:
        """What was not answered; when time is up, what is still under way as well."""
        with self._lock:
            late = self._flying.items() if self.late else ()
            flying = [Unavailable(call, region, why, _LATE) for (call, region), why in late]
            return (*self._gaps.values(), *flying)

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.until

    @property
    def stuck(self) -> bool:
        """Something was asked, and nothing was answered."""
        return not self._answered and bool(self._gaps)

    @property
    def configured(self) -> str:
        """The region that the profile or the environment names, "" if none."""
        if not self._session:
            return ""
        return os.environ.get("AWS_REGION", "") or str(self._session.region_name or "")

    def open(self) -> None:
        """Loads boto3 and finds credentials; where there are none, that is a gap."""
        with self._under_way(FIRST, "", "credentials"):
            self._open()

    def ask(self, service: str, operation: str, region: str, **given: Any) -> list[Answer] | None:
        """The pages of an answer; None, and a gap, where AWS does not tell: half an answer would be
        taken for the whole."""
        call = f"{_SERVICES.get(service, service)}:{operation}"
        if self._session is None or self._hopeless:
            return None
        pages: list[Answer] | None = None
        with self._under_way(call, region, "unreachable"):
            if self.late:
                self._note(Unavailable(call, region, "unreachable", _LATE))
                return None
            pages = self._pages(service, operation, region, given)
            self._answered = True
        return pages

    def skip(self, call: str, region: str, words: str) -> None:
        """Notes what is not asked, for it would take too many calls."""
        self._note(Unavailable(call, region, "skipped", words))

    def regions(self) -> tuple[str, ...]:
        """All regions that are enabled for this account."""
        pages = self.ask("ec2", "DescribeRegions", self.configured or _GLOBAL)
        return tuple(
            sorted(
                each.get("RegionName", "")
                for each in listed(pages, "Regions")
                if each.get("OptInStatus") != "not-opted-in"
            )
        )

    def filtered(
        self, operation: str, region: str, name: str, values: Iterable[str]
    ) -> tuple[list[Answer], set[str]]:
        """EC2's answers to one filter, by as many values at once as it takes; and the values that
        were asked about with success."""
        wanted = sorted(set(values))
        batches = [wanted[at : at + BATCH] for at in range(0, len(wanted), BATCH)]

        def asked(some: list[str]) -> list[Answer] | None:
            return self.ask("ec2", operation, region, Filters=[{"Name": name, "Values": some}])

        told = self.together(*(partial(asked, some) for some in batches))
        answered = [at for at, pages in enumerate(told) if pages is not None]
        known = {value for at in answered for value in batches[at]}
        return [page for pages in told for page in pages or ()], known

    def together(self, *jobs: Callable[[], T]) -> list[T | None]:
        """Runs jobs at once, a thread for each, and waits for them as long as there is time; None
        where one did not end. The threads keep nobody from exiting."""
        if len(jobs) == 1:
            return [jobs[0]()]
        found: list[T | None] = [None] * len(jobs)
        gate = threading.Semaphore(_AT_ONCE)

        def run(at: int) -> None:
            with gate:
                found[at] = jobs[at]()

        threads = [
            threading.Thread(target=run, args=(at,), name="kdiag-aws", daemon=True)
            for at in range(len(jobs))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.until - time.monotonic()))
        return list(found)

    @property
    def _hopeless(self) -> bool:
        """Nobody gets an answer with these credentials."""
        return self.stuck and any(gap.reason in _NOBODY for gap in list(self._gaps.values()))

    def _open(self) -> None:
        import boto3
        import botocore.session
        from botocore.exceptions import NoCredentialsError

        below = botocore.session.Session(profile=self._profile or None)
        below.get_component("data_loader").file_loader = Models()
        below.set_config_variable("metadata_service_timeout", _METADATA)
        below.set_config_variable("metadata_service_num_attempts", 1)
        session = boto3.session.Session(botocore_session=below)
        found = session.get_credentials()
        if found is None:
            raise NoCredentialsError
        keys = found.get_frozen_credentials()
        self._secrets = tuple(k for k in (keys.access_key, keys.secret_key, keys.token) if k)
        self._session = session
        self._client("ec2", self.configured or _GLOBAL)

    def _pages(
        self, service: str, operation: str, region: str, given: Mapping[str, Any]
    ) -> list[Answer]:
        from botocore import xform_name

        client, name = self._client(service, region), xform_name(operation)
        if not client.can_paginate(name):
            return [_cleaned(getattr(client, name)(**given))]
        paginator, size = client.get_paginator(name), {"PageSize": _PAGES[service]}
        return [_cleaned(page) for page in paginator.paginate(**given, PaginationConfig=size)]

    def _client(self, service: str, region: str) -> Any:
        """A client; making one is no work for two threads at once."""
        from botocore.config import Config

        with self._making:
            if (service, region) not in self._clients:
                client = self._session.client(
                    service,
                    region_name=region,
                    config=Config(
                        connect_timeout=_CONNECT,
                        read_timeout=_READ,
                        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                        max_pool_connections=_AT_ONCE,
                        user_agent_extra="kdiag",
                    ),
                )
                client.meta.events.register("before-call", self._counted)
                self._clients[service, region] = client
            return self._clients[service, region]

    def _counted(self, **_: object) -> None:
        with self._lock:
            self.calls += 1

    def _under_way(self, call: str, region: str, late: str) -> _UnderWay:
        return _UnderWay(self, call, region, late)

    def _note(self, gap: Unavailable) -> None:
        with self._lock:
            self._gaps.setdefault((gap.call, gap.region, gap.reason), gap)

    def _missed(self, call: str, region: str, error: BaseException) -> None:
        words = _WHOSE.sub(r"\1", str(error)).partition("Encoded authorization failure message")[0]
        for secret in self._secrets:
            words = words.replace(secret, "…")
        self._note(Unavailable(call, region, reason(error), clean(" ".join(words.split()), _WORDS)))


class Models:
    """AWS's own description of its API, as botocore comes with it.

    botocore's loader reads it into ordered dicts. Plain ones keep their order too, and are read
    much faster, which the first call waits for.
    """

    _WAYS: tuple[tuple[str, Callable[..., Any]], ...] = ((".json", open), (".json.gz", gzip.open))

    def exists(self, path: str) -> bool:
        """Whether there is such a file, whose suffix is left out."""
        return any(Path(path + suffix).is_file() for suffix, _ in self._WAYS)

    def load_file(self, path: str) -> Any:
        """What is in it, None if there is no such file."""
        for suffix, opened in self._WAYS:
            with suppress(FileNotFoundError), opened(path + suffix, "rb") as file:
                return json.loads(file.read())
        return None


class _UnderWay:
    """A call under way: known as such while it lasts, and a gap if it fails in whatever way."""

    def __init__(self, api: AwsApi, call: str, region: str, late: str) -> None:
        self._api, self._call, self._region, self._late = api, call, region, late

    def __enter__(self) -> None:
        with self._api._lock:
            self._api._flying[self._call, self._region] = self._late

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self._api._missed(self._call, self._region, error)
        with self._api._lock:
            self._api._flying.pop((self._call, self._region), None)
        return isinstance(error, Exception)


def reason(error: BaseException) -> str:
    """Why a call failed, as a Gap says it; "failed" where there is no better word."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    if code:
        return CODES.get(str(code).removeprefix("Client."), "failed")
    names = [kind.__name__ for kind in type(error).__mro__]
    return next((REASONS[name] for name in names if name in REASONS), "failed")


def listed(pages: Iterable[Answer] | None, *path: str) -> Iterator[Answer]:
    """The items of pages, by the keys that lead there: "Reservations", "Instances"."""
    items = list(pages or ())
    for key in path:
        items = [each for item in items for each in item.get(key) or ()]
    yield from items


def _cleaned(told: Any) -> Any:
    """An answer with every text in it fit to be shown."""
    if isinstance(told, str):
        return clean(told)
    if isinstance(told, dict):
        return {key: _cleaned(value) for key, value in told.items() if key != "ResponseMetadata"}
    return [_cleaned(each) for each in told] if isinstance(told, list) else told
