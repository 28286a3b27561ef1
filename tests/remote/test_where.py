"""WHERE is taken as it was written, or refused before anything is dialled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from kdiag.config.security import Sasl, Security
from kdiag.config.settings import Settings, settings
from kdiag.config.usage import UsageError
from kdiag.remote import engine
from kdiag.remote.vantage import parse_all, parse_vantage, refuse_unsupported
from tests.copying import HOSTILE


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("local", {}),
        ("ssh://host", {"host": "host"}),
        ("ssh://bob@host.example:2222", {"user": "bob", "host": "host.example", "port": "2222"}),
        ("ssh://[2001:db8::1]:22", {"host": "[2001:db8::1]", "port": "22"}),
        ("docker://my_app-1", {"container": "my_app-1"}),
        ("k8s://shop/web-0", {"namespace": "shop", "pod": "web-0"}),
        ("k8s://shop/web-0/app", {"namespace": "shop", "pod": "web-0", "container": "app"}),
        ("k8s://shop/app=web", {"namespace": "shop", "selector": "app=web"}),
        (
            "k8s://shop/app.kubernetes.io/name=web,tier=1",
            {"namespace": "shop", "selector": "app.kubernetes.io/name=web,tier=1"},
        ),
    ],
)
def test_every_form_is_understood(text: str, parts: dict[str, str]) -> None:
    where = parse_vantage(text)
    assert where.text == text
    assert dict(where.parts) == parts


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "locals", "ssh:", "ssh://", "ssh:///", "ftp://host", "SSH://host"),
        *("ssh://-oProxyCommand=touch x", "ssh://-lroot@host", "ssh://bob@-host", "ssh://a b"),
        *("ssh://host:0", "ssh://host:65536", "ssh://host:x", "ssh://host/path"),
        *(
            "ssh://host\n",
            "ssh://$(id)",
            "ssh://h;id",
            "ssh://[::1",
            "ssh://[x]",
            "ssh://user:pw@h",
        ),
        *("docker://", "docker://-it", "docker://--privileged", "docker://a/b", "docker://a b"),
        *("k8s://", "k8s://shop", "k8s://shop/", "k8s:///web", "k8s://shop/-web", "k8s://-n/web"),
        *("k8s://shop/web/", "k8s://shop/web/-c", "k8s://shop/web/app/x", "k8s://Shop/web"),
        *("k8s://shop/=web", "k8s://shop/app=", "k8s://shop/app=-x", "k8s://shop/a=b c"),
        *("k8s://shop/--all=x", "k8s://shop/a!=b", "k8s://" + "a" * 300 + "/web"),
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--from .*: write local, ssh://"):
        parse_vantage(text)


def test_a_password_in_it_is_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        parse_vantage("ssh://bob:hunter2@host/")
    assert "hunter2" not in str(refused.value)


def test_the_same_place_is_one_place() -> None:
    assert len(parse_all(["local", "ssh://h", "local"])) == 2


def command(text: str) -> list[str]:
    vantage = parse_vantage(text)
    return engine.load(vantage.scheme, 30.0).command(vantage)


@pytest.mark.parametrize(
    "line",
    [
        command("ssh://bob@host:2222"),
        command("docker://app"),
        command("k8s://shop/web-0/app"),
    ],
)
def test_what_a_user_wrote_is_never_an_option(line: list[str]) -> None:
    joined = " ".join(line[:-1])
    assert joined in (
        "ssh -T -oBatchMode=yes -oEscapeChar=none -oConnectTimeout=8 -p 2222 -l bob -- host",
        "docker exec --interactive app sh -c",
        "kubectl exec --stdin --namespace=shop --container=app web-0 -- sh -c",
    )


@bounded(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(["ssh://{}", "ssh://{}@h", "ssh://b@{}:22", "docker://{}", "k8s://{}/p",
                     "k8s://n/{}", "k8s://n/p/{}", "k8s://n/{}=x", "k8s://n/x={}"]),
    st.sampled_from(HOSTILE) | st.from_regex(r"-{0,2}[a-zA-Z0-9.;$ =]{1,9}", fullmatch=True),
)  # fmt: skip
def test_whatever_is_written_is_no_option_and_no_word_of_a_shell(form: str, name: str) -> None:
    try:
        where = parse_vantage(form.format(name))
    except UsageError:
        return
    for _, part in where.parts:
        assert part[0] not in "-=:" and not set(part) & set(" ;|&<>$`'\"\\\n*?(){}!#~")
    if where.scheme == "ssh":
        *options, dashes, host, script = command(where.text)
        assert dashes == "--" and host == where["host"].strip("[]") and script.startswith("sh -c ")
        assert options[-2:] == ["-l", where["user"]] or not where["user"]


def _asked(security: Security | None = None, **options: Any) -> Settings:
    return settings("h:1", **options)._replace(security=security or Security())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (_asked(aws=True), "--aws asks about the path from this machine"),
        (
            _asked(security=Security(sasl=Sasl("GSSAPI"))),
            "kdiag does not send a Kerberos ticket there",
        ),
    ],
)
def test_what_cannot_be_asked_elsewhere_is_refused(asked: Settings, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        refuse_unsupported(asked, parse_all(["local", "ssh://h"]))
