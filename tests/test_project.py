"""What the kdiag.toml of a foreign checkout may decide, and what it may not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdiag.cli import check as _  # noqa: F401 # the options
from kdiag.config.targets import target
from kdiag.config.usage import UsageError
from kdiag.demo.logins import Logins
from tests.running import Brokers, kdiag

SECRET = "wonder-land-7"
LOGIN = 'security.protocol = "SASL_PLAINTEXT"\nsasl.mechanism = "PLAIN"\nsasl.username = "alice"\n'
SENT = {"KDIAG_X_SASL_PASSWORD": SECRET}
CLIENT = {
    "KDIAG_X_SASL_OAUTHBEARER_CLIENT_ID": "id",
    "KDIAG_X_SASL_OAUTHBEARER_CLIENT_SECRET": SECRET,
}


class Checkout:
    """A folder that somebody else has written, and the user's own configuration beside it."""

    def __init__(self, path: Path, brokers: Brokers) -> None:
        self.logins = Logins({"alice": SECRET})
        self.bootstrap = brokers.three(sasl=self.logins).bootstrap
        self.folder, self._home = path / "checkout", path / "home"
        self.folder.mkdir()
        (self._home / "kdiag").mkdir(parents=True)

    def has(self, properties: str = "", target: str = "", name: str = "prod") -> Checkout:
        """Writes its kdiag.toml."""
        (self.folder / "kdiag.toml").write_text(self._table(properties, target, name))
        return self

    def own(self, properties: str = "", target: str = "", name: str = "prod") -> None:
        """Writes the user's own kdiag.toml."""
        (self._home / "kdiag" / "kdiag.toml").write_text(self._table(properties, target, name))

    def _table(self, properties: str, target: str, name: str) -> str:
        bootstrap = "" if "bootstrap" in target else f'bootstrap = "{self.bootstrap}"\n'
        return f"[targets.{name}]\n{bootstrap}{target}\n[targets.{name}.properties]\n{properties}\n"

    def check(self, *arguments: str, **given: str) -> tuple[int, str]:
        """The exit code, and all that was printed."""
        home = {"XDG_CONFIG_HOME": str(self._home), "AWS_EC2_METADATA_DISABLED": "true"}
        asked = ("check", *(arguments or ("@prod",)))
        done = kdiag(*asked, cwd=self.folder, **{**home, **given})
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def refused(self, why: str, *arguments: str, **given: str) -> None:
        """Nothing is dialled, and the answer says why and what to do."""
        code, said = self.check(*arguments, **given)
        assert code == 2, said
        assert "kdiag.toml in this folder, which may be somebody else's" in said
        assert why in said
        assert "--trust-project" in said
        assert not self.logins.attempts


@pytest.fixture
def checkout(tmp_path: Path, brokers: Brokers) -> Checkout:
    return Checkout(tmp_path, brokers)


# whose secrets go where


def test_a_secret_of_the_environment_goes_to_no_server_of_a_checkout(checkout: Checkout) -> None:
    checkout.has(LOGIN).refused("it names the servers, and sasl.password is yours", **SENT)
    code, said = checkout.check("@prod", "--trust-project", **SENT)
    assert code == 0, said
    assert "note: @prod is from kdiag.toml in this folder" in said
    assert checkout.logins.attempts["alice"]
    assert checkout.check(KDIAG_TRUST_PROJECT="1", **SENT)[0] == 0


