"""The one cluster's listeners, a case each: where it listens, what it speaks, what it advertises.

In an advertised address {public} and {home} are the broker's own public and private address,
{public1} is broker 1's, {node} is the broker's id. On loopback public and home are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

PLAINTEXT, SSL, SASL, SASL_SSL = "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"
NODES = (1, 2, 3)
CONTROLLER_PORT = 9090
CLOSED_PORT = 9999  # nobody listens there
NODE_PORT = 32000  # + node id; the bootstrap's is 32000 itself
LOGINS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


@dataclass(frozen=True)
class Listener:
    """A listener on every broker. `advertised` is one text for all brokers, or one for each.

    `certificate` is the kind that certificates.py makes; `more` are server properties of this
    listener.
    """

    name: str
    port: int
    protocol: str = PLAINTEXT
    advertised: str | tuple[str, str, str] = ""
    certificate: str = ""
    mechanisms: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def advertises(self, node: int, homes: tuple[str, ...], publics: tuple[str, ...]) -> str:
        """`host:port` as this node tells it to clients."""
        text = self.advertised or f"{{public}}:{self.port}"
        told = text if isinstance(text, str) else text[node - 1]
        numbered = {f"home{n}": homes[n - 1] for n in NODES}
        numbered |= {f"public{n}": publics[n - 1] for n in NODES}
        return told.format(node=node, home=homes[node - 1], public=publics[node - 1], **numbered)


_EC2 = "ip-10-0-1-1{node}.eu-west-2.compute.internal"

# fmt: off
LISTENERS = (
    # What brokers use among themselves.
    Listener("INTERNAL",   9091, PLAINTEXT, "{home}:9091"),
    # Plaintext, by what is advertised.
    Listener("PUBLIC",     9094),
    Listener("PRIVATE",    9095, PLAINTEXT, "{home}:9095"),
    Listener("LOCALHOST",  9096, PLAINTEXT, "localhost:9096"),
    Listener("EC2NAME",    9097, PLAINTEXT, f"{_EC2}:9097"),
    Listener("CLOSED",     9098, PLAINTEXT, f"{{public}}:{CLOSED_PORT}"),
    Listener("SWAPPED",    9099, PLAINTEXT, ("{public1}:9099", "{public3}:9099", "{public2}:9099")),
    Listener("SHARED",     9100, PLAINTEXT, "{public1}:9100"),
    Listener("ONEPRIVATE", 9101, PLAINTEXT, ("{public}:9101", "{home}:9101", "{public}:9101")),
    Listener("CONTROLLED", 9102, PLAINTEXT, f"{{public}}:{CONTROLLER_PORT}"),
    Listener("NODEPORT",   9103, PLAINTEXT, f"{{public1}}:{NODE_PORT // 10}{{node}}"),
    # TLS, by certificate and client certificate.
    Listener("TLS",        9110, SSL, certificate="good"),
    Listener("MTLS",       9111, SSL, certificate="good", more=("ssl.client.auth=required",)),
    Listener("MTLS12",     9112, SSL, certificate="good",
             more=("ssl.client.auth=required", "ssl.enabled.protocols=TLSv1.2")),
    Listener("NAMELESS",   9113, SSL, certificate="nameless"),
    Listener("EXPIRED",    9114, SSL, certificate="expired"),
    Listener("EARLY",      9115, SSL, certificate="early"),
    Listener("SOON",       9116, SSL, certificate="soon"),
    Listener("CHAINLESS",  9117, SSL, certificate="chainless"),
    Listener("CHAINED",    9124, SSL, certificate="chained"),
    Listener("SELFSIGNED", 9125, SSL, certificate="selfsigned"),
    # The bootstrap speaks one protocol, the advertised ports another.
    Listener("TLSTOPLAIN", 9118, SSL, "{public}:9094", certificate="good"),
    Listener("PLAINTOTLS", 9119, PLAINTEXT, "{public}:9110"),
    # Logins.
    Listener("LOGIN",      9120, SASL, mechanisms=LOGINS),
    Listener("LOGINTLS",   9121, SASL_SSL, certificate="good", mechanisms=LOGINS),
    Listener("SCRAMONLY",  9122, SASL, mechanisms=("SCRAM-SHA-512",)),
    Listener("LOGINHOME",  9123, SASL, "{home}:9123", mechanisms=("PLAIN", "SCRAM-SHA-512")),
)
# fmt: on

PORTS = {listener.name: listener.port for listener in LISTENERS} | {"CONTROLLER": CONTROLLER_PORT}

# Who may log in, by PLAIN and SCRAM alike; by OAUTHBEARER anybody may, as the token says.
USERS = {name: f"{name}-secret" for name in ("alice", "reader", "blind", "outsider", "guest")}

# What each of them may not do; alice may do all. The client without a login is a super user.
DENIED = (
    # user      resource   name             operation
    ("reader", "TOPIC", "orders", "WRITE"),
    ("blind", "TOPIC", "orders", "ALL"),
    ("outsider", "CLUSTER", "kafka-cluster", "DESCRIBE"),
    ("outsider", "CLUSTER", "kafka-cluster", "DESCRIBE_CONFIGS"),
    ("guest", "CLUSTER", "kafka-cluster", "ALL"),
    ("guest", "TOPIC", "*", "ALL"),
)
