"""The one table of SASL mechanisms: how a client is configured, what logs in, how to fix a refusal.

To add a mechanism, add its record here and its exchange to kafka/sasl/mechanisms.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kdiag.config.record import NamedTuple

_USER_AND_PASSWORD = MappingProxyType({"sasl.username": "username", "sasl.password": "password"})
_NONE: Mapping[str, str] = MappingProxyType({})
# A client puts these into a command line of a shell, to run kinit.
_PRINCIPAL = r"[\w.@/+-]{1,255}\Z"
_KEYTAB = r"[^\"'`$;&|<>\x00-\x1f\x7f]+(?<!\\)\Z"


class Mechanism(NamedTuple):
    """A SASL mechanism.

    `modules` are the login modules that go with it in Java's client, the usual one first.
    `exchange` names what logs in, in kafka/sasl/mechanisms.py; "" where only the real client can.
    `needs` maps each property that the login needs to its field of Sasl, `takes` each one that the
    login may have; the options of a login module are `jaas.<option>`. `shell_safe` maps properties
    to patterns that keep a value harmless in a shell, `refuses` maps properties that kdiag cannot
    act on to what the user can do instead. `java` and `librdkafka` are lines of the
    clients' configuration, with placeholders in angle brackets; `librdkafka_name` is librdkafka's
    name of the mechanism, "" for the same.
    `refused` is the remedy where a broker refuses the login, with fields {mechanism}, {host} (the
    broker's), and {at_endpoint} (what to check at a token endpoint); `command` is a shell command
    for it, with {tool} (kafka-configs.sh) and {user}.
    `in_clear` is the remedy where the login went unencrypted, "" where whoever reads the login
    cannot log in with it. Of several mechanisms that a listener offers, kdiag proposes the one with
    the highest `strength`.
    """

    modules: tuple[str, ...]
    exchange: str
    java: tuple[str, ...]
    librdkafka: tuple[str, ...]
    refused: str
    needs: Mapping[str, str] = _USER_AND_PASSWORD
    librdkafka_name: str = ""
    command: str = ""
    in_clear: str = ""
    takes: Mapping[str, str] = _NONE
    shell_safe: Mapping[str, str] = _NONE
    refuses: Mapping[str, str] = _NONE
    strength: int = 0


def _jaas(module: str, *options: str) -> str:
    return f"sasl.jaas.config={' '.join([module, 'required', *options])};"


_SECURITY = "org.apache.kafka.common.security"
_USER_OPTIONS = ('username="<user>"', 'password="<password>"')
_USER_PROPERTIES = ("sasl.username=<user>", "sasl.password=<password>")
_ENDPOINT = "sasl.oauthbearer.token.endpoint.url=<https://identity.provider/token>"

_SCRAM_REFUSED = (
    "Check user and password, and, as an administrator, that the user has credentials for "
    "{mechanism}; those for the other SCRAM mechanism do not count:"
)
_SCRAM = Mechanism(
    modules=("ScramLoginModule",),
    exchange="ScramSha512",
    java=(_jaas(f"{_SECURITY}.scram.ScramLoginModule", *_USER_OPTIONS),),
    librdkafka=_USER_PROPERTIES,
    refused=_SCRAM_REFUSED,
    command="{tool} --describe --entity-type users --entity-name {user}",
    strength=4,
)

# In the order in which messages list them.
MECHANISMS: Mapping[str, Mechanism] = {
    "PLAIN": Mechanism(
        modules=("PlainLoginModule", "ScramLoginModule"),
        exchange="Plain",
        java=(_jaas(f"{_SECURITY}.plain.PlainLoginModule", *_USER_OPTIONS),),
        librdkafka=_USER_PROPERTIES,
        refused="Check user and password (Confluent Cloud: API key and secret). A broker of your "
        "own has its PLAIN users as user_<name>=<password> in the listener's "
        "plain.sasl.jaas.config, unless it has a callback handler, and learns a new one when it "
        "restarts.",
        in_clear="Use SASL_SSL, or at least SCRAM instead of PLAIN.",
        strength=1,
    ),
    "SCRAM-SHA-256": _SCRAM._replace(exchange="ScramSha256", strength=3),
    "SCRAM-SHA-512": _SCRAM,
    "OAUTHBEARER": Mechanism(
        modules=("OAuthBearerLoginModule",),
        exchange="Bearer",
        needs={},
        java=(
            f"sasl.login.callback.handler.class={_SECURITY}.oauthbearer"
            ".OAuthBearerLoginCallbackHandler",
            _ENDPOINT,
            _jaas(
                f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule",
                'clientId="<client id>"',
                'clientSecret="<client secret>"',
            ),
        ),
        librdkafka=(
            "sasl.oauthbearer.method=oidc",
            _ENDPOINT,
            "sasl.oauthbearer.client.id=<client id>",
            "sasl.oauthbearer.client.secret=<client secret>",
        ),
        refused="Check {at_endpoint}the token's expiry, issuer, audience and scope against the "
        "listener's.",
        in_clear="Use SASL_SSL: anyone who reads the token on the path can log in with it.",
        strength=2,
    ),
    "AWS_MSK_IAM": Mechanism(
        modules=("IAMLoginModule",),
        exchange="MskIam",
        needs={},
        takes={"jaas.awsStsRegion": "region", "jaas.awsProfileName": "profile"},
        refuses={
            "jaas.awsRoleArn": "awsRoleArn in sasl.jaas.config: kdiag assumes no role itself; "
            "write the role into a profile of ~/.aws/config and name that with awsProfileName"
        },
        java=(
            "sasl.client.callback.handler.class="
            "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
            _jaas("software.amazon.msk.auth.iam.IAMLoginModule"),
        ),
        librdkafka=("# and in the code, oauth_cb from aws-msk-iam-sasl-signer",),
        librdkafka_name="OAUTHBEARER",
        refused="Check that this identity may do kafka-cluster:Connect on this cluster.",
        in_clear="Use SASL_SSL: for 15 minutes, anyone who reads the signed request on the path "
        "can log in with it.",
        strength=2,
    ),
    "GSSAPI": Mechanism(
        modules=("Krb5LoginModule",),
        exchange="",
        needs={},
        takes={"sasl.kerberos.principal": "username", "sasl.kerberos.service.name": "service_name"},
        shell_safe={
            "sasl.kerberos.principal": _PRINCIPAL,
            "sasl.kerberos.service.name": _PRINCIPAL,
            "sasl.kerberos.keytab": _KEYTAB,
        },
        java=(
            "sasl.kerberos.service.name=kafka",
            _jaas(
                "com.sun.security.auth.module.Krb5LoginModule",
                "useKeyTab=true",
                'keyTab="<file.keytab>"',
                'principal="<user@REALM>"',
            ),
        ),
        librdkafka=(
            "sasl.kerberos.service.name=kafka",
            "sasl.kerberos.keytab=<file.keytab>",
            "sasl.kerberos.principal=<user@REALM>",
        ),
        refused="Check the ticket (klist) or the keytab. The realm must know the broker as "
        "<sasl.kerberos.service.name>/{host}; krb5.conf can replace it by a name from DNS (rdns, "
        "dns_canonicalize_hostname).",
    ),
}

# Whoever reads such a login can log in with it; SCRAM and Kerberos only prove a secret.
READABLE = tuple(name for name, mechanism in MECHANISMS.items() if mechanism.in_clear)
CLIENT_ONLY = tuple(name for name, mechanism in MECHANISMS.items() if not mechanism.exchange)
# The properties of all mechanisms, but for options of login modules.
PROPERTIES = frozenset(
    name
    for mechanism in MECHANISMS.values()
    for name in (*mechanism.needs, *mechanism.takes, *mechanism.shell_safe)
    if not name.startswith("jaas.")
)