def test_nor_one_of_the_command_line_or_of_the_users_own_file(
    checkout: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text(f"sasl.password={SECRET}\n")
    jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required "
    checkout.has(LOGIN)
    checkout.refused("is yours", "@prod", "-X", f"sasl.password={SECRET}")
    checkout.refused("is yours", "@prod", "-F", str(tmp_path / "mine"))
    checkout.refused("is yours", KDIAG_COMMAND_CONFIG=str(tmp_path / "mine"))
    checkout.refused(
        "password in sasl.jaas.config is yours",
        KDIAG_X_SASL_JAAS_CONFIG=f'{jaas}username="alice" password="{SECRET}";',
    )


def test_its_own_secret_goes_to_its_own_servers(checkout: Checkout) -> None:
    checkout.has(f'{LOGIN}sasl.password = "{SECRET}"')
    code, said = checkout.check()
    assert code == 0, said
    (checkout.folder / "its").write_text(f"sasl.password={SECRET}\n")
    checkout.has(LOGIN, 'command-config = "its"')
    assert checkout.check()[0] == 0


def test_who_logs_in_nowhere_sends_nothing(checkout: Checkout) -> None:
    checkout.has('security.protocol = "PLAINTEXT"')
    assert checkout.check(**SENT)[0] == 10  # which the listener does not take
    assert not checkout.logins.attempts


def test_servers_that_the_user_named_get_it(checkout: Checkout) -> None:
    checkout.has('sasl.mechanism = "PLAIN"\nsasl.username = "alice"')
    protocol = {"KDIAG_X_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    checkout.refused("it names the servers", **SENT, **protocol)
    checkout.own(name="other")
    assert checkout.check(**SENT, **protocol)[0] == 0
    checkout.own(name="other", target='bootstrap = "127.0.0.9:9"')
    checkout.logins.attempts.clear()
    checkout.refused("it names the servers", **SENT, **protocol)
    named = ("-X", f"bootstrap.servers={checkout.bootstrap}")
    assert checkout.check("@prod", *named, **SENT, **protocol)[0] == 0


WEAKENED = {
    "unencrypted": LOGIN,
    "another authority": 'security.protocol = "SASL_SSL"\nssl.ca.location = "ca.pem"',
    "nobody is verified": "enable.ssl.certificate.verification = false",
    "any name will do": 'ssl.endpoint.identification.algorithm = ""',
    "http": "kdiag.oauthbearer.allow.http = true",
    "an endpoint's authority": 'https.ca.location = "ca.pem"',
}


@pytest.mark.parametrize("name", WEAKENED)
def test_how_it_is_protected_there_is_not_the_checkouts_to_say(
    checkout: Checkout, name: str
) -> None:
    checkout.own(name="other")
    checkout.has(f'sasl.mechanism = "PLAIN"\nsasl.username = "alice"\n{WEAKENED[name]}'.replace(
        f'sasl.mechanism = "PLAIN"\nsasl.username = "alice"\n{LOGIN}', LOGIN
    ))  # fmt: skip
    checkout.refused("sasl.password is yours", **SENT)


def test_nor_is_another_address_for_a_broker(checkout: Checkout) -> None:
    checkout.own(name="other")
    checkout.has('sasl.mechanism = "PLAIN"\nsasl.username = "a"', 'map = "127.0.0.1=127.0.0.2"')
    checkout.refused("its map names other servers", **SENT)


ENDPOINT = 'sasl.oauthbearer.token.endpoint.url = "https://127.0.0.1:9/token"\n'


def test_a_client_secret_goes_to_no_endpoint_of_a_checkout(checkout: Checkout) -> None:
    bearer = f'security.protocol = "SASL_SSL"\nsasl.mechanism = "OAUTHBEARER"\n{ENDPOINT}'
    checkout.has(bearer).refused("it names the servers", **CLIENT)
    checkout.own(name="other")
    checkout.refused("it names the token endpoint", **CLIENT)
    checkout.own(ENDPOINT, name="other")
    assert checkout.check(**CLIENT)[0] == 10  # TLS is not spoken there
    checkout.own(name="other")
    url = ENDPOINT.split('"')[1]
    mine = {"KDIAG_X_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": url}
    assert checkout.check(**CLIENT, **mine)[0] == 10


def test_nor_does_a_ready_token(checkout: Checkout) -> None:
    checkout.has('sasl.mechanism = "OAUTHBEARER"')
    checkout.refused("kdiag.oauthbearer.token is yours", KDIAG_OAUTHBEARER_TOKEN=SECRET)


IN_YOUR_NAME = {
    "AWS's keys": ('sasl.mechanism = "AWS_MSK_IAM"', "your AWS credentials"),
    "AWS's keys, as Java names them": (
        'sasl.jaas.config = "software.amazon.msk.auth.iam.IAMLoginModule required '
        'awsProfileName=\\"prod\\";"\nsasl.mechanism = "AWS_MSK_IAM"',
        "your AWS credentials",
    ),
    "AWS's token": ('sasl.mechanism = "OAUTHBEARER"', "your AWS credentials"),
    "a ticket": ('sasl.mechanism = "GSSAPI"', "your Kerberos tickets"),
    "a ticket by default": ('sasl.kerberos.principal = "a@B"', "your Kerberos tickets"),
}


@pytest.mark.parametrize("name", IN_YOUR_NAME)
def test_nothing_is_proven_in_the_users_name(checkout: Checkout, name: str) -> None:
    properties, says = IN_YOUR_NAME[name]
    checkout.has(properties, 'bootstrap = "b-1.kafka.eu-west-2.amazonaws.com:9098"')
    checkout.refused(says)


ASKED = {
    "aws": ("aws = true", "asks AWS with your credentials"),
    "aws-profile": ('aws-profile = "prod"', "chooses among your AWS credentials"),
    "aws-echo": ('aws-echo = "http://127.0.0.1:9/"', "names whom your machine asks"),
    "strimzi": ('strimzi = "kafka/prod"', "runs your kubectl"),
}


@pytest.mark.parametrize("name", ASKED)
def test_nobody_is_asked_in_the_users_name(checkout: Checkout, name: str) -> None:
    line, says = ASKED[name]
    checkout.has("", line).refused(says)


# which files are read


OUTSIDE = ("/etc/passwd", "../secret", "~/secret", "in/../../secret", "link", "folder")


@pytest.fixture
def outside(checkout: Checkout) -> Iterator[Checkout]:
    (checkout.folder.parent / "secret").write_text(f"sasl.password={SECRET}\n")
    (checkout.folder / "link").symlink_to("../secret")
    (checkout.folder / "folder").mkdir()
    (checkout.folder / "folder" / "0123abcd.0").symlink_to("../../secret")
    yield checkout


@pytest.mark.parametrize("file", OUTSIDE)
@pytest.mark.parametrize("name", [
    "ssl.ca.location", "ssl.key.location", "ssl.truststore.location", "https.ca.location",
    "sasl.kerberos.keytab", "ssl.crl.location",
])  # fmt: skip
def test_no_file_outside_its_folder_is_read(outside: Checkout, name: str, file: str) -> None:
    outside.has(f'{name} = "{file}"').refused(f"{name} is a file outside that folder")


@pytest.mark.parametrize("file", OUTSIDE)
def test_nor_one_of_properties_or_of_the_cluster(outside: Checkout, file: str) -> None:
    outside.has("", f'command-config = "{file}"').refused("command-config is a file outside")
    outside.has("", f'config = ["{file}"]').refused("config is a file outside")


@pytest.mark.parametrize("file", OUTSIDE)
def test_nor_one_that_its_own_file_of_properties_names(outside: Checkout, file: str) -> None:
    (outside.folder / "its").write_text(f"ssl.ca.location={file}\n")
    if file != "~/secret":  # which is a name like any other there
        outside.has("", 'command-config = "its"').refused("ssl.ca.location is a file outside")
    jaas = "com.sun.security.auth.module.Krb5LoginModule required keyTab"
    (outside.folder / "its").write_text(f'sasl.jaas.config={jaas}="/etc/krb5.keytab";\n')
    outside.has("", 'command-config = "its"').refused("keyTab in sasl.jaas.config is a file out")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "FILE:///etc/hostname", "file:token"])
