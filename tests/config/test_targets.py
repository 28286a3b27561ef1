"""Named targets of kdiag.toml, and what the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.environment import from_environment
from kdiag.config.targets import Target, target
from kdiag.config.usage import UsageError
from tests.running import kdiag

WHOLE = """
[targets.prod]
bootstrap = ["a:9094", "b:9094"]
command-config = "conf/prod.properties"
topic = "orders"
timeout = 5
deadline = 60.5
map = "10.0.1.11=3.10.139.221"
fail-on = "warning"
expect = ["brokers=3", "identity=proven"]
ignore = "KD113"
config = "kafka.yaml"
strimzi = "kafka/my-cluster"

[targets.prod.properties]
security.protocol = "SASL_SSL"
sasl.mechanism = "PLAIN"
"sasl.username" = "u"
ssl.ca.location = "ca.pem"
ssl.key.location = "/etc/key.pem"
enable.ssl.certificate.verification = false
reconnect.backoff.ms = 100

[targets.small]
bootstrap = "c"
map = ["a=b", "c=d"]
properties = { "ssl.ca.location" = "probe" }
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that kdiag is run in; the user's own is `home` beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def found(name: str, here: Path) -> Target:
    return target(name, {"XDG_CONFIG_HOME": str(here.parent / "home")})


def own(here: Path, text: str) -> Path:
    folder = here.parent / "home" / "kdiag"
    folder.mkdir(parents=True)
    (folder / "kdiag.toml").write_text(text)
    return folder


def refused(name: str, here: Path) -> str:
    with pytest.raises(UsageError) as caught:
        found(name, here)
    text = str(caught.value)
    assert text.isprintable()
    assert "hunter2" not in text
    return text


def test_a_target_says_what_options_would(here: Path) -> None:
    (here / "kdiag.toml").write_text(WHOLE)
    prod = found("prod", here)
    assert prod == Target(
        bootstrap="a:9094,b:9094",
        options={
            "command_config": "conf/prod.properties",
            "topic": "orders",
            "timeout": 5,
            "deadline": 60.5,
            "mapped": ("10.0.1.11=3.10.139.221",),
            "fail_on": "warning",
            "expect": ("brokers=3", "identity=proven"),
            "ignore": ("KD113",),
            "config": ("kafka.yaml",),
            "strimzi": "kafka/my-cluster",
        },
        properties={
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "u",
            "ssl.ca.location": "ca.pem",
            "ssl.key.location": "/etc/key.pem",
            "enable.ssl.certificate.verification": "false",
            "reconnect.backoff.ms": "100",
        },
        file="kdiag.toml in this folder",
        project=True,
    )
    small = found("small", here)
    assert (small.bootstrap, small.options["mapped"]) == ("c", ("a=b", "c=d"))
    assert small.properties == {"ssl.ca.location": "probe"}


def test_files_are_beside_the_file_that_names_them(here: Path) -> None:
    folder = own(here, WHOLE)
    prod = found("prod", here)
    assert prod.options["command_config"] == str(folder / "conf" / "prod.properties")
    assert prod.options["config"] == (str(folder / "kafka.yaml"),)
    assert prod.properties["ssl.ca.location"] == str(folder / "ca.pem")
    assert prod.properties["ssl.key.location"] == "/etc/key.pem"


def test_the_users_own_file_is_asked_before_the_file_here(here: Path) -> None:
    own(here, '[targets.a]\nbootstrap = "own-a"')
    (here / "kdiag.toml").write_text(
        '[targets.a]\nbootstrap = "here-a"\n[targets.b]\nbootstrap = "here-b"'
    )
    assert (found("a", here).bootstrap, found("b", here).bootstrap) == ("own-a", "here-b")
    assert (found("a", here).project, found("b", here).project) == (False, True)
    assert (found("a", here).hides, found("b", here).hides) == (True, False)
    answer = refused("c", here)
    assert "@c: no such target in " in answer
    assert answer.endswith(" or kdiag.toml; there is a, b")


def test_the_users_own_folder_is_no_project(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own(here, WHOLE))
    assert not found("prod", here).project
    assert not found("prod", here).hides


def test_a_folder_above_is_not_searched(here: Path) -> None:
    (here.parent / "kdiag.toml").write_text(WHOLE)
    assert "there is no kdiag.toml here, nor in" in refused("prod", here)


