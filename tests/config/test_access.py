"""How AWS is to be asked: what may be written, where, and that nothing is asked without --aws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdiag.config.options import Options
from kdiag.config.settings import settings
from kdiag.config.targets import target
from kdiag.config.usage import UsageError

NAMES = ("aws_source", "aws_region", "aws_profile", "aws_echo")


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
    assert settings("a:1", aws_source=written).options.aws_source == source


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("my laptop", None, None, None), "--aws-source 'my laptop': write where the client comes"),
        (("203.0.113.999", None, None, None), "--aws-source '203.0.113.999': write where"),
        (("0.0.0.0/0", None, None, None), "--aws-source '0.0.0.0/0': that is every address"),
        (("::/0", None, None, None), "--aws-source '::/0': that is every address"),
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
    written: dict[str, Any] = dict(zip(NAMES, given, strict=True))
    with pytest.raises(UsageError) as caught:
        settings("a:1", **written)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_echo_or_none() -> None:
    url = "https://checkip.amazonaws.com"
    assert settings("a:1", aws_echo=url).options.aws_echo == url
    assert settings("a:1", aws_echo="off").options.aws_echo == ""


def test_aws_is_asked_only_when_it_is_to_be() -> None:
    assert not settings("a:1").options.aws
    given = settings("a:1", aws=True, aws_source="203.0.113.10", aws_region="eu-west-2")
    assert given.options == Options(aws=True, aws_source="203.0.113.10", aws_region="eu-west-2")
    assert given.notes == ()
    idle = settings("a:1", aws_source="203.0.113.10", aws_profile="prod", aws_echo="off")
    assert not idle.options.aws
    assert idle.notes == ("not used without --aws: --aws-source, --aws-profile",)


def test_a_target_has_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (
        "[targets.prod]", "aws = true", 'aws-source = "203.0.113.0/24"',
        'aws-region = "eu-west-2"', 'aws-profile = "prod"', 'aws-echo = "off"',
    )  # fmt: skip
    (tmp_path / "kdiag.toml").write_text("\n".join(lines))
    written = ("203.0.113.0/24", "eu-west-2", "prod", "off")
    assert target("prod", {}).options == {"aws": True, **dict(zip(NAMES, written, strict=True))}
    (tmp_path / "kdiag.toml").write_text('[targets.prod]\naws = "yes"')
    with pytest.raises(UsageError, match=r"targets\.prod\.aws: write true or false"):
        target("prod", {})
