"""Errors by name and number: those of Kafka's protocol, and librdkafka's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kdiag.kafka.errors import error_name


@dataclass(frozen=True)
class KafkaError:
    """An error as clients name it. `codes` are the findings of kdiag that it can be about, the
    likeliest first; `fix` is "" where there is nothing to do but what it means says."""

    number: int
    name: str
    means: str
    fix: str = ""
    codes: tuple[str, ...] = ()
    own: bool = False  # librdkafka's own, of no broker

    @property
    def prove(self) -> str:
        """The command that proves the error, or proves that the path to the brokers works."""
        if {"KD204", "KD205", "KD206", "KD403", "KD404", "KD406"} & set(self.codes):
            return "kdiag check HOST:PORT --topic TOPIC"
        if any(code in ("KD117", "KD118", "KD119", "KD120") for code in self.codes):
            return "kdiag check HOST:PORT -F client.properties"
        if any(code.startswith("KD9") for code in self.codes):
            return "kdiag check HOST:PORT --group GROUP"
        return "kdiag check HOST:PORT"


def find(error: str) -> KafkaError | None:
    """The error of that number or name, as any client writes it: `72`, `-195`, `_TRANSPORT`,
    `RD_KAFKA_RESP_ERR__TRANSPORT`, `LEADER_NOT_AVAILABLE`, `LeaderNotAvailableException`."""
    text = error.strip()
    if re.fullmatch(r"-?\d{1,6}", text):
        return _BY_NUMBER.get(int(text))
    name = re.sub(r"^(RD_KAFKA_RESP_ERR_|ERR_|KafkaError\.)", "", text)
    if re.fullmatch(r"(Err)?[A-Z][A-Za-z]*[a-z][A-Za-z]*", name):  # as classes are named
        name = re.sub(r"^Err(?=[A-Z])|(Exception|Error)$", "", name)
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    name = name.upper()
    name = _LIBRDKAFKA_SAYS.get(name, name)
    found = _BY_NAME.get(name) or _BY_NAME.get(f"{name}_FAILED")
    return found or _BY_TEXT.get(text.lower())


def names() -> list[str]:
    """The names of all errors, to suggest one for a mistyped name."""
    return list(_BY_NAME)


def _read(table: str, own: bool) -> list[KafkaError]:
    found = []
    for line in table.strip().splitlines():
        head, means, *fix = (part.strip() for part in line.split("|"))
        number, *rest = head.split()
        name, *codes = rest if own else (error_name(int(number)), *rest)
        found.append(KafkaError(int(number), name, means, "".join(fix), tuple(codes), own))
    return found


# Number, findings | what it means | what to do. The names are those of kdiag/kafka/errors.py.
_PROTOCOL = """
-1 KD409 | The broker met an error that has no number of its own. | Read the broker's log at that moment: the real error is there.
0 | No error.
1 KD907 | The offset that was asked for is not there: older than what is kept, or newer than what was written. | Set auto.offset.reset, or look at the topic's retention.
2 KD406 | The record's checksum does not fit, or the broker cannot read the batch. | Look at what stands between: a proxy that changes bytes, a client of another version, a disk.
3 KD204 KD205 KD405 | The broker does not know the topic or the partition. It also says so to a client that may not see the topic, where no rule lets it describe it. | Check the name; create the topic; or grant DESCRIBE on it.
4 KD406 | The fetch asks for a size that makes no sense. | Look at fetch.max.bytes and max.partition.fetch.bytes.
5 KD206 KD405 | The partition has no leader just now: it is being elected, no replica of it is up, or no controller is there to elect one. Just after a topic was created it passes by itself. | Where it goes on: bring up the brokers that hold its replicas, and look whether the cluster has a controller.
6 KD405 KD307 KD308 | The broker that was asked does not lead the partition. Clients ask for metadata again and go on; where it never ends, the address of one broker leads to another one. | Give each broker an advertised address that leads to itself: several brokers behind one address cannot work.
7 KD409 | The brokers did not get it done in the time that the request allows (request.timeout.ms). To a record with acks=all the leader says so when it has written it, and its followers, slow or lost, have not confirmed it. | Look at replicas that are behind, and at the load, the disks and the network of their brokers.
8 KD409 | The broker is not available. No client gets it from a Kafka of today.
9 KD208 KD405 | A replica is not there; clients may go on.
10 KD406 | The record is larger than the topic's max.message.bytes, or than the broker's message.max.bytes. | Raise max.message.bytes of the topic, and the client's max.request.size with it; or send less at once.
11 | A broker acted on the word of a controller that is no longer one. It passes by itself.
12 | The metadata that is committed with an offset is longer than offset.metadata.max.bytes.
13 KD121 KD401 | The connection broke before the answer came. The client makes this one up itself. | Find out who closes: the broker, a proxy, a load balancer that drops idle connections.
14 KD903 | The group's coordinator is still reading the group's state. It passes by itself.
15 KD901 KD904 | The group has no coordinator: the topic __consumer_offsets or __transaction_state cannot be created or has no leader. On one broker its replication factor of 3 is the usual reason. | Set offsets.topic.replication.factor=1 where there is one broker; bring up the brokers otherwise.
16 KD905 | The broker is not the coordinator of this group, or no longer. Clients look for the new one.
17 KD406 | The topic's name is not allowed, or it is one of Kafka's own and may not be written to.
18 KD406 | The batch is larger than a segment of the topic (segment.bytes). | Send less at once.
19 KD404 | Fewer replicas are in sync than min.insync.replicas asks for, so the broker refuses the record. | Bring the brokers back that hold the missing replicas, or lower min.insync.replicas.
20 KD404 | The record was written, but fewer replicas than min.insync.replicas got it in time. | As for NOT_ENOUGH_REPLICAS: bring the missing replicas back.
21 KD406 | acks is none of 0, 1 and all (-1). | Set acks to one of them.
22 | The group has gone on to another generation without this consumer. It joins again by itself.
23 | The group's members do not agree on how to assign partitions. | Give all of them the same partition.assignment.strategy.
24 | The group id is empty or not allowed. | Set group.id.
25 | The coordinator does not know this member: it was away for longer than session.timeout.ms. It joins again by itself.
26 | session.timeout.ms is outside of what the broker allows. | Keep it within group.min.session.timeout.ms and group.max.session.timeout.ms.
27 KD906 | The group is being rebalanced. It passes by itself; where it never ends, members come and go: look at max.poll.interval.ms.
28 | The offsets that are committed at once are larger than a record may be.
29 KD205 KD403 KD908 | This client may not do that with the topic. | Grant the operation to its principal: kafka-acls --add --allow-principal User:NAME --operation WRITE --topic TOPIC.
30 KD902 | This client may not use the group. | Grant READ on the group to its principal.
31 KD403 KD911 | This client may not do that with the cluster: create a topic, alter it, or write idempotently to an old broker. | Grant the operation on the cluster to its principal.
32 KD406 | The record's time is too far from the broker's. | Check the clock, or message.timestamp.before.max.ms and message.timestamp.after.max.ms.
33 KD119 | The listener does not take this SASL mechanism; the answer lists those that it takes. | Set sasl.mechanism to one that it offers.
34 KD118 KD117 | The request does not fit the state of the login: most often a login at a listener that has no SASL, or a request before the login at one that has. | Set security.protocol to what the listener speaks.
35 KD109 | The broker does not know the request in this version: a broker much older or newer than the client, or a KRaft controller, which knows no metadata request. | Use a broker's listener, and a client of about the broker's age.
36 | The topic exists already.
37 | The number of partitions makes no sense, or is smaller than it was.
38 | The replication factor is larger than the number of brokers, or zero. | Ask for as many replicas as there are brokers at most.
39 | The assignment of replicas to brokers makes no sense.
40 | A configuration has a value that it cannot take.
41 | The broker is not the controller, or no longer. Clients look for the new one.
42 KD307 | The request makes no sense to the broker. "Unexpected broker id, expected 2 or empty string, but received 1" is an address of broker 1 by which broker 2 answers.
43 KD406 | The record needs a newer message format than the topic has.
44 KD406 | A policy of the broker's administrators forbids it.
45 | The idempotent producer's records came out of order: a record before them was lost. | Raise retries and delivery.timeout.ms; max.in.flight.requests.per.connection is at most 5.
46 | The broker has this record already. Nothing is lost.
47 | Another producer of the same transactional.id, or of the same id, has taken over. | Let each producer have a transactional.id of its own.
48 | The transaction is in a state in which that cannot be done.
49 | The broker no longer knows this producer's id.
50 | transaction.timeout.ms is longer than the broker's transaction.max.timeout.ms.
51 | The transaction before is still being ended. It passes by itself.
52 | A broker that is no longer the transaction coordinator sent a marker. The error passes by itself.
53 KD403 KD910 | This client may not use the transactional id. | Grant WRITE on it to its principal.
54 | The cluster has no authorizer, so it has no access rules. | Set authorizer.class.name on the brokers.
55 | Nothing was tried, for an earlier part of the same request failed.
56 KD409 | A disk of the broker fails. | Read the broker's log for the disk; the partition's leader has to move to another broker.
57 | That log directory is not the broker's.
58 KD120 | The login is refused: unknown user, wrong password or token, an expired one. | Check user and password; look up in the broker's log what it did not like.
59 | The broker has forgotten this producer: its records were all deleted.
60 | Partitions are being moved already.
61 | The cluster hands out no delegation tokens. | Set delegation.token.secret.key on the brokers.
62 KD120 | The delegation token does not exist.
63 | The delegation token is somebody else's.
64 | Delegation tokens are not handed out on this connection: it takes SASL or mutual TLS, and no token.
65 | This client may not do that with the delegation token.
66 KD120 | The delegation token has expired.
67 | That type of principal is not supported.
68 | The group still has members.
69 | The group does not exist.
70 | The broker has forgotten the fetch session. Clients begin a new one.
71 | The fetch session's epoch does not fit. Clients begin a new one.
72 KD207 | The leader of a partition has no listener of the name by which this client came in, so nobody can tell where it is. | Give every broker a listener of that name in listeners and in advertised.listeners.
73 | Topics may not be deleted here. | Set delete.topic.enable=true on the brokers.
74 KD405 | The client knows an older leader of the partition than the broker does. It passes by itself.
75 KD405 | The client knows a newer leader of the partition than the broker does. It passes by itself.
76 KD406 | The broker or the topic does not take this compression. | Set compression.type to one that it takes; zstd needs Kafka 2.1.
77 | The broker was restarted meanwhile. It passes by itself.
78 | The leader is so new that it does not know its last offset yet. It passes by itself.
79 | The coordinator gives the member an id first, and it joins again with it. It passes by itself.
80 | The preferred leader is not there.
81 | The group has as many members as group.max.size allows.
82 | Another consumer has the same group.instance.id. | Give each consumer its own.
83 | No replica in sync is up, so no leader can be elected. | Bring those brokers up.
84 | The partition has the leader already that was asked for.
85 | No partition is being moved.
86 | The group still reads that topic.
87 KD406 | The broker does not take the record as it is: no key for a compacted topic, a schema that is refused, a time that is refused.
88 | Offsets of a transaction that has not ended block this request. It passes by itself.
89 KD408 | A quota is used up. | Ask for less at once, or for a larger quota.
90 | A newer producer of the same transactional.id has taken over. | Let each producer have a transactional.id of its own.
91 | What the request names does not exist.
92 | The request names the same thing twice.
93 | The credential is not acceptable: too few iterations, an empty name.
94 | The voters of the quorum do not agree on who they are. | Give all controllers the same controller.quorum.voters.
95 | The version of a feature or of an update makes no sense.
96 | The cluster's features could not be updated.
97 | A broker could not read who the client is, when it passed a request on.
98 | The snapshot is not there.
99 | The position in the snapshot is not there.
100 | No topic has this id: it was deleted, and perhaps made anew. Clients ask for metadata again.
101 | A broker of the same node.id is registered already. | Give each broker its own node.id; after a crash wait for broker.session.timeout.ms.
102 | The controller does not know this broker: it was fenced or never registered.
103 | The topic was deleted and made anew: its id is another one. Clients ask for metadata again.
104 KD310 | The request names another cluster than the broker's. | Look where the address leads: to another cluster.
105 | The transactional id does not exist.
106 | The fetch session mixes topics by name and by id. Clients begin a new one.
107 | The replica may not be in sync: its broker is fenced or shutting down.
108 KD405 | A new leader was elected. It passes by itself.
109 | That part of the log is in tiered storage.
110 | The member's epoch is an old one. It joins again by itself.
111 | The group.instance.id still belongs to another member.
112 | The group's server-side assignor is unknown.
113 | The member's epoch is behind. It passes by itself.
114 KD109 | The request was sent to a controller and is for brokers, or the reverse. | Use bootstrap.servers for brokers, and bootstrap.controllers for controllers.
115 | The broker does not know this type of endpoint.
116 | The controller is unknown.
117 | The broker no longer knows this client's telemetry subscription. It passes by itself.
118 | The client's telemetry is larger than the broker takes.
119 | The controller does not take the broker's registration. | Read the controller's log.
120 | The transaction must be aborted.
121 | The record's state in the share group does not allow that.
122 | The share session is gone. Clients begin a new one.
123 | The share session's epoch does not fit. Clients begin a new one.
124 | The state of the share group is newer. It passes by itself.
125 | The voter's key does not fit.
126 | The voter is one already.
127 | The voter is none.
128 | The regular expression is not valid.
129 KD307 KD310 | The broker is not the one, or not of the cluster, that the client takes it for: it has to begin again from its bootstrap servers. | Look where the address leads: a name or a load balancer may lead to another broker or cluster.
130 | The topology of the Streams application is not valid.
131 | The topology's epoch of the Streams application is not valid.
132 | A newer topology of the Streams application has taken over.
133 | The broker has as many share sessions as it allows.
"""

# Number, name, findings | what it means | what to do.
_LIBRDKAFKA = """
-199 _BAD_MSG KD108 | What came is no Kafka message. | Look who answers on that port.
-198 _BAD_COMPRESSION | The compressed data cannot be read.
-197 _DESTROY | The client is being shut down.
-196 _FAIL KD121 | The connection to a broker failed.
-195 _TRANSPORT KD103 KD104 KD121 KD110 | A connection failed, for any reason: the words behind it, host, id and state, tell which. list_topics says it, "Failed to get metadata", whatever the reason is. | Read the FAIL lines of the log, or the text that error_cb gets: "in state CONNECT" is the network, SSL_HANDSHAKE is TLS, APIVERSION_QUERY the protocol, AUTH_... the login.
-194 _CRIT_SYS_RESOURCE | The client got no memory, thread or descriptor. | Look at its limits: two to three descriptors for each broker.
-193 _RESOLVE KD101 KD304 KD102 | A host name has no address here. With a broker's id behind it, it is the name that the broker advertises. | Look the name up where the client runs.
-192 _MSG_TIMED_OUT KD306 KD401 | The record was not delivered within message.timeout.ms. That is an outcome and says nothing of the cause: no leader could be reached, mostly. | Read the FAIL lines of the log before it.
-191 _PARTITION_EOF | The consumer has read all that there is. No error.
-190 _UNKNOWN_PARTITION KD204 | The partition does not exist.
-189 _FS | A file of the client's could not be read or written.
-188 _UNKNOWN_TOPIC KD204 | The topic does not exist.
-187 _ALL_BROKERS_DOWN | No connection to any broker that the client knows is up just now. That is a summary: the cause is in the lines before it, one for each broker.
-186 _INVALID_ARG | An argument or a property is not valid; the words behind it name it.
-185 _TIMED_OUT KD201 KD401 KD107 | No answer in time: to a request on an open connection, or because there was no connection at all. | Read the FAIL lines of the log before it.
-184 _QUEUE_FULL | The producer's own queue is full: records are produced faster than they are delivered, or none is delivered. | Call poll(); look whether the brokers can be reached.
-183 _ISR_INSUFF KD404 | Fewer replicas are in sync than the producer asks for.
-182 _NODE_UPDATE | The broker has another address now.
-181 _SSL KD112 KD113 KD115 KD116 | TLS fails: the words behind it tell whether it is the authority, the name, the client certificate or a listener that speaks plaintext.
-180 _WAIT_COORD | The group's coordinator is being looked for.
-179 _UNKNOWN_GROUP | The group is unknown.
-178 _IN_PROGRESS | The same is going on already.
-177 _PREV_IN_PROGRESS | What was begun before has not ended.
-176 _EXISTING_SUBSCRIPTION | That would clash with a subscription that there is.
-175 _ASSIGN_PARTITIONS | The consumer is given partitions. No error.
-174 _REVOKE_PARTITIONS | Partitions are taken from the consumer. No error.
-173 _CONFLICT | Two things that do not go together were asked for.
-172 _STATE | The client is in a state in which that cannot be done.
-171 _UNKNOWN_PROTOCOL | The protocol is unknown.
-170 _NOT_IMPLEMENTED | The client cannot do that.
-169 _AUTHENTICATION KD120 KD119 | The login failed: refused credentials, or a mechanism that the listener does not take. | Check sasl.mechanism, user and password; look up in the broker's log what it did not like.
-168 _NO_OFFSET | There is no offset to commit. No error.
-167 _OUTDATED | What was asked about is no longer so.
-166 _TIMED_OUT_QUEUE KD306 | The request timed out before it could be sent: there was no connection to send it on.
-165 _UNSUPPORTED_FEATURE | The broker is too old for that.
-164 _WAIT_CACHE | Waiting for metadata.
-163 _INTR | Interrupted.
-162 _KEY_SERIALIZATION | The key could not be serialised.
-161 _VALUE_SERIALIZATION | The value could not be serialised.
-160 _KEY_DESERIALIZATION | The key could not be deserialised.
-159 _VALUE_DESERIALIZATION | The value could not be deserialised.
-158 _PARTIAL | The answer is not whole.
-157 _READ_ONLY | That cannot be changed.
-156 _NOENT | There is no such thing.
-155 _UNDERFLOW KD108 | The answer is shorter than it says. | Look who answers on that port.
-154 _INVALID_TYPE | A value is of the wrong type.
-153 _RETRY | It is to be tried again.
-152 _PURGE_QUEUE | The record was thrown away on request, before it was sent.
-151 _PURGE_INFLIGHT | The record was thrown away on request, after it was sent.
-150 _FATAL | The client cannot go on; fatal_error returns the error that it had.
-149 _INCONSISTENT | The client and the broker do not agree on what was written.
-148 _GAPLESS_GUARANTEE | To go on would leave a gap in the records.
-147 _MAX_POLL_EXCEEDED | The application did not poll for longer than max.poll.interval.ms, and has left the group. | Do less between two polls, or raise it.
-146 _UNKNOWN_BROKER | No such broker is known.
-145 _NOT_CONFIGURED | What is needed for that is not configured.
-144 _FENCED | A newer instance has taken over: of the same transactional.id or group.instance.id.
-143 _APPLICATION | The application says so itself.
-142 _ASSIGNMENT_LOST | The consumer was away for too long, and its partitions are others' now.
-141 _NOOP | Nothing was done.
-140 _AUTO_OFFSET_RESET | There is no offset to begin with, and auto.offset.reset says to fail then.
-139 _LOG_TRUNCATION | Records that were read already are gone from the partition.
-138 _INVALID_DIFFERENT_RECORD | Another record of the same batch was not valid.
-137 _DESTROY_BROKER | The connection to a broker that is no longer needed was closed.
"""

# librdkafka's names where they differ from Kafka's, and what people write.
_LIBRDKAFKA_SAYS = {
    "UNKNOWN": "UNKNOWN_SERVER_ERROR",
    "NO_ERROR": "NONE",
    "INVALID_MSG": "CORRUPT_MESSAGE",
    "UNKNOWN_TOPIC_OR_PART": "UNKNOWN_TOPIC_OR_PARTITION",
    "INVALID_MSG_SIZE": "INVALID_FETCH_SIZE",
    "NOT_LEADER_FOR_PARTITION": "NOT_LEADER_OR_FOLLOWER",
    "MSG_SIZE_TOO_LARGE": "MESSAGE_TOO_LARGE",
    "RECORD_TOO_LARGE": "MESSAGE_TOO_LARGE",
    "STALE_CTRL_EPOCH": "STALE_CONTROLLER_EPOCH",
    "TOPIC_EXCEPTION": "INVALID_TOPIC_EXCEPTION",
    "INVALID_TOPIC": "INVALID_TOPIC_EXCEPTION",
    "GROUP_LOAD_IN_PROGRESS": "COORDINATOR_LOAD_IN_PROGRESS",
    "GROUP_COORDINATOR_NOT_AVAILABLE": "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR_FOR_GROUP": "NOT_COORDINATOR",
    "CLUSTER_AUTHORIZATION": "CLUSTER_AUTHORIZATION_FAILED",
}

_ERRORS = [*_read(_PROTOCOL, own=False), *_read(_LIBRDKAFKA, own=True)]
_BY_NUMBER = {error.number: error for error in _ERRORS}
_BY_NAME = {error.name: error for error in _ERRORS}

# As librdkafka prints them, with "Local: " or "Broker: " before.
_BY_TEXT = {
    text: _BY_NAME[name]
    for text, name in {
        "local: broker transport failure": "_TRANSPORT",
        "local: host resolution failure": "_RESOLVE",
        "local: message timed out": "_MSG_TIMED_OUT",
        "local: all broker connections are down": "_ALL_BROKERS_DOWN",
        "local: timed out": "_TIMED_OUT",
        "local: ssl error": "_SSL",
        "local: authentication failure": "_AUTHENTICATION",
        "local: queue full": "_QUEUE_FULL",
        "local: unknown topic": "_UNKNOWN_TOPIC",
        "local: unknown partition": "_UNKNOWN_PARTITION",
        "local: timed out in queue": "_TIMED_OUT_QUEUE",
        "broker: no matching listener": "LISTENER_NOT_FOUND",
        "broker: leader not available": "LEADER_NOT_AVAILABLE",
        "broker: not leader for partition": "NOT_LEADER_OR_FOLLOWER",
        "broker: unknown topic or partition": "UNKNOWN_TOPIC_OR_PARTITION",
        "broker: topic authorization failed": "TOPIC_AUTHORIZATION_FAILED",
        "broker: group authorization failed": "GROUP_AUTHORIZATION_FAILED",
        "broker: message size too large": "MESSAGE_TOO_LARGE",
        "broker: not enough in-sync replicas": "NOT_ENOUGH_REPLICAS",
        "broker: coordinator not available": "COORDINATOR_NOT_AVAILABLE",
        "broker: unsupported sasl mechanism": "UNSUPPORTED_SASL_MECHANISM",
        "broker: request not valid in current sasl state": "ILLEGAL_SASL_STATE",
        "broker: api version not supported": "UNSUPPORTED_VERSION",
    }.items()
}
