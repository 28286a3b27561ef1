"""AWS's keys and signatures, held against botocore's own; nothing is asked beyond loopback."""

from __future__ import annotations

import asyncio
import base64
import datetime
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kdiag.api import prepare
from kdiag.config.security import Sasl
from kdiag.config.settings import UsageError, settings
from kdiag.kafka.sasl import iam, sigv4
from kdiag.kafka.sasl.credentials import ready

NOW = 1_600_000_000.0
KEY, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoG/+=session"
HOST = "b-1.demo.abc123.c2.kafka.eu-west-2.amazonaws.com"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user whom AWS does not know, on a machine without metadata service."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def by_botocore(monkeypatch: pytest.MonkeyPatch, host: str, session: str) -> dict[str, str]:
    """The same request, signed by botocore at the same time."""
    moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
    credentials = Credentials(KEY, SECRET, session or None)
    signer = botocore.auth.SigV4QueryAuth(credentials, "kafka-cluster", "eu-west-2", expires=900)
    request = AWSRequest("GET", f"https://{host}/", params={"Action": "kafka-cluster:Connect"})
    signer.add_auth(request)
    return dict(parse_qsl(urlsplit(request.url).query))


@pytest.mark.parametrize("session", ["", SESSION], ids=["user", "role"])
@pytest.mark.parametrize("host", [HOST, "kafka.eu-west-2.amazonaws.com"])
def test_the_signature_is_botocore_s(
    monkeypatch: pytest.MonkeyPatch, host: str, session: str
) -> None:
    ours = sigv4.presigned(host, "eu-west-2", KEY, SECRET, session, NOW)
    assert ours == by_botocore(monkeypatch, host, session)


def test_the_bearer_token_is_a_presigned_url(monkeypatch: pytest.MonkeyPatch) -> None:
    token = iam.bearer("eu-west-2", KEY, SECRET, SESSION, NOW)
    assert "=" not in token
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    assert (url.scheme, url.netloc, url.path) == ("https", "kafka.eu-west-2.amazonaws.com", "/")
    query = dict(parse_qsl(url.query))
    assert query.pop("User-Agent") == "kdiag"
    assert query == by_botocore(monkeypatch, url.netloc, SESSION)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "eu-west-2"),
        ("b-2-public.demo.v4ni96.c2.kafka.us-east-1.amazonaws.com", "us-east-1"),
        ("b-1-public.demo.v4ni96.c2.kafka-beta.us-east-1.amazonaws.com", "us-east-1"),
        ("boot-abc1.c1.kafka-serverless.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("B-1.DEMO.ABC.C2.KAFKA.US-GOV-WEST-1.AMAZONAWS.COM", "us-gov-west-1"),
        ("b-1.demo.abc.c4.kafka.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("b-1.demo.abc.c4.kafka.eu-west-2.amazonaws.com.", "eu-west-2"),
        ("b-1.demo.abc.c4.kafka.eu-west-2.amazonaws.com.evil.example", ""),
        ("ec2-3-10-139-221.eu-west-2.compute.amazonaws.com", ""),
        ("localhost", ""),
        ("10.0.1.11", ""),
    ],
)
def test_the_region_in_a_broker_s_name(host: str, region: str) -> None:
    assert iam.region_of(host) == region


async def test_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    got = await ready(Sasl("AWS_MSK_IAM"), HOST, 5.0)
    assert got.error == ""
    assert got.sasl == Sasl("AWS_MSK_IAM", KEY, SECRET, SESSION, region="eu-west-2")
    assert SECRET not in repr(got) and SESSION not in repr(got)
    assert got.notes == (
        f"AWS_MSK_IAM signs for the host that is dialled, first for {HOST} in eu-west-2",
    )
    bearer = await ready(Sasl("OAUTHBEARER"), HOST, 5.0)
    assert bearer.sasl.token and not bearer.sasl.password
    assert bearer.notes == (
        "the token is signed for kafka.eu-west-2.amazonaws.com: every MSK cluster there takes it",
    )