def test_no_file_is_read_and_sent(checkout: Checkout, url: str) -> None:
    checkout.has(
        f'sasl.mechanism = "OAUTHBEARER"\nsasl.oauthbearer.token.endpoint.url = "{url}"'
    ).refused("makes kdiag read and send a file")
    (checkout.folder / "token").write_text("a.b.c")
    (checkout.folder / "its").write_text(
        "sasl.mechanism=OAUTHBEARER\nsasl.jaas.config=org.apache.kafka.common.security."
        f'oauthbearer.OAuthBearerLoginModule required oauth.token.endpoint.uri="{url}";\n'
    )
    checkout.has("", 'command-config = "its"').refused("makes kdiag read and send a file")


RUN = ("plugin.library.paths", "sasl.kerberos.kinit.cmd", "ssl.engine.location", "ssl.providers")


@pytest.mark.parametrize("name", RUN)
def test_nothing_that_it_names_is_loaded_or_run(checkout: Checkout, name: str) -> None:
    checkout.has(f'{name} = "x"').refused(f"{name} runs what it names")


def test_a_file_that_is_a_link_to_another_folder(outside: Checkout) -> None:
    (outside.folder.parent / "other.toml").write_text(outside.has().folder.joinpath(
        "kdiag.toml").read_text())  # fmt: skip
    (outside.folder / "kdiag.toml").unlink()
    (outside.folder / "kdiag.toml").symlink_to("../other.toml")
    outside.refused("kdiag.toml is a file outside that folder")


