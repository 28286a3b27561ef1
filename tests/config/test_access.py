"""How AWS is to be asked: what may be written, where, and that nothing is asked without --aws."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdiag.config.access import AwsAccess, parse_access
from kdiag.config.settings import settings
from kdiag.config.targets import target
from kdiag.config.usage import UsageError


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("203.0.113.10", "203.0.113.10"),
        (" 203.0.113.10/32 ", "203.0.113.10"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.77/24", "203.0.113.0/24"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:db8::/48", "2001:db8::/48"),
    ],
)
def test_a_source(written: str, source: str) -> None:
    assert parse_access(written, None, None, None) == AwsAccess(source=source)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("my laptop", None, None, None), "--aws-source 'my laptop': write where the client comes"),
        (("203.0.113.999", None, None, None), "--aws-source '203.0.113.999': write where"),
        (("0.0.0.0/0", None, None, None), "--aws-source '0.0.0.0/0': that is everybody"),
        (("::/0", None, None, None), "--aws-source '::/0': that is everybody"),
        ((None, "London", None, None), "--aws-region 'London': write one region, such as"),
        ((None, "eu-west-2,eu-west-1", None, None), "write one region"),
        ((None, None, "pro\nd", None), "write the name of a profile"),
        ((None, None, None, "checkip"), "--aws-echo: write the http:// or https:// URL"),
        ((None, None, None, "https://me:hunter2@echo.example/"), "--aws-echo: write the"),
        ((None, None, None, "file:///etc/passwd"), "--aws-echo: write the"),
    ],
)
def test_what_cannot_be_used(
    given: tuple[str | None, str | None, str | None, str | None], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_access(*given)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_echo_or_none() -> None:
    url = "https://checkip.amazonaws.com"
    assert parse_access(None, None, None, url).echo == url
    assert parse_access(None, None, None, "off").echo == ""


def test_aws_is_asked_only_when_it_is_to_be() -> None:
    assert settings("a:1").aws is None
    given = settings("a:1", aws=True, aws_source="203.0.113.10", aws_region="eu-west-2")
    assert given.aws == AwsAccess("203.0.113.10", "eu-west-2")
    assert given.notes == ()
    idle = settings("a:1", aws_source="203.0.113.10", aws_profile="prod", aws_echo="off")
    assert idle.aws is None
    assert idle.notes == ("not used without --aws: --aws-source, --aws-profile",)


def test_a_target_has_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (
        "[targets.prod]", "aws = true", 'aws-source = "203.0.113.0/24"',
        'aws-region = "eu-west-2"', 'aws-profile = "prod"', 'aws-echo = "off"',
    )  # fmt: skip
    (tmp_path / "kdiag.toml").write_text("\n".join(lines))
    found = target("prod", {})
    assert (found.aws, found.aws_source, found.aws_region) == (True, "203.0.113.0/24", "eu-west-2")
    assert (found.aws_profile, found.aws_echo) == ("prod", "off")
    (tmp_path / "kdiag.toml").write_text('[targets.prod]\naws = "yes"')
    with pytest.raises(UsageError, match=r"targets\.prod\.aws: write true or false"):
        target("prod", {})