async def test_keys_and_region_from_a_profile(nobody: Path) -> None:
    (nobody / "config").write_text("[profile prod]\nregion = eu-north-1\n")
    (nobody / "credentials").write_text(
        f"[prod]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
    )
    got = await ready(Sasl("AWS_MSK_IAM", profile="prod"), "10.0.1.11", 5.0)
    assert (got.sasl.username, got.sasl.password) == (KEY, SECRET)
    assert got.sasl.region == "eu-north-1"
    named = await ready(Sasl("AWS_MSK_IAM", profile="prod"), HOST, 5.0)
    assert named.sasl.region == "eu-west-2"
    chosen = await ready(Sasl("AWS_MSK_IAM", profile="prod", region="us-east-1"), HOST, 5.0)
    assert chosen.sasl.region == "us-east-1"


async def test_no_keys_anywhere() -> None:
    got = await ready(Sasl("AWS_MSK_IAM"), HOST, 5.0)
    assert got.error == "there are no AWS credentials: no environment, profile, or instance role"
    assert got.sasl == Sasl("AWS_MSK_IAM")


async def test_no_such_profile() -> None:
    got = await ready(Sasl("AWS_MSK_IAM", profile="gone"), HOST, 5.0)
    assert got.error == "AWS gave no credentials: The config profile (gone) could not be found"


async def test_half_of_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    got = await ready(Sasl("AWS_MSK_IAM"), HOST, 5.0)
    assert got.error.startswith("AWS gave no credentials: Partial credentials found in env")


async def test_no_region_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    got = await ready(Sasl("AWS_MSK_IAM"), "10.0.1.11", 5.0)
    assert got.error == "no AWS region: 10.0.1.11 names none, and none is configured"


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-2"),
    ],
)
async def test_a_region_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (await ready(Sasl("AWS_MSK_IAM"), "10.0.1.11", 5.0)).sasl.region == region


@pytest.mark.parametrize("profile", ["", "gone"])
def test_without_a_region_nothing_is_dialled(profile: str) -> None:
    given = {
        "sasl.mechanism": "AWS_MSK_IAM",
        "sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required"
        + (f' awsProfileName="{profile}";' if profile else ";"),
    }
    with pytest.raises(UsageError) as refused:
        prepare(settings("10.0.1.11:9098", properties=given))
    assert str(refused.value) == (
        "sasl.mechanism=AWS_MSK_IAM: '10.0.1.11' names no AWS region to sign for: set AWS_REGION, "
        "or a region in the profile"
    )
    prepare(settings("10.0.1.11:9098", properties=given), local=False)  # it may be known over there
    prepare(settings(f"{HOST}:9098", properties=given))


async def test_a_helper_program_that_hangs(nobody: Path) -> None:
    program = nobody / "helper.py"
    program.write_text("import time; time.sleep(2)\n")
    (nobody / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    got = await ready(Sasl("AWS_MSK_IAM"), HOST, 0.2)
    assert got.error.startswith("AWS gave no credentials within 0.6")


async def test_a_helper_program_that_fails(nobody: Path) -> None:
    program = nobody / "helper.py"
    program.write_text(
        textwrap.dedent("""
            import sys
            sys.exit("no\\x1b[31m such user")
        """)
    )
    (nobody / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    got = await ready(Sasl("AWS_MSK_IAM"), HOST, 10.0)
    assert got.error.startswith("AWS gave no credentials")
    assert got.error.isprintable()


@pytest.fixture
async def metadata_service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """A metadata service on loopback that accepts and never answers."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}")
    yield asked
    server.close()


async def test_a_silent_metadata_service_is_asked_once(metadata_service: list[str]) -> None:
    got = await ready(Sasl("AWS_MSK_IAM"), HOST, 10.0)
    assert got.error.startswith("there are no AWS credentials")
    assert len(metadata_service) <= 2  # its token, and then its role without one


def test_botocore_is_loaded_for_those_only_who_need_it() -> None:
    code = (
        "import sys; from kdiag.kafka.sasl import credentials, iam, mechanisms, oauth; "
        "sys.exit(any(name.split('.')[0] in ('botocore', 'boto3') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
