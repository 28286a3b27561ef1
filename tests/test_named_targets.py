"""What others may have kdiag walk to: named targets, and other addresses without a credential."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdiag.config.security import Security
from kdiag.config.usage import UsageError
from kdiag.named_targets import MOST_SERVERS, NamedTargets, RequestedTargets, named_targets

TOML = """
[targets.prod]
bootstrap = "broker.example.com:9094"
timeout = 2

[targets.prod.properties]
"security.protocol" = "SASL_SSL"
"sasl.mechanism" = "PLAIN"
"sasl.username" = "monitor"

[targets.plain]
bootstrap = "plain.example.com:9092"
properties = { "security.protocol" = "PLAINTEXT" }
"""


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own kdiag.toml, and a password in the environment."""
    folder = tmp_path / "config" / "kdiag"
    folder.mkdir(parents=True)
    file = folder / "kdiag.toml"
    file.write_text(TOML)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "config"))
    monkeypatch.setenv("KDIAG_X_SASL_PASSWORD", "hunter2-hunter2")
    return file


def test_named_targets_have_their_options_and_the_users_secrets() -> None:
    named = named_targets()
    assert list(named) == ["prod", "plain"]
    prod = named["prod"]
    assert (prod.options.timeout, str(prod.bootstrap[0])) == (2.0, "broker.example.com:9094")
    assert prod.security.sasl
    assert prod.security.sasl.password == "hunter2-hunter2"


def test_an_error_names_the_target(own_file: Path) -> None:
    own_file.write_text('[targets.odd]\nbootstrap = "a:99999999"\n')
    with pytest.raises(UsageError, match="@odd"):
        named_targets()


def test_a_target_is_found_by_its_name() -> None:
    requested = RequestedTargets(named_targets())
    assert requested.settings("prod") is requested.settings("@prod") is requested.named["prod"]


def test_a_target_that_cannot_be_used_stops_no_other(own_file: Path) -> None:
    own_file.write_text(f'{TOML}\n[targets.odd]\nbootstrap = "a:99999999"\n')
    requested = RequestedTargets(NamedTargets(trust_project=False))
    assert requested.settings("prod").bootstrap[0].host == "broker.example.com"
    with pytest.raises(UsageError, match="@odd"):
        requested.settings("odd")


def test_nobody_else_waits_for_hold(own_file: Path) -> None:
    own_file.write_text(TOML.replace("timeout = 2", 'hold = "6m"'))
    assert named_targets()["prod"].options.hold == 0


def test_only_named_targets_are_walked_to_unless_others_are_allowed() -> None:
    requested = RequestedTargets(named_targets())
    for target in ("127.0.0.1:9092", "", "prdo", "plain.example.com:9092", "@", "x" * 5000):
        with pytest.raises(UsageError, match=r"there is no target .* --allow-any-target") as error:
            requested.settings(target)
        assert len(str(error.value)) < 400
    with pytest.raises(UsageError, match="did you mean prod"):
        requested.settings("prdo")


def test_another_address_is_walked_to_without_any_credential() -> None:
    """Whoever asks decides where the walk goes: the user's password must not go there."""
    requested = RequestedTargets(named_targets(), allow_any=True)
    found = requested.settings("broker.example.com:9094")
    assert found.security == Security()
    assert "hunter2" not in repr(found)
    assert not found.options.aws
    with pytest.raises(UsageError, match="there is no target"):
        requested.settings("@broker.example.com:9094")


@pytest.mark.parametrize("target", ["a:1," * MOST_SERVERS + "a:1", "a" * 2000, "a:b:c:d", "a:0"])
def test_another_address_is_bounded(target: str) -> None:
    with pytest.raises(UsageError):
        RequestedTargets({}, allow_any=True).settings(target)


def test_a_project_may_not_send_the_users_secrets_anywhere(own_file: Path) -> None:
    Path("kdiag.toml").write_text(own_file.read_text().replace("broker.", "other."))
    own_file.unlink()
    with pytest.raises(UsageError, match="may be somebody else's"):
        named_targets()
    assert named_targets(trust_project=True)["prod"].security.sasl
