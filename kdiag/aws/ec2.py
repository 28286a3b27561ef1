"""Makes calls to the AWS API, with paging, a deadline and a counter.

Only this module of the AWS checks uses boto3. A failed call becomes an UnavailableCall.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kdiag.aws.facts import UnavailableCall
from kdiag.network.attempt import clean

T = TypeVar("T")
ApiResponse = dict[str, Any]

# Every call that kdiag makes, in the spelling of IAM policies. docs/aws.md has the policy; a test
# compares the two.
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
FIRST_CALL = "ec2:DescribeNetworkInterfaces"  # the call that is unavailable if boto3 does not load

MAX_FILTER_VALUES = 200  # the limit of EC2

# Items of one response: the limit of each service.
_PAGE_SIZES = {"ec2": 1000, "elbv2": 400, "kafka": 100}

# In seconds. The instance metadata service is local, so its timeout is short.
_CONNECT_TIMEOUT, _READ_TIMEOUT, _METADATA_TIMEOUT = 2, 5, 1
_MAX_ATTEMPTS = 2
_MAX_THREADS = 32
_MAX_MESSAGE = 300  # characters of an error message
_DEFAULT_REGION = "us-east-1"  # for DescribeRegions, if no region is configured
_TOO_LATE = "no answer in the time that was left"

# The name of a service in botocore → its name in IAM, where they differ.
_SERVICES = {"elbv2": "elasticloadbalancing"}

# The class of a botocore exception, or of one of its base classes → the reason of a failed call.
REASONS_BY_EXCEPTION = {
    name: reason
    for reason, names in {
        "credentials": """
            NoCredentialsError PartialCredentialsError CredentialRetrievalError
            UnknownCredentialError NoAuthTokenError UnknownTokenProviderError
            MetadataRetrievalError RefreshWithMFAUnsupportedError InvalidIMDSEndpointError
            InvalidIMDSEndpointModeError ProfileNotFound ConfigNotFound ConfigParseError
            InvalidConfigError MissingDependencyException
        """,
        "expired": "TokenRetrievalError SSOError LoginError",
        "denied": "LoginInsufficientPermissions",
        "region": """
            UnknownRegionError ServiceNotInRegionError InvalidRegionError
            BaseEndpointResolverError EndpointProviderError
        """,
        "unreachable": """
            ConnectionError HTTPClientError IncompleteReadError InvalidProxiesConfigError
            InvalidEndpointConfigurationError
        """,
        "failed": "BotoCoreError",
    }.items()
    for name in names.split()
}

# The error code of an AWS response → the reason of a failed call. Source: the error codes of the
# EC2 API, and the common errors of the other services.
REASONS_BY_CODE = {
    name: reason
    for reason, names in {
        "credentials": """
            AuthFailure IncompleteSignature InvalidAccessKeyId InvalidClientTokenId
            InvalidSignatureException MissingAuthenticationToken SignatureDoesNotMatch
            UnrecognizedClientException
        """,
        "expired": "ExpiredToken ExpiredTokenException RequestExpired",
        "denied": """
            AccessDenied AccessDeniedException ForbiddenException UnauthorizedException
            UnauthorizedOperation
        """,
        "region": "OptInRequired",
        "throttled": """
            RequestLimitExceeded RequestThrottled RequestThrottledException SlowDown Throttling
            ThrottledException ThrottlingException TooManyRequestsException
        """,
    }.items()
    for name in names.split()
}

# botocore puts this text before the message of AWS. Only the error code in it is useful.
_MESSAGE_PREFIX = re.compile(
    r"\AAn error occurred \((\w[\w.]*)\) when calling the \w+ operation"
    r"(?: \(reached max retries: \d+\))?"
)

_LOGIN_REASONS = ("credentials", "expired")  # with these reasons every call fails


class AwsApi:
    """The AWS API for one profile ("" is the default profile), until the time `until` of
    time.monotonic(). `calls` counts the API calls. Thread-safe."""

    def __init__(self, profile: str, until: float) -> None:
        self.until = until
        self.calls = 0
        self._profile = profile
        self._unavailable: dict[tuple[str, str, str], UnavailableCall] = {}
        self._pending: dict[tuple[str, str], str] = {}
        self._has_answer = False
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._secrets: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._client_lock = threading.Lock()

    @property
    def unavailable(self) -> tuple[UnavailableCall, ...]:
        """The calls without an answer; after `until` also the calls that are still running."""
        with self._lock:
            running = self._pending.items() if self.is_over else ()
            pending = [
                UnavailableCall(call, region, reason, _TOO_LATE)
                for (call, region), reason in running
            ]
            return (*self._unavailable.values(), *pending)

    @property
    def is_over(self) -> bool:
        """Whether the time `until` has passed."""
        return time.monotonic() >= self.until

    @property
    def has_no_answers(self) -> bool:
        """Whether calls failed and no call succeeded."""
        return not self._has_answer and bool(self._unavailable)

    @property
    def configured_region(self) -> str:
        """The region of the profile or the environment, "" without one."""
        if not self._session:
            return ""
        return os.environ.get("AWS_REGION", "") or str(self._session.region_name or "")

    def open(self) -> None:
        """Loads boto3 and the credentials. Missing credentials become an UnavailableCall."""
        with self._tracked(FIRST_CALL, "", "credentials"):
            self._open()

    def call(
        self, service: str, operation: str, region: str, **parameters: Any
    ) -> list[ApiResponse] | None:
        """Makes a call and returns all pages. Returns None for a failed call, also if only a later
        page failed: an incomplete answer looks like a complete one."""
        call = f"{_SERVICES.get(service, service)}:{operation}"
        if self._session is None or self._cannot_log_in:
            return None
        pages: list[ApiResponse] | None = None
        with self._tracked(call, region, "unreachable"):
            if self.is_over:
                self._add_unavailable(UnavailableCall(call, region, "unreachable", _TOO_LATE))
                return None
            pages = self._fetch_pages(service, operation, region, parameters)
            self._has_answer = True
        return pages

    def skip(self, call: str, region: str, message: str) -> None:
        """Adds an UnavailableCall for calls that kdiag does not make, because they are too many."""
        self._add_unavailable(UnavailableCall(call, region, "skipped", message))

    def regions(self) -> tuple[str, ...]:
        """The regions that are enabled for this account."""
        pages = self.call("ec2", "DescribeRegions", self.configured_region or _DEFAULT_REGION)
        return tuple(
            sorted(
                region.get("RegionName", "")
                for region in items_of(pages, "Regions")
                if region.get("OptInStatus") != "not-opted-in"
            )
        )

    def describe_by_filter(
        self, operation: str, region: str, name: str, values: Iterable[str]
    ) -> tuple[list[ApiResponse], set[str]]:
        """The pages of an EC2 call with one filter, and the filter values of the successful calls.
        A call takes at most MAX_FILTER_VALUES values, so there may be several calls."""
        unique = sorted(set(values))
        batches = [
            unique[at : at + MAX_FILTER_VALUES] for at in range(0, len(unique), MAX_FILTER_VALUES)
        ]

        def describe(batch: list[str]) -> list[ApiResponse] | None:
            return self.call("ec2", operation, region, Filters=[{"Name": name, "Values": batch}])

        responses = self.run_parallel(*(partial(describe, batch) for batch in batches))
        answered = [at for at, pages in enumerate(responses) if pages is not None]
        known = {value for at in answered for value in batches[at]}
        return [page for pages in responses for page in pages or ()], known

    def run_parallel(self, *jobs: Callable[[], T]) -> list[T | None]:
        """Runs each job in a daemon thread, and waits for the results until `until`. The result of
        an unfinished job is None."""
        if len(jobs) == 1:
            return [jobs[0]()]
        results: list[T | None] = [None] * len(jobs)
        gate = threading.Semaphore(_MAX_THREADS)

        def run(at: int) -> None:
            with gate:
                results[at] = jobs[at]()

        threads = [
            threading.Thread(target=run, args=(at,), name="kdiag-aws", daemon=True)
            for at in range(len(jobs))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.until - time.monotonic()))
        return list(results)

    @property
    def _cannot_log_in(self) -> bool:
        """Whether the credentials are missing or invalid, so that every call fails."""
        return self.has_no_answers and any(
            unavailable.reason in _LOGIN_REASONS for unavailable in list(self._unavailable.values())
        )

    def _open(self) -> None:
        try:
            import boto3  # 181 ms
            import botocore.session
            from botocore.exceptions import NoCredentialsError
        except ImportError:
            raise ImportError("boto3 is not installed: pip install boto3") from None

        core_session = botocore.session.Session(profile=self._profile or None)
        core_session.get_component("data_loader").file_loader = ApiModelLoader()
        core_session.set_config_variable("metadata_service_timeout", _METADATA_TIMEOUT)
        core_session.set_config_variable("metadata_service_num_attempts", 1)
        session = boto3.session.Session(botocore_session=core_session)
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        keys = credentials.get_frozen_credentials()
        self._secrets = tuple(k for k in (keys.access_key, keys.secret_key, keys.token) if k)
        self._session = session
        self._client("ec2", self.configured_region or _DEFAULT_REGION)

    def _fetch_pages(
        self, service: str, operation: str, region: str, parameters: Mapping[str, Any]
    ) -> list[ApiResponse]:
        from botocore import xform_name  # 5.8 ms

        client, name = self._client(service, region), xform_name(operation)
        if not client.can_paginate(name):
            return [_cleaned(getattr(client, name)(**parameters))]
        paginator, size = client.get_paginator(name), {"PageSize": _PAGE_SIZES[service]}
        return [_cleaned(page) for page in paginator.paginate(**parameters, PaginationConfig=size)]

    def _client(self, service: str, region: str) -> Any:
        """The boto3 client of a service. Threads may share a client, but not create one at once."""
        from botocore.config import Config  # 142 ms

        with self._client_lock:
            if (service, region) not in self._clients:
                client = self._session.client(
                    service,
                    region_name=region,
                    config=Config(
                        connect_timeout=_CONNECT_TIMEOUT,
                        read_timeout=_READ_TIMEOUT,
                        retries={"total_max_attempts": _MAX_ATTEMPTS, "mode": "standard"},
                        max_pool_connections=_MAX_THREADS,
                        user_agent_extra="kdiag",
                    ),
                )
                client.meta.events.register("before-call", self._count_call)
                self._clients[service, region] = client
            return self._clients[service, region]

    def _count_call(self, **_: object) -> None:
        with self._lock:
            self.calls += 1

    @contextmanager
    def _tracked(self, call: str, region: str, late_reason: str) -> Iterator[None]:
        """The context of a running call: `_pending` has the call meanwhile. An exception becomes an
        UnavailableCall."""
        with self._lock:
            self._pending[call, region] = late_reason
        try:
            yield
        except Exception as error:
            self._add_failure(call, region, error)
        finally:
            with self._lock:
                self._pending.pop((call, region), None)

    def _add_unavailable(self, unavailable: UnavailableCall) -> None:
        with self._lock:
            self._unavailable.setdefault(
                (unavailable.call, unavailable.region, unavailable.reason), unavailable
            )

    def _add_failure(self, call: str, region: str, error: BaseException) -> None:
        text = _MESSAGE_PREFIX.sub(r"\1", str(error))
        message = text.partition("Encoded authorization failure message")[0]
        for secret in self._secrets:
            message = message.replace(secret, "…")
        message = clean(" ".join(message.split()), _MAX_MESSAGE)
        self._add_unavailable(UnavailableCall(call, region, failure_reason(error), message))


class ApiModelLoader:
    """The loader of the API models of botocore, which are JSON files.

    The loader of botocore creates ordered dicts. Plain dicts keep the order too, and load much
    faster; the first call waits for the models.
    """

    _FORMATS: tuple[tuple[str, Callable[..., Any]], ...] = (
        (".json", open),
        (".json.gz", gzip.open),
    )

    def exists(self, path: str) -> bool:
        """Whether the file exists; `path` has no suffix."""
        return any(Path(path + suffix).is_file() for suffix, _ in self._FORMATS)

    def load_file(self, path: str) -> Any:
        """The parsed file, None if the file does not exist; `path` has no suffix."""
        for suffix, open_file in self._FORMATS:
            with suppress(FileNotFoundError), open_file(path + suffix, "rb") as file:
                return json.loads(file.read())
        return None


def failure_reason(error: BaseException) -> str:
    """The reason of UnavailableCall for an exception; "failed" for other exceptions."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    if code:
        return REASONS_BY_CODE.get(str(code).removeprefix("Client."), "failed")
    names = [kind.__name__ for kind in type(error).__mro__]
    return next(
        (REASONS_BY_EXCEPTION[name] for name in names if name in REASONS_BY_EXCEPTION), "failed"
    )


def items_of(pages: Iterable[ApiResponse] | None, *path: str) -> Iterator[ApiResponse]:
    """The items of all pages below the keys of `path`, such as "Reservations", "Instances"."""
    items = list(pages or ())
    for key in path:
        items = [child for item in items for child in item.get(key) or ()]
    yield from items


def _cleaned(response: Any) -> Any:
    """A response with printable texts, without its metadata."""
    if isinstance(response, str):
        return clean(response)
    if isinstance(response, dict):
        return {
            key: _cleaned(value) for key, value in response.items() if key != "ResponseMetadata"
        }
    return [_cleaned(item) for item in response] if isinstance(response, list) else response
