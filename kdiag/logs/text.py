"""The message and the fix of each finding in a log.

A log has fewer facts than a walk, so these texts say less than those of the rules.
"""

from __future__ import annotations

# Kind of line → (heading, verdict, reason), for lines that fit no finding.
OUTCOMES: dict[str, tuple[str, str, str]] = {
    "own": (
        "These lines are about the client's own settings, before anything was sent:",
        "CLIENT'S SETTINGS",
        "the client failed by its own settings, before a broker answered",
    ),
    "stopped": (
        "These lines say that a broker did not start, or stopped; no client reaches it meanwhile:",
        "BROKER STOPPED",
        "a broker did not start, or stopped, and its own lines say why",
    ),
    "fenced": (
        "These lines say that another producer has begun with the same transactional.id, or that a "
        "transaction took longer than its timeout; Kafka refuses the older producer:",
        "FENCED",
        "Kafka refuses an older producer of the same transactional.id; the connection works",
    ),
    "large": (
        "These lines say that a request or a response is larger than who reads it allows:",
        "TOO LARGE",
        "a message is larger than its reader allows: socket.request.max.bytes of a broker, "
        "receive.message.max.bytes of librdkafka",
    ),
    "": (
        "These lines only say that something failed, and not why:",
        "UNEXPLAINED",
        "something failed, and the log does not say why",
    ),
    "lost": (
        "These lines say that records were lost after the client received metadata, and not why:",
        "UNEXPLAINED",
        "something failed, and the log does not say why",
    ),
    "unknown": (
        "These lines look like failures of a Kafka client, in a message that kdiag does not know:",
        "UNKNOWN MESSAGE",
        "a client reports a failure, in a message that kdiag does not know",
    ),
    "rebalance": (
        "These lines say that the group shares its partitions out anew, as it does whenever a "
        "member comes or goes:",
        "NO FAILURE",
        "only a rebalance; one that never ends comes from members that poll too late (KD906)",
    ),
    "idle": (
        "These lines are about connections that worked for long; clients open them again:",
        "NO FAILURE",
        "only connections that worked for long were closed",
    ),
}