def test_where_the_users_own_is_without_xdg(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here.parent))
    (here.parent / ".config" / "kdiag").mkdir(parents=True)
    (here.parent / ".config" / "kdiag" / "kdiag.toml").write_text(WHOLE)
    for environ in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}):
        assert target("small", environ).bootstrap == "c"


def test_a_user_who_is_a_number_has_no_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: no HOME, and nobody of that number."""

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(UsageError, match=r"nor in /\.config/kdiag/kdiag.toml"):
        target("prod", {})
    (here / "kdiag.toml").write_text('[targets.a]\nbootstrap = "a"\ncommand-config = "~/x"')
    assert target("a", {}).options["command_config"] == "~/x"


def test_an_unknown_target_is_answered_with_those_that_exist(here: Path) -> None:
    (here / "kdiag.toml").write_text(WHOLE)
    assert refused("prd", here) == (
        "@prd: no such target in kdiag.toml (did you mean prod?); there is prod, small"
    )
    assert refused("", here).startswith("@: no such target")
    (here / "kdiag.toml").write_text("")
    assert refused("prod", here).endswith("; there is none")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets = 3", "kdiag.toml: targets: write targets as [targets.NAME]"),
        ("[targets]\nx = 3", "kdiag.toml: targets.x: write targets as [targets.NAME]"),
        ("[target.x]", "unknown key target (did you mean targets?): write targets as"),
        (
            "[targets.x]\nbootstraps = 'a'",
            "targets.x: unknown key bootstraps (did you mean bootstrap?): write some of bootstrap,",
        ),
        ("[targets.x]\nbootstrap = 3", "targets.x.bootstrap: write a text in quotes"),
        ("[targets.x]\nbootstrap = [3]", "targets.x.bootstrap: write a text in quotes"),
        ("[targets.x]\ntimeout = 'soon'", "targets.x.timeout: write seconds between 0.05 and 3600"),
        ("[targets.x]\ntimeout = true", "targets.x.timeout: write seconds between"),
        ("[targets.x]\ndeadline = nan", "targets.x.deadline: write seconds between"),
        ("[targets.x]\ndeadline = 0", "targets.x.deadline: write seconds between"),
        ("[targets.x]\nfail-on = 'never'", 'targets.x.fail-on: write "error" or "warning"'),
        ("[targets.x]\nfail-on = ['error']", 'targets.x.fail-on: write "error" or "warning"'),
        ("[targets.x]\nproperties = 'hunter2'", "targets.x.properties: write properties as a tab"),
        (
            "[targets.x.properties]\nsasl.pasword = 'hunter2'",
            "targets.x.properties: sasl.pasword: no Kafka client has such a property (did you "
            "mean sasl.password?)",
        ),
        (
            "[targets.x.properties]\nsasl.password = ['hunter2']",
            "targets.x.properties: sasl.password: write its value as a text in quotes",
        ),
        ("[targets.x]\npassword = hunter2", "kdiag.toml is not TOML: line 2, column 12"),
        ("[targets.x]\nsasl.password: 'hunter2'", "kdiag.toml is not TOML: line 2, column 14"),
        ("a = '\xff'", "kdiag.toml is not TOML in UTF-8"),
        ("a = " + "[" * 5000, "kdiag.toml is not TOML"),
        ("a = " + "1" * 5000, "kdiag.toml is not TOML: a number in it is too long"),
        ("a" * (1 << 20) + "a", "kdiag.toml is larger than a file of targets: 1 MiB at most"),
    ],
)
def test_a_file_that_cannot_be_used(here: Path, text: str, says: str) -> None:
    (here / "kdiag.toml").write_bytes(text.encode("latin-1"))
    assert says in refused("x", here)


def test_a_file_that_cannot_be_read(here: Path) -> None:
    (here / "kdiag.toml").mkdir()
    assert refused("x", here) == "kdiag.toml: it is not a file"


def test_targets_do_not_show_their_properties(here: Path) -> None:
    (here / "kdiag.toml").write_text("[targets.x]\nproperties.sasl.password = 'hunter2'")
    assert "hunter2" not in repr(found("x", here))
    assert found("x", here).properties == {"sasl.password": "hunter2"}


@given(text=st.text("[targets.x]=\n\"'{}1,#\\ \x1b", max_size=30))
@hypothesis_settings(max_examples=200, deadline=None, database=None, derandomize=True)
def test_no_text_raises_anything_but_usage_errors(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "kdiag"
    folder.mkdir(exist_ok=True)
    for whole in (text, f"[targets.x]\n{text}"):
        (folder / "kdiag.toml").write_text(whole)
        try:
            assert isinstance(target("x", {"XDG_CONFIG_HOME": str(folder.parent)}), Target)
        except UsageError as error:
            assert str(error).isprintable()


# the environment


def test_properties_in_the_environment() -> None:
    notes: list[str] = []
    assert from_environment(
        {
            "KDIAG_X_SASL_PASSWORD": "p",
            "KDIAG_X_SSL_TRUSTSTORE_LOCATION": "/t",
            "KDIAG_X_log_level": "7",
            "KDIAG_X_CLIENT_ID": "",
            "KDIAG_OAUTHBEARER_TOKEN": "a.b.c",
            "KDIAG_TOPIC": "orders",
            "KDIAG_SOMETHING_ELSE_ENTIRELY": "x",
            "PATH": "/bin",
        },
        notes,
    ) == {
        "sasl.password": "p",
        "ssl.truststore.location": "/t",
        "log_level": "7",
        "kdiag.oauthbearer.token": "a.b.c",
    }
    assert notes == []


def test_a_misspelt_variable_is_answered() -> None:
    with pytest.raises(UsageError) as caught:
        from_environment({"KDIAG_X_SASL_PASWORD": "hunter2"}, [])
    assert str(caught.value) == (
        "KDIAG_X_SASL_PASWORD: no Kafka client has a property sasl.pasword "
        "(did you mean sasl.password?)"
    )
    notes: list[str] = []
    assert from_environment({"KDIAG_TIMEOUTS": "hunter2"}, notes) == {}
    assert notes == ["KDIAG_TIMEOUTS is no variable of kdiag (did you mean KDIAG_TIMEOUT?)"]


# all of it, on the command line


def test_an_option_beats_the_environment_beats_a_target_beats_a_file(tmp_path: Path) -> None:
    (tmp_path / "client.properties").write_text("client.id=file\nssl.ca.location=/file.pem\n")
    (tmp_path / "kdiag.toml").write_text(
        "[targets.t]\nbootstrap = '127.0.0.1:1'\ncommand-config = 'client.properties'\n"
        "topic = 'a b'\nproperties.ssl.ca.location = 'target.pem'\n"
    )

    def said(*arguments: str, **environment: str) -> str:
        done = kdiag("check", *arguments, cwd=tmp_path, **environment)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        return done.stderr

    assert "--topic 'a b'" in said("@t")
    assert "--topic 'c d'" in said("@t", KDIAG_TOPIC="c d")
    assert "--topic 'e f'" in said("@t", "--topic", "e f", KDIAG_TOPIC="c d")
    fine = ("@t", "--topic", "x")
    assert "ssl.ca.location='target.pem'" in said(*fine)
    assert "ssl.ca.location='/env.pem'" in said(*fine, KDIAG_X_SSL_CA_LOCATION="/env.pem")
    option = ("-X", "ssl.ca.location=/option.pem")
    assert "='/option.pem'" in said(*fine, *option, KDIAG_X_SSL_CA_LOCATION="/env.pem")
    file = ("127.0.0.1:1", "-F", "client.properties")
    assert "ssl.ca.location='/file.pem'" in said(*file)
    assert "='/file.pem'" in said("127.0.0.1:1", KDIAG_COMMAND_CONFIG="client.properties")
    assert "--topic 'a b'" in said(KDIAG_BOOTSTRAP="@t")


def test_a_target_is_walked(tmp_path: Path) -> None:
    (tmp_path / "kdiag.toml").write_text(
        "[targets.t]\nbootstrap = '127.0.0.1:1'\ntimeout = 1\n"
        "[targets.t.properties]\nsecurity.protocol = 'PLAINTEXT'\n"
    )
    done = kdiag("check", "@t", "-o", "json", cwd=tmp_path)
    assert done.returncode == 10, done.stderr
    assert '"target":["127.0.0.1:1"]' in done.stdout.replace(" ", "").replace("\n", "")
