"""Client properties in Java's and librdkafka's spelling, read into the same security."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.properties.dialects import secured
from kdiag.config.properties.layers import Layers
from kdiag.config.properties.names import KNOWN, USED
from kdiag.config.properties.syntax import parse_properties
from kdiag.config.security import Sasl, Security, Tls
from kdiag.config.settings import Settings, UsageError, settings

quick = hypothesis_settings(max_examples=200, deadline=None, database=None, derandomize=True)

KAFKA = "org.apache.kafka.common.security"
PLAIN = f'{KAFKA}.plain.PlainLoginModule required username="u" password="p-hunter2";'
SCRAM = f'{KAFKA}.scram.ScramLoginModule required username="u" password="p-hunter2";'
BEARER = f"{KAFKA}.oauthbearer.OAuthBearerLoginModule required"
LOGIN_HANDLER = f"{KAFKA}.oauthbearer.OAuthBearerLoginCallbackHandler"
ENDPOINT = "https://id.example/token"

CA = trustme.CA()
CA_PEM = CA.cert_pem.bytes().decode()
OTHER_PEM = trustme.CA().cert_pem.bytes().decode()
_CERT = CA.issue_cert("client.example")
CERT_PEM, KEY_PEM = (
    _CERT.cert_chain_pems[0].bytes().decode(),
    _CERT.private_key_pem.bytes().decode(),
)


def asked(
    properties: dict[str, str] | None = None,
    *,
    file: dict[str, str] | None = None,
    between: tuple[dict[str, str], ...] = (),
    bootstrap: str = "a:1",
) -> Settings:
    return settings(bootstrap, properties=properties, from_file=file, between=between)


def security(*layers: dict[str, str]) -> Security:
    """What layers of properties make, the strongest last."""
    *below, top = layers
    return asked(top, between=tuple(below)).security


def refused(*layers: dict[str, str], **more: Any) -> str:
    *below, top = layers
    with pytest.raises(UsageError) as caught:
        asked(top, between=tuple(below), **more)
    text = str(caught.value)
    assert text.isprintable()
    assert "hunter2" not in text
    assert len(text) < 400
    return text


def test_nothing_given_is_nothing_asked() -> None:
    assert security({}) == Security(None, Tls(), None)
    assert asked().notes == ()


# protocol


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_a_protocol_is_taken_in_either_case(protocol: str) -> None:
    for value in (protocol, protocol.lower(), protocol.title()):
        assert security({"security.protocol": value}).protocol == protocol


def test_a_protocol_wants_no_login_before_the_listener_has_said_which() -> None:
    assert security({"security.protocol": "SASL_SSL"}).sasl is None


# logging in with a password


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_password_in_either_dialect(mechanism: str) -> None:
    expected = Sasl(mechanism, "u", "p-hunter2")
    module = PLAIN if mechanism == "PLAIN" else SCRAM
    for name in ("sasl.mechanism", "sasl.mechanisms"):
        for login in (
            {"sasl.jaas.config": module},
            {"sasl.username": "u", "sasl.password": "p-hunter2"},
            {"sasl.jaas.config": module, "sasl.username": "u"},
        ):
            assert security({name: mechanism, **login}).sasl == expected
            assert asked({name: mechanism, **login}).notes == ()


def test_a_file_as_java_has_it(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(CA_PEM)
    text = f"""
        # a client of Strimzi
        bootstrap.servers=my-cluster-kafka-bootstrap:9093
        security.protocol=SASL_SSL
        sasl.mechanism=SCRAM-SHA-512
        sasl.jaas.config={KAFKA}.scram.ScramLoginModule required \\
            username="u" \\
            password="a\\\\"b=\\u00e9#";
        ssl.truststore.type=PEM
        ssl.truststore.location={ca}
        ssl.endpoint.identification.algorithm=
    """
    found = settings(None, from_file=parse_properties(text))
    assert str(found.bootstrap[0]) == "my-cluster-kafka-bootstrap:9093"
    assert found.security.sasl == Sasl("SCRAM-SHA-512", "u", 'a"b=é#')
    tls = found.security.tls
    assert (tls.ca, tls.verify, tls.verify_name) == (CA_PEM, True, False)
    assert tls.ca_from == f"ssl.truststore.location={ca}"
    assert found.notes == ()


def test_a_file_as_librdkafka_has_it(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(CA_PEM)
    text = f"""
        metadata.broker.list=a:1,b:2
        security.protocol=sasl_ssl
        sasl.mechanisms=PLAIN
        sasl.username=u
        sasl.password=p-hunter2
        ssl.ca.location={ca}
        enable.ssl.certificate.verification=False
    """
    found = settings(None, from_file=parse_properties(text))
    assert [*map(str, found.bootstrap)] == ["a:1", "b:2"]
    assert found.security == Security(
        "SASL_SSL",
        Tls(ca=CA_PEM, ca_from=f"ssl.ca.location={ca}", verify=False),
        Sasl("PLAIN", "u", "p-hunter2"),
    )
    assert found.notes == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sasl.mechanism": "plain"}, "sasl.mechanism=plain: write one of PLAIN, SCRAM-SHA-256,"),
        ({"sasl.mechanisms": "hunter2 x"[8:]}, "sasl.mechanisms=x: write one of PLAIN"),
        ({"sasl.mechanism": "PLAIN"}, "needs sasl.username and sasl.password, or both in sasl.jaa"),
        (
            {"sasl.mechanisms": "SCRAM-SHA-256", "sasl.username": "u"},
            "sasl.mechanisms=SCRAM-SHA-256 needs sasl.password, or both in sasl.jaas.config with "
            "ScramLoginModule",
        ),
        (
            {"sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": PLAIN},
            "sasl.mechanism=SCRAM-SHA-512 goes with ScramLoginModule, and sasl.jaas.config names "
            "PlainLoginModule",
        ),
        (
            {"sasl.mechanism": "PLAIN", "sasl.jaas.config": BEARER + ";"},
            "goes with PlainLoginModule, and sasl.jaas.config names OAuthBearerLoginModule",
        ),
        (
            {"sasl.jaas.config": PLAIN},
            "sasl.jaas.config is given without sasl.mechanism, and clients then use GSSAPI: write "
            "sasl.mechanism=PLAIN",
        ),
        ({"sasl.jaas.config": SCRAM}, "write sasl.mechanism=SCRAM-SHA-512 or SCRAM-SHA-256 or P"),
        ({"sasl.password": "hunter2"}, "sasl.password is given without sasl.mechanism"),
        (
            {"sasl.mechanism": "PLAIN", "sasl.jaas.config": "x.PlainLoginModul required;"},
            "does not know its login module (did you mean PlainLoginModule?)",
        ),
        (
            {"sasl.mechanism": "PLAIN", "sasl.jaas.config": PLAIN, "sasl.username": "other"},
            "username in sasl.jaas.config differ: keep one of them",
        ),
        ({"sasl.mechanism": "PLAIN", "sasl.mechanisms": "GSSAPI"}, "differ: keep one of them"),
        (
            {
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.jaas.config": SCRAM.replace(";", ' tokenauth="true";'),
            },
            "kdiag does not log in with delegation tokens",
        ),
    ],
)
def test_what_no_client_could_log_in_with(given: dict[str, str], says: str) -> None:
    assert says in refused(given)


def test_a_login_has_no_part_in_a_protocol_without_sasl() -> None:
    found = asked({"security.protocol": "SSL", "sasl.mechanisms": "PLAIN", "sasl.username": "u"})
    assert found.security.sasl is None
    assert found.notes == (
        "sasl.mechanisms has no effect: security.protocol=SSL does not use SASL",
    )


# layers


def test_a_stronger_layer_replaces_what_another_dialect_said_below() -> None:
    java = {"sasl.mechanism": "PLAIN", "sasl.jaas.config": PLAIN}
    assert security(java, {"sasl.password": "new"}).sasl == Sasl("PLAIN", "u", "new")
    assert security(java, {"sasl.username": "v"}).sasl == Sasl("PLAIN", "v", "p-hunter2")
    assert security(java, {"sasl.mechanisms": "SCRAM-SHA-256"}).sasl == Sasl(
        "SCRAM-SHA-256", "u", "p-hunter2"
    )
    assert security(
        {"sasl.mechanism": "PLAIN", "sasl.username": "v", "sasl.password": "old"},
        {"sasl.jaas.config": PLAIN},
    ).sasl == Sasl("PLAIN", "u", "p-hunter2")


def test_a_login_module_above_leaves_nothing_of_the_one_below() -> None:
    below = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.jaas.config": f'{BEARER} unsecuredLoginStringClaim_sub="bob" extension_a="b";',
    }
    above = {"sasl.jaas.config": f'{BEARER} unsecuredLoginStringClaim_sub="alice";'}
    found = security(below, above).sasl
    assert found is not None
    assert claims(found.token)["sub"] == "alice"
    assert found.extensions == {}


def test_a_stronger_layer_replaces_certificates_however_it_names_them() -> None:
    for below in (
        {"ssl.truststore.location": "/nowhere.jks", "ssl.truststore.password": "x"},
        {"ssl.truststore.certificates": OTHER_PEM, "ssl.truststore.type": "PEM"},
        {"ssl.ca.location": "/nowhere.pem"},
    ):
        assert security(below, {"ssl.ca.pem": CA_PEM}).tls.ca == CA_PEM


@pytest.mark.parametrize("name", ["ssl.ca.location", "sasl.username", "sasl.mechanism"])
def test_an_empty_value_takes_a_property_back(name: str) -> None:
    assert security({name: "x"}, {name: ""}) == Security()


def test_the_layers_in_their_order() -> None:
    found = settings(
        "a:1",
        from_file={"client.id": "file", "broker.address.family": "v4", "ssl.ca.pem": OTHER_PEM},
        between=[{"client.id": "target", "broker.address.family": "v6"}, {"client.id": "env"}],
        properties={"ssl.ca.pem": CA_PEM},
    )
    assert found.client == {"client.id": "env", "broker.address.family": "v6"}
    assert found.security.tls.ca == CA_PEM


# tokens


def claims(token: str) -> dict[str, Any]:
    """What an unsecured token says, which ends without a signature."""
    header, payload, signature = token.split(".")

    def read(part: str) -> Any:
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    assert read(header) == {"alg": "none"}
    assert signature == ""
    found: dict[str, Any] = read(payload)
    return found


def test_the_unsecured_token_of_java() -> None:
    options = (
        'unsecuredLoginStringClaim_sub="alice" unsecuredLoginNumberClaim_n="5" '
        'unsecuredLoginListClaim_scope=",a,b" unsecuredLoginLifetimeSeconds="60" '
        'unsecuredLoginExtension_trace="1"'
    )
    found = security(
        {"sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": f"{BEARER} {options};"}
    ).sasl
    assert found is not None
    said = claims(found.token)
    assert (said["sub"], said["n"], said["scope"]) == ("alice", 5, ["a", "b"])
    assert said["exp"] - said["iat"] == pytest.approx(60)
    assert abs(said["iat"] - time.time()) < 600
    assert found.extensions == {"trace": "1"}


def test_the_unsecured_token_of_librdkafka() -> None:
    config = "principalClaimName=azp principal=admin scope=a,b lifeSeconds=600 extension_x=y"
    given = {"sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.config": config}
    assert "needs enable.sasl.oauthbearer.unsecure.jwt=true" in refused(given)
    found = security({**given, "enable.sasl.oauthbearer.unsecure.jwt": "true"}).sasl
    assert found is not None
    said = claims(found.token)
    assert (said["azp"], said["scope"]) == ("admin", ["a", "b"])
    assert said["exp"] - said["iat"] == pytest.approx(600)
    assert found.extensions == {"x": "y"}


@pytest.mark.parametrize(
    "given",
    [
        {  # Java up to 4.0
            "sasl.login.callback.handler.class": LOGIN_HANDLER,
            "sasl.oauthbearer.token.endpoint.url": ENDPOINT,
            "sasl.jaas.config": f'{BEARER} clientId="id" clientSecret="s-hunter2" scope="all" '
            'extension_logicalCluster="lkc-1";',
        },
        {  # Java since 4.1 (KIP-1139)
            "sasl.login.callback.handler.class": LOGIN_HANDLER,
            "sasl.oauthbearer.token.endpoint.url": ENDPOINT,
            "sasl.oauthbearer.client.credentials.client.id": "id",
            "sasl.oauthbearer.client.credentials.client.secret": "s-hunter2",
            "sasl.oauthbearer.scope": "all",
            "sasl.jaas.config": f'{BEARER} extension_logicalCluster="lkc-1";',
        },
        {  # librdkafka
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": ENDPOINT,
            "sasl.oauthbearer.client.id": "id",
            "sasl.oauthbearer.client.secret": "s-hunter2",
            "sasl.oauthbearer.scope": "all",
            "sasl.oauthbearer.extensions": "logicalCluster=lkc-1",
        },
        {  # Strimzi's client library
            "sasl.login.callback.handler.class":
                "io.strimzi.kafka.oauth.client.JaasClientOauthLoginCallbackHandler",
            "sasl.jaas.config": f'{BEARER} oauth.client.id="id" oauth.client.secret="s-hunter2" '
            f'oauth.scope="all" oauth.token.endpoint.uri="{ENDPOINT}" '
            'extension_logicalCluster="lkc-1";',
        },
    ],
)  # fmt: skip
def test_client_credentials_as_every_client_has_them(given: dict[str, str]) -> None:
    found = asked({"sasl.mechanism": "OAUTHBEARER", **given})
    assert found.security.sasl == Sasl(
        "OAUTHBEARER",
        endpoint=ENDPOINT,
        client_id="id",
        client_secret="s-hunter2",
        scope="all",
        extensions={"logicalCluster": "lkc-1"},
    )
    assert found.notes == ()


def test_a_ready_token(tmp_path: Path) -> None:
    token = tmp_path / "token.jwt"
    token.write_text("a.b.c\n")
    expected = Sasl("OAUTHBEARER", token="a.b.c")
    for more in (
        {"kdiag.oauthbearer.token": "a.b.c"},
        {"sasl.oauthbearer.token.endpoint.url": f"file://{token}"},
        {"sasl.jaas.config": f'{BEARER} oauth.access.token="a.b.c";'},
    ):
        assert security({"sasl.mechanism": "OAUTHBEARER", **more}).sasl == expected


def test_a_ready_token_above_an_endpoint() -> None:
    below = {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": ENDPOINT}
    found = security(below, {"kdiag.oauthbearer.token": "a.b.c"}).sasl
    assert found == Sasl("OAUTHBEARER", token="a.b.c")


def test_the_authority_of_a_token_endpoint(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(CA_PEM)
    credentials = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.token.endpoint.url": ENDPOINT,
        "sasl.oauthbearer.client.id": "id",
        "sasl.oauthbearer.client.secret": "s",
    }
    for more in (
        {"https.ca.location": str(ca)},
        {"https.ca.pem": CA_PEM},
        {"sasl.jaas.config": f'{BEARER} ssl.truststore.location="{ca}" ssl.truststore.type="PEM";'},
    ):
        found = security({**credentials, **more}).sasl
        assert found is not None
        assert found.endpoint_ca == CA_PEM
    probing = security({**credentials, "https.ca.location": "probe"}).sasl
    assert probing is not None
    assert probing.endpoint_ca is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "sasl.mechanism=OAUTHBEARER without a token: set sasl.oauthbearer.token.endpoint.url"),
        ({"sasl.oauthbearer.method": "oidc"}, "method=oidc needs sasl.oauthbearer.token.endpoint"),
        ({"sasl.oauthbearer.token.endpoint.url": ENDPOINT}, "needs sasl.oauthbearer.client.id"),
        ({"sasl.oauthbearer.token.endpoint.url": "ftp://a"}, "write an http, https or file URL"),
        ({"sasl.oauthbearer.token.endpoint.url": "https://[a"}, "it is not a URL"),
        ({"sasl.oauthbearer.token.endpoint.url": "https://"}, "write an http, https or file URL"),
        (
            {"sasl.oauthbearer.token.endpoint.url": "https://me:hunter2@id.example/t"},
            "leave the credentials out of the URL",
        ),
        (
            {
                "sasl.oauthbearer.token.endpoint.url": ENDPOINT,
                "sasl.oauthbearer.grant.type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            },
            "kdiag fetches tokens by client_credentials only",
        ),
        (
            {
                "sasl.oauthbearer.token.endpoint.url": ENDPOINT,
                "kdiag.oauthbearer.token": "a.hunter2.c",
            },
            "both give a token: keep one",
        ),
        ({"kdiag.oauthbearer.token": "two hunter2"}, "a token has no blanks in it"),
        (
            {"sasl.login.callback.handler.class": "com.example.Handler"},
            "handler.class: kdiag cannot run that one; give a ready token",
        ),
        ({"sasl.oauthbearer.extensions": "hunter2"}, "write NAME=VALUE[,NAME=VALUE...]"),
        (
            {"sasl.jaas.config": f'{BEARER} unsecuredLoginNumberClaim_n="hunter2";'},
            "an unsecuredLoginNumberClaim in sasl.jaas.config: write a number",
        ),
        ({"enable.sasl.oauthbearer.unsecure.jwt": "yes", "sasl.oauthbearer.config": "principal=a"},
         "enable.sasl.oauthbearer.unsecure.jwt=yes: write true or false"),
    ],
)  # fmt: skip
def test_what_gives_no_token(given: dict[str, str], says: str) -> None:
    assert says in refused({"sasl.mechanism": "OAUTHBEARER", **given})


# AWS and Kerberos


def test_iam_in_javas_spelling() -> None:
    module = "software.amazon.msk.auth.iam.IAMLoginModule required"
    handler = "software.amazon.msk.auth.iam.IAMClientCallbackHandler"
    given = {"sasl.mechanism": "AWS_MSK_IAM", "sasl.client.callback.handler.class": handler}
    assert security({**given, "sasl.jaas.config": f"{module};"}).sasl == Sasl("AWS_MSK_IAM")
    options = 'awsProfileName="dev" awsStsRegion="eu-west-2"'
    assert security({**given, "sasl.jaas.config": f"{module} {options};"}).sasl == Sasl(
        "AWS_MSK_IAM", profile="dev", region="eu-west-2"
    )
    assert asked({**given, "sasl.jaas.config": f"{module};"}).notes == ()
    role = f'{module} awsRoleArn="arn:aws:iam::1:role/r";'
    assert "kdiag assumes no role itself" in refused({**given, "sasl.jaas.config": role})


def test_iam_by_oauthbearer() -> None:
    handler = "software.amazon.msk.auth.iam.IAMOAuthBearerLoginCallbackHandler"
    found = asked({
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.login.callback.handler.class": handler,
        "sasl.jaas.config": BEARER + ";",
    })  # fmt: skip
    assert found.security.sasl == Sasl("AWS_MSK_IAM")
    assert "as AWS_MSK_IAM does: the same identity" in found.notes[0]


def test_to_msk_awss_own_credentials_are_a_token() -> None:
    host = "b-1.demo.abc.c2.kafka.eu-west-2.amazonaws.com:9098"
    found = asked({"sasl.mechanism": "OAUTHBEARER"}, bootstrap=host)
    assert found.security.sasl == Sasl("OAUTHBEARER")
    assert "without a token" in refused(
        {"sasl.mechanism": "OAUTHBEARER"}, bootstrap="amazonaws.com.example:1"
    )


def test_kerberos_in_either_dialect() -> None:
    krb5 = (
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true "
        'keyTab="/k.keytab" principal="me@REALM";'
    )
    properties = {
        "sasl.kerberos.keytab": "/k.keytab",
        "sasl.kerberos.principal": "me@REALM",
        "sasl.kerberos.service.name": "broker",
    }
    for more in (
        {"sasl.jaas.config": krb5, "sasl.kerberos.service.name": "broker"},
        {"sasl.jaas.config": krb5.replace(";", ' serviceName="broker";')},
        properties,
    ):
        for mechanism in ({}, {"sasl.mechanism": "GSSAPI"}):
            found = asked({**more, **mechanism})
            assert found.security.sasl == Sasl("GSSAPI", "me@REALM", service_name="broker")
            assert found.client == {
                "sasl.kerberos.keytab": "/k.keytab",
                "sasl.kerberos.principal": "me@REALM",
            }


# TLS


def test_an_identity_in_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text(CERT_PEM)
    (tmp_path / "key.pem").write_text(KEY_PEM)
    (tmp_path / "both.pem").write_text(KEY_PEM + CERT_PEM)
    found = {
        security(one).tls
        for one in (
            {"ssl.certificate.pem": CERT_PEM, "ssl.key.pem": KEY_PEM},
            {
                "ssl.certificate.location": str(tmp_path / "cert.pem"),
                "ssl.key.location": str(tmp_path / "key.pem"),
            },
            {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.certificate.chain": CERT_PEM,
                "ssl.keystore.key": KEY_PEM,
            },
            {"ssl.keystore.type": "pem", "ssl.keystore.location": str(tmp_path / "both.pem")},
        )
    }
    (tls,) = found
    assert tls.certificate == CERT_PEM
    assert tls.key is not None
    assert tls.key_password is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"ssl.truststore.certificates": CA_PEM, "ssl.ca.pem": OTHER_PEM},
            "ssl.truststore.certificates and ssl.ca.pem give different certificates: keep one",
        ),
        (
            {"ssl.certificate.pem": CERT_PEM},
            "ssl.certificate.pem is given without ssl.key.location",
        ),
        ({"ssl.key.pem": KEY_PEM}, "ssl.key.pem is given without ssl.certificate.location or ssl."),
        (
            {"ssl.keystore.key": KEY_PEM},
            "ssl.keystore.key is given without ssl.keystore.certificate.chain",
        ),
        (
            {"ssl.truststore.location": "/x", "ssl.truststore.type": "BCFKS"},
            "ssl.truststore.type=BCFKS: kdiag reads stores of type JKS, PKCS12, PEM",
        ),
        (
            {"ssl.endpoint.identification.algorithm": "htps"},
            "=htps: write https, or nothing to switch it off",
        ),
        ({"ssl.enabled.protocols": "TLSv1.2,SSLv3"}, "=SSLv3: write some of TLSv1, TLSv1.1, TLS"),
        (
            {"enable.ssl.certificate.verification": "no"},
            "enable.ssl.certificate.verification=no: write true or false",
        ),
        ({"ssl.cipher.suites": "nonsense"}, "OpenSSL knows none of these"),
        ({"ssl.ca.pem": "hunter2"}, "ssl.ca.pem holds no certificate in PEM form"),
    ],
)
def test_what_no_client_could_shake_hands_with(given: dict[str, str], says: str) -> None:
    assert says in refused(given)


def test_both_dialects_may_say_the_same() -> None:
    given = {"ssl.truststore.certificates": CA_PEM, "ssl.ca.pem": CA_PEM.replace("\n", " ")}
    assert security(given).tls.ca == CA_PEM


def test_a_trust_that_is_to_be_looked_for_is_this_machines_own() -> None:
    assert security({"ssl.ca.location": "probe"}) == Security("SSL", inferred=True)


@pytest.mark.parametrize("name", ["sasl.kerberos.principal", "sasl.kerberos.service.name",
                                  "sasl.kerberos.keytab"])  # fmt: skip
def test_what_goes_into_a_command_of_the_shell_has_none_in_it(name: str) -> None:
    login = {"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}
    for text in ("a;touch b", "$(id)", "`id`", 'a" b', "a|b", "a&b", "a>b", "a\\"):
        assert f"{name} has a character that it cannot have" in refused({**login, name: text}), text
    fine = "/etc/a b/kafka.keytab" if name.endswith("keytab") else "kafka/host.example@A.EXAMPLE"
    assert security({**login, name: fine}).sasl


BY_PASSWORD = {"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "hunter2"}


@pytest.mark.parametrize(
    ("given", "protocol", "named"),
    [
        ({"ssl.ca.pem": CA_PEM}, "SSL", "ssl.ca.pem"),
        ({"ssl.truststore.certificates": CA_PEM}, "SSL", "ssl.truststore.certificates"),
        ({"ssl.endpoint.identification.algorithm": ""}, "SSL", "ssl.endpoint.identification.algo"),
        ({"enable.ssl.certificate.verification": "false"}, "SSL", "enable.ssl.certificate.verifi"),
        ({"ssl.protocol": "TLS"}, "SSL", "ssl.protocol"),
        ({"ssl.ca.pem": CA_PEM, **BY_PASSWORD}, "SASL_SSL", "ssl.ca.pem"),
    ],
)
def test_who_says_something_of_tls_means_tls(
    given: dict[str, str], protocol: str, named: str
) -> None:
    notes: list[str] = []
    found = secured(Layers([given]), notes)
    assert (found.protocol, found.inferred) == (protocol, True)
    assert (found.sasl is not None) == protocol.startswith("SASL")
    assert named in notes[-1]
    assert f"kdiag speaks {protocol}" in notes[-1]
    for said in ("PLAINTEXT", "SASL_PLAINTEXT"):  # which is kept to
        assert secured(Layers([{**given, "security.protocol": said}]), []).protocol == said


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_that_a_login_can_be_read_on_the_way_is_said_before_it_is_sent(mechanism: str) -> None:
    notes: list[str] = []
    login = {**BY_PASSWORD, "sasl.mechanism": mechanism}
    secured(Layers([{**login, "security.protocol": "SASL_PLAINTEXT"}]), notes)
    assert [note for note in notes if "can read the login" in note] == notes
    assert len(notes) == (mechanism == "PLAIN")
    for other in ({"security.protocol": "SASL_SSL"}, {}):
        quiet: list[str] = []
        secured(Layers([{**login, **other}]), quiet)
        assert quiet == []


CLIENT_LOGIN = {
    "sasl.mechanism": "OAUTHBEARER",
    "sasl.oauthbearer.client.id": "id",
    "sasl.oauthbearer.client.secret": "hunter2",
}


@pytest.mark.parametrize("host", ["id.example", "10.0.0.1", "localhost.example", "[2001:db8::1]"])
def test_a_client_secret_goes_over_http_only_where_that_was_said(host: str) -> None:
    given = {**CLIENT_LOGIN, "sasl.oauthbearer.token.endpoint.url": f"http://{host}/token"}
    assert "write https, or -X kdiag.oauthbearer.allow.http=true" in refused(given)
    allowed = security({**given, "kdiag.oauthbearer.allow.http": "true"})
    assert allowed.sasl
    assert allowed.sasl.endpoint == f"http://{host}/token"
    assert "allow.http" in refused({**given, "kdiag.oauthbearer.allow.http": "false"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8:8080", "localhost", "[::1]:81"])
def test_on_this_machine_http_will_do(host: str) -> None:
    found = security({**CLIENT_LOGIN, "sasl.oauthbearer.token.endpoint.url": f"http://{host}/"})
    assert found.sasl
    assert found.sasl.endpoint == f"http://{host}/"


@pytest.mark.parametrize(
    ("value", "verified"), [("https", True), ("HTTPS", True), ("", False), ("none", False)]
)
def test_whether_the_name_is_verified(value: str, verified: bool) -> None:
    found = security({"ssl.endpoint.identification.algorithm": value})
    assert found.tls.verify_name is verified
    assert found.tls.verify


def test_tls_has_no_part_in_a_protocol_without_it() -> None:
    found = asked({"security.protocol": "PLAINTEXT", "ssl.ca.location": "/nowhere"})
    assert found.security == Security("PLAINTEXT")
    assert found.notes == (
        "ssl.ca.location has no effect: security.protocol=PLAINTEXT does not use TLS",
    )


@pytest.mark.parametrize(
    ("given", "versions", "ciphers"),
    [
        ({"ssl.enabled.protocols": "TLSv1.2,TLSv1.3"}, ("TLSv1.2", "TLSv1.3"), ""),
        ({"ssl.cipher.suites": "TLS_AES_128_GCM_SHA256"}, ("TLSv1.3",), ""),
        (
            {"ssl.cipher.suites": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
            ("TLSv1.2",),
            "ECDHE-RSA-AES256-GCM-SHA384",
        ),
        (
            {"ssl.cipher.suites": "TLS_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA"},
            (),
            "AES128-SHA",
        ),
        ({"ssl.cipher.suites": "ECDHE-RSA-AES128-SHA:!aNULL"}, (), "ECDHE-RSA-AES128-SHA:!aNULL"),
    ],
)
def test_versions_and_suites(
    given: dict[str, str], versions: tuple[str, ...], ciphers: str
) -> None:
    tls = security(given).tls
    assert (tls.versions, tls.ciphers) == (versions, ciphers)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
def test_javas_names_of_suites_are_openssls() -> None:
    listed = subprocess.run(
        ["openssl", "ciphers", "-stdname", "-s", "-tls1_2", "DEFAULT:@SECLEVEL=0"],
        capture_output=True, encoding="utf-8", check=True, timeout=60,
    ).stdout  # fmt: skip
    compared = 0
    for line in listed.splitlines():
        java, _, openssl, *_ = line.split()
        if java.startswith(("TLS_RSA_", "TLS_ECDHE_", "TLS_DHE_RSA_")) and "PSK" not in java:
            assert security({"ssl.cipher.suites": java}).tls.ciphers == openssl
            compared += 1
    assert compared > 10


# config providers, and properties in general


def test_a_config_provider_is_asked_nothing() -> None:
    given = {
        "config.providers": "env",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "${env:HUNTER2}",
    }
    assert refused({}, file=given) == (
        "sasl.password refers to a config provider, which kdiag does not use: set "
        "KDIAG_X_SASL_PASSWORD instead"
    )
    literal = asked(file={**given, "config.providers": ""}).security.sasl
    assert literal is not None
    assert literal.password == "${env:HUNTER2}"


def test_what_is_used_is_known() -> None:
    assert USED <= KNOWN
    assert not [name for name in KNOWN if name != name.strip() or not name.isascii()]


# Where a secret may stand, and nothing else is known of it.
SECRETS = (
    "sasl.password sasl.oauthbearer.client.secret kdiag.oauthbearer.token ssl.key.password "
    "ssl.keystore.password ssl.truststore.password sasl.jaas.config ssl.key.pem ssl.keystore.key "
    "sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.config"
).split()
OTHERS: dict[str, list[str]] = {
    "security.protocol": ["SASL_SSL", "PLAINTEXT", "ssl"],
    "sasl.mechanism": ["PLAIN", "OAUTHBEARER", "SCRAM-SHA-512", "AWS_MSK_IAM", "GSSAPI", "X"],
    "sasl.username": ["u"],
    "sasl.oauthbearer.token.endpoint.url": [ENDPOINT, "x"],
    "sasl.oauthbearer.client.id": ["id"],
    "ssl.keystore.type": ["PEM", "JKS"],
    "ssl.keystore.location": ["/nowhere.jks"],
    "ssl.certificate.pem": [CERT_PEM],
    "ssl.ca.pem": [CA_PEM],
    "enable.sasl.oauthbearer.unsecure.jwt": ["true", "false"],
    "config.providers": ["env"],
}
SHAPES = (
    "{0}", "${{env:{0}}}", f'{KAFKA}.plain.PlainLoginModule required password="{{0}}";',
    f"{BEARER} clientSecret={{0}};", f"{KAFKA}.plain.PlainLoginModule required password={{0}}",
    "x.{0}.y", 'a.{0} required username="u" password="{0}";', '"{0}" required;', "{0};",
    "-----BEGIN PRIVATE KEY-----\n{0}\n-----END PRIVATE KEY-----", "a={0} b:{0}", "{0} {0}",
)  # fmt: skip
SECRET = "S3cretHunter2"


@given(
    others=st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in OTHERS.items()}),
    secrets=st.dictionaries(st.sampled_from(SECRETS), st.sampled_from(SHAPES), min_size=1),
    misspelt=st.sampled_from(["", "sasl.pasword", "ssl.key.passwort", f"sasl.password:{SECRET}"]),
    in_file=st.booleans(),
)
@hypothesis_settings(max_examples=600, deadline=None, database=None, derandomize=True)
def test_no_secret_is_ever_shown(
    others: dict[str, str], secrets: dict[str, str], misspelt: str, in_file: bool
) -> None:
    properties = {**others, **{name: shape.format(SECRET) for name, shape in secrets.items()}}
    if misspelt:
        properties[misspelt] = SECRET
    try:
        found = asked(None if in_file else properties, file=properties if in_file else None)
    except UsageError as error:
        assert SECRET not in str(error)
        assert str(error).isprintable()
    else:
        assert SECRET not in repr(found)
        assert not [note for note in found.notes if SECRET in note]


@given(
    properties=st.dictionaries(
        st.sampled_from(sorted(USED - {"bootstrap.servers", "metadata.broker.list"})),
        st.text("aTLS_-.:;=\"'{}$/\\ \x1b\n1,", max_size=12)
        | st.sampled_from(["PLAIN", "OAUTHBEARER", "true", "SSL", "PEM", CA_PEM, PLAIN, ENDPOINT]),
        max_size=6,
    )
)
@quick
def test_no_value_of_a_used_property_raises_anything_but_usage_errors(
    properties: dict[str, str],
) -> None:
    try:
        found = asked(properties)
    except UsageError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 600
    else:
        assert all(note.isprintable() for note in found.notes)