# Code → (message, fix). {who} and {Who} are the brokers or bootstrap servers; {at} is a suffix with
# the addresses that the log contains; {s} and {es} are the verb endings of the singular.
MESSAGES: dict[str, tuple[str, str]] = {
    "KD101": (
        "The host name of {who} has no address where this client runs",
        "Check the spelling, and look the name up where the client runs: getent ahosts NAME.",
    ),
    "KD102": (
        "The host name of {who} could not be looked up: the resolver failed",
        "Check the DNS server of this machine or pod: look up a name that surely exists.",
    ),
    "KD103": (
        "{Who} refuse{s} the connection: the host answers, but the port is closed",
        "Check that the broker runs, listens on that port and address, and that the port is "
        "published. A security group would be silent, so it is not one.",
    ),
    "KD104": (
        "{Who} do{es} not answer the connection request: a firewall drops it, or no host is there",
        "Allow the port: security group, network ACL, firewall, VPN; or use an address that this "
        "client can reach.",
    ),
    "KD105": (
        "There is no route to {who}",
        "Check the route, the VPN and whether this client has IPv6: ip route get ADDRESS.",
    ),
    "KD107": (
        "{Who} accept{s} the connection and then stay{s} silent",
        "Find out which server accepts there: a load balancer or proxy without a working broker "
        "behind it, a broker that hangs, or a server of another protocol.",
    ),
    "KD108": (
        "{Who} answer{s}, but not as Kafka",
        "Use the port of a broker's listener, usually 9092 to 9094.",
    ),
    "KD109": (
        "{Who}: this is a KRaft controller, which takes no metadata and no produce requests",
        "Use the port of a broker's listener; in advertised.listeners name the broker's port, not "
        "the controller's.",
    ),
    "KD110": (
        "{Who} speak{s} TLS, and this client does not",
        "Set security.protocol=SSL (or SASL_SSL, where the listener requires a login).",
    ),
    "KD111": (
        "This client speaks TLS, and {who} do{es} not",
        "Set security.protocol=PLAINTEXT (or SASL_PLAINTEXT), or use the port of a TLS listener.",
    ),
    "KD112": (
        "The certificate of {who} has an issuer that this client does not trust",
        "Give the client the authority that issued it: ssl.ca.location, or ssl.truststore.location "
        "in Java. librdkafka says the same of a wrong name and of an expired certificate.",
    ),
    "KD113": (
        "The certificate of {who} is not for the name that was dialled",
        "Issue it with that name or address among its subject alternative names, or advertise a "
        "name that it has.",
    ),
    "KD114": (
        "The certificate of {who} has expired or is not valid yet",
        "Renew it, and check the clock of this client.",
    ),
    "KD115": (
        "{Who} require{s} a client certificate, and got none or an untrusted one",
        "Set the client's certificate and key (ssl.certificate.location and ssl.key.location, in "
        "Java ssl.keystore.location), issued by an authority that the brokers trust.",
    ),
    "KD116": (
        "The TLS handshake with {who} fails",
        "Read the cause below that line, and the broker's log at that moment.",
    ),
    "KD117": (
        "{Who} close{s} the connection instead of answering: a login (SASL) is required first",
        "Set security.protocol to SASL_PLAINTEXT or SASL_SSL, with sasl.mechanism, user and "
        "password.",
    ),
    "KD118": (
        "This client logs in, and the listener of {who} has no SASL",
        "Set security.protocol to SSL or PLAINTEXT, or use the port of the listener with SASL.",
    ),
    "KD119": (
        "{Who} do{es} not take the SASL mechanism of this client",
        "Set sasl.mechanism to one that the listener offers.",
    ),
    "KD120": (
        "{Who} refuse{s} the login",
        "Check user and password, and that the user exists for this mechanism; the broker's log "
        "says why.",
    ),
    "KD121": (
        "{Who} close{s} the connection without an answer",
        "Mostly the listener speaks another protocol than the client: TLS, or a login that it "
        "waits for; else a load balancer without a broker behind it.",
    ),
    "KD126": (
        "{Who} accept{s} no login now: the limit on new connections is used up",
        "Make fewer new connections: keep clients open, and set reconnect.backoff.ms to 1000 or "
        "more. This says nothing of the credentials.",
    ),
    "KD201": (
        "{Who} do{es} not answer the metadata request",
        "Look at the broker's load and log, and at what stands between.",
    ),
    "KD202": (
        "The topic's name is not one that Kafka allows",
        "Use letters, digits, '.', '_' and '-', at most 249 of them; where the name is empty, look "
        "where the client takes it from.",
    ),
    "KD203": ("The cluster lists no brokers", "Wait until the broker has found its cluster."),
    "KD204": (
        "The topic does not exist, or this client may not see it",
        "Check the name; create the topic; or grant DESCRIBE on it.",
    ),
    "KD205": (
        "This client may not see the topic",
        "Grant DESCRIBE on the topic to the client's principal.",
    ),
    "KD206": (
        "A partition has no leader",
        "Bring up the brokers that hold its replicas. Just after a topic was created it passes.",
    ),
    "KD207": (
        "A partition's leader has no listener of the name that this client connected via",
        "Give every broker a listener of that name in listeners and in advertised.listeners.",
    ),
    "KD301": (
        "{Who} advertise{s} a private address that is not reachable from this client{at}",
        "Advertise an address that clients outside can reach, on the listener for them; or run "
        "the client inside that network.",
    ),
    "KD302": (
        "{Who} advertise{s} localhost, which is this client's own machine{at}",
        "Set advertised.listeners to the address by which clients reach the broker.",
    ),
    "KD303": (
        "{Who} advertise{s} an address that nobody can dial{at}",
        "Set advertised.listeners to the address by which clients reach the broker.",
    ),
    "KD304": (
        "{Who} advertise{s} a name that only its own network knows{at}",
        "Advertise a name or address that resolves for clients outside; or run the client inside "
        "that network.",
    ),
    "KD305": (
        "{Who} refuse{s} connections at the advertised address{at}",
        "Check that the broker runs, and that the advertised port is the one that is published.",
    ),
    "KD306": (
        "{Who} do{es} not answer at the advertised address: packets are dropped on the path{at}",
        "Open the advertised ports too, not only the bootstrap's; where the address is private, "
        "advertise one that this client can reach.",
    ),
    "KD307": (
        "Another broker answers at the advertised address of {who}",
        "Give each broker an advertised address that leads to itself.",
    ),
    "KD312": (
        "{Who} speak{s} another protocol at the advertised address than the bootstrap server{at}",
        "Let each listener advertise its own port: with TLS at both ends, or at neither.",
    ),
    "KD401": (
        "{Who} do{es} not answer requests on a connection that stands",
        "Look at that broker's load and log; where small requests pass and large ones do not, it "
        "is the path's MTU.",
    ),
    "KD403": (
        "This client may not write to the topic",
        "Grant WRITE on the topic to the client's principal.",
    ),
    "KD404": (
        "Fewer replicas are in sync than min.insync.replicas asks for",
        "Bring the brokers back that hold the missing replicas.",
    ),
    "KD405": (
        "The broker that was asked does not lead the partition",
        "Where it never ends, the address of one broker leads to another one: several brokers "
        "behind one address cannot work.",
    ),
    "KD406": (
        "The broker does not take the record",
        "Raise the topic's max.message.bytes, and max.request.size with it, or send less at once; "
        "the broker's words say what it did not like.",
    ),
    "KD408": ("A quota slows this client down", "Ask for less at once, or for a larger quota."),
    "KD902": (
        "This client may not use its consumer group: it lacks Read on it",
        "Grant it: kafka-acls.sh --add --allow-principal User:NAME --operation Read --group GROUP.",
    ),
    "KD903": (
        "The group's coordinator is still loading the group",
        "Wait; where it takes minutes, look at the size of __consumer_offsets.",
    ),
    "KD904": (
        "The group has no coordinator: its part of __consumer_offsets has no leader, or the topic "
        "cannot be created",
        "Compare offsets.topic.replication.factor with the number of brokers (KD901), and start "
        "the brokers that hold that topic.",
    ),
    "KD906": (
        "A member of the group did not poll in time, or came back after it was given up: the group "
        "has to rebalance",
        "Let it process less in one poll (max.poll.records), or give it more time "
        "(max.poll.interval.ms).",
    ),
    "KD907": (
        "The offset to read from is not in the partition",
        "Choose auto.offset.reset, or set the group's offsets: kafka-consumer-groups.sh "
        "--reset-offsets.",
    ),
    "KD908": (
        "This client may not read the topic: it lacks Read on it",
        "Grant it: kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic TOPIC.",
    ),
    "KD910": (
        "This client may not use its transactional.id: it lacks Write on it",
        "Grant it: kafka-acls.sh --add --allow-principal User:NAME --operation Write "
        "--transactional-id ID.",
    ),
    "KD911": (
        "This client may not be an idempotent producer: it lacks IdempotentWrite on the cluster",
        "Grant it: kafka-acls.sh --add --allow-principal User:NAME --operation IdempotentWrite "
        "--cluster; or set enable.idempotence=false.",
    ),
    "KD916": (
        "The coordinator of transactions does not answer: its topic may not be there",
        "Compare transaction.state.log.replication.factor and transaction.state.log.min.isr with "
        "the number of brokers.",
    ),
}