def test_files_in_its_folder_are_read(checkout: Checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "its").write_text(f"sasl.password={SECRET}\n")
    (checkout.folder / "link").symlink_to("in/its")
    for name in ("in/its", "./in/../in/its", "link", str(checkout.folder / "in" / "its")):
        checkout.has(LOGIN, f'command-config = "{name}"')
        code, said = checkout.check()
        assert code == 0, said


# whose file it is


def test_it_takes_no_place_of_the_users_own(checkout: Checkout) -> None:
    checkout.own(LOGIN)
    checkout.has(LOGIN, 'bootstrap = "127.0.0.9:9"')
    code, said = checkout.check(**SENT)
    assert code == 0, said
    assert "@prod is from " in said
    assert "kdiag.toml in this folder has a target of that name too, which is not used" in said
    assert "127.0.0.9" not in said
    assert checkout.check("@prod", "--trust-project", **SENT)[0] == 0  # nor where it is trusted


def test_the_report_says_where_a_target_is_from(checkout: Checkout) -> None:
    checkout.has('security.protocol = "PLAINTEXT"')
    assert "@prod is from kdiag.toml in this folder" in checkout.check("@prod", "-o", "json")[1]


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o777])
@pytest.mark.parametrize("whose", ["own", "theirs", "properties"])
def test_a_file_that_everybody_can_write_is_not_used(
    checkout: Checkout, mode: int, whose: str
) -> None:
    (checkout.folder / "its").write_text("client.id=kdiag\n")
    checkout.has(f'{LOGIN}sasl.password = "{SECRET}"', 'command-config = "its"', name="theirs")
    checkout.own(f'{LOGIN}sasl.password = "{SECRET}"', name="own")
    file = {
        "own": checkout._home / "kdiag" / "kdiag.toml",
        "theirs": checkout.folder / "kdiag.toml",
        "properties": checkout.folder / "its",
    }[whose]
    name = "@own" if whose == "own" else "@theirs"
    assert checkout.check(name)[0] == 0
    file.chmod(mode)
    for more in ((), ("--trust-project",)):
        code, said = checkout.check(name, *more)
        assert code == 2
        assert "can be written by anyone, and is not used" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_used(checkout: Checkout) -> None:
    checkout.has('security.protocol = "PLAINTEXT"')
    os.chown(checkout.folder / "kdiag.toml", 12345, 12345)
    for arguments in (("@prod",), ("@prod", "--trust-project"), ("@all",)):
        code, said = checkout.check(*arguments)
        assert code == 2
        assert "kdiag.toml belongs to another user, and is not used" in said


def test_no_file_at_all(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(checkout.folder / "kdiag.toml")
    monkeypatch.chdir(checkout.folder)
    with pytest.raises(UsageError, match="it is not a file"):
        target("prod", {"XDG_CONFIG_HOME": "/nonexistent"})
