"""KD403 to KD409, records: what became of those that the real client wrote.

Which finding an error is, why it comes and what to do stands in one table,
`kdiag/kafka/error_catalog.py`, which `kdiag explain` prints as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kdiag.config.settings import Settings
from kdiag.kafka.refusals import known_refusal
from kdiag.network.attempt import ClientRun, Delivery, Failure
from kdiag.rules import acls, remedies
from kdiag.rules.rule import Match, Note, Remedy, Severity, rule
from kdiag.rules.text import broker_subjects, brokers, listed, once, sentence
from kdiag.walk.facts.bootstrap import Bootstrap
from kdiag.walk.facts.metadata import Metadata
from kdiag.walk.facts.produce import Produce

if TYPE_CHECKING:
    from kdiag.kafka.error_catalog import KafkaError

HOP = "produce"

_BY_TABLE = ("KD403", "KD404", "KD405", "KD406", "KD408")
_OWN, _BROKERS = "KD407", "KD409"  # the client's own words, and any other answer of a broker
_CONTENT = "INVALID_RECORD"
_IDEMPOTENT = "CLUSTER_AUTHORIZATION_FAILED"
_DESCRIBE_CLUSTER = 60  # a request that brokers have since 2.8
# What a broker says to the end of a transaction that does not exist, once the client was allowed.
_ALLOWED = (
    *("INVALID_PRODUCER_ID_MAPPING", "NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE"),
    *("COORDINATOR_LOAD_IN_PROGRESS", "INVALID_TXN_STATE", "INVALID_PRODUCER_EPOCH"),
)
_MISFIT = "_INVALID_ARG"  # the client does not start with its properties


def code_of(error: str) -> str:
    """The code of the finding that an error of a record is."""
    known = _known(error)
    codes = [code for code in known.codes if code in _BY_TABLE] if known else []
    return codes[0] if codes else _OWN if error.startswith("_") else _BROKERS


@rule("KD403", "produce-denied", Severity.ERROR, "This client may not write to the topic")
def produce_denied(
    bootstrap: Bootstrap, metadata: Metadata | None, produce: Produce, settings: Settings
) -> Iterator[Match | Note]:
    """The broker refuses the record: this client has no permission to write it.

    The whole path works. An access rule (ACL) is missing: Write on the topic; or, for an idempotent
    producer (`enable.idempotence=true`, the default of Java's since 3.0) that is answered
    CLUSTER_AUTHORIZATION_FAILED, IdempotentWrite on the cluster. Brokers since 2.8 refuse an
    idempotent producer only where it may write to no topic at all. Or Write on the
    `transactional.id`: that one is asked about without using it, since its use would fence the
    producer that has it.

    Prove it: `kafka-acls.sh --list --topic NAME`, or `--cluster`.

    How to fix: grant the right: `kafka-acls.sh --add --allow-principal User:NAME --operation Write
    --topic TOPIC`; for an old broker and an idempotent producer, `--operation IdempotentWrite
    --cluster`.
    """
    failed = _failed(produce, "KD403")
    yield from _transactional(bootstrap, metadata, settings)
    server, security = bootstrap.first_server, settings.security
    plain = [d for d in failed if d.error != _IDEMPOTENT]
    if produce.client and plain:
        grant = acls.allow_writing(server, produce.client.topic, security)
        yield _rejected(produce.client, plain, "may not be written to by this client", grant)
    idempotent = [d for d in failed if d.error == _IDEMPOTENT]
    if produce.client and idempotent:
        yield Match(
            HOP,
            f"This client may not be an idempotent producer: "
            f"{_partitions(produce.client, idempotent)}",
            _brokers(idempotent),
            _evidence(produce.client, idempotent),
            (
                acls.allow_writing(server, produce.client.topic, security)
                if _DESCRIBE_CLUSTER in bootstrap.apis
                else acls.allow_idempotence(server, security),
                remedies.say("Or let the client write without: enable.idempotence=false."),
            ),
        )


@rule("KD404", "not-enough-replicas", Severity.ERROR, "Too few replicas are in sync to write")
def not_enough_replicas(produce: Produce) -> Iterator[Match]:
    """The leader refuses to write: fewer replicas are in sync than `min.insync.replicas` asks for.

    With acks=all nothing is accepted until the followers are back. Connectivity from this client is
    fine.

    Prove it: `kafka-topics.sh --describe --under-min-isr-partitions`.

    How to fix: start the brokers that have the other replicas. Lowering `min.insync.replicas` lets
    producers write at once, and protects fewer copies.
    """
    fix = remedies.say("Bring the missing replicas back; see which brokers are down or behind.")
    yield from _rejections(produce, "KD404", "has too few replicas in sync to be written to", fix)


@rule("KD405", "not-leader", Severity.ERROR, "The broker is not the leader of the partition")
def not_leader(produce: Produce) -> Iterator[Match]:
    """The broker that the metadata calls leader says that it is not, as often as it was asked.

    The real client asks for the metadata again and tries again until its time is over; the evidence
    says how often. So either the election takes that long, or the address leads to another broker:
    a load balancer, swapped ports (KD307).

    Prove it: run it again; see whether identity was proven at hop 3.

    How to fix: wait for the election to end. Where it does not, give each broker its own address
    (KD307).
    """
    fix = remedies.say("Run it again. If it stays, see that each address leads to its own broker.")
    yield from _rejections(produce, "KD405", "was refused by a broker that is not its leader", fix)


@rule("KD406", "record-rejected", Severity.ERROR, "The broker rejects the record itself")
def record_rejected(bootstrap: Bootstrap, produce: Produce) -> Iterator[Match]:
    """The broker took the request and rejected the record: its size, form, time or compression.

    The path works. The topic's configuration asks for something that the record does not meet, for
    example a size limit or a policy; or the client's own asks for an `acks` or a compression that
    the broker does not have. The evidence has what the error means.

    INVALID_RECORD is about what is in the record: a broker that checks schemas refuses kdiag's,
    which has none, and takes those of a client that has. So it is a warning.

    Prove it: `kafka-configs.sh --describe --entity-type topics --entity-name NAME`.

    How to fix: send what the topic accepts (a key for a compacted topic, a smaller record, another
    compression), or change the setting of the topic that the evidence names.
    """
    topic = produce.client.topic if produce.client else ""
    compare = remedies.say(
        "Compare the topic's configuration with the error in the evidence:",
        "{tool} --describe --all --entity-type topics --entity-name {topic}",
        tool=remedies.tool("kafka-configs.sh", bootstrap.first_server, False),
        topic=topic,
    )
    for content, what in (
        (False, "does not accept the record"),
        (True, "does not accept what is in kdiag's record; of your client's, nothing is proven"),
    ):
        yield from _rejections(produce, "KD406", what, compare, content=content)


@rule("KD407", "client-disagrees", Severity.ERROR, "The probe succeeds, the real client fails")
def client_disagrees(produce: Produce, settings: Settings) -> Iterator[Match]:
    """The real client could not deliver its record, and no broker refused it.

    The client's own message is in the evidence. A setting of the client, its own idea of names and
    addresses, or an error that comes up only with real records makes the difference. What a broker
    answers is never this finding, but one of KD403 to KD409. Where the client repeats a message of
    a server that is known ("Too many connects"), they are the cause.

    A record that `--deadline` left too little time for is not proven (KD002), and never this.

    A property that the real client does not take is a warning: it ran without. A client of
    librdkafka would not start with it, one of Java may.

    Prove it: run the client with `debug=broker,protocol`.

    How to fix: change the property or the environment of the client that its message names; where
    the message says nothing, compare the client's settings with those of kdiag.
    """
    client = produce.client
    failed = _failed(produce, _OWN)
    if client and failed:
        misfit = failed[0].error == _MISFIT
        could_not = f"The real client could not write to {_partitions(client, failed)}"
        agree = {p.node for p in produce.produced if p.answered}
        if {d.node for d in failed} <= agree:
            could_not += ", though every broker answers the probe"
        refusal = known_refusal(" ".join([*(d.detail for d in failed), *client.words]))
        if refusal:
            could_not = f"The real client could not write to {_partitions(client, failed)}: "
            could_not += refusal.cause
        yield Match(
            HOP,
            "The real client does not start with these properties" if misfit else could_not,
            _brokers(failed),
            _evidence(client, failed)
            + _limits(failed, settings)
            + tuple(f"the client says: {words}" for words in client.words),
            (
                remedies.say("Give the client properties that go together.")
                if misfit
                else remedies.say(refusal.fix)
                if refusal
                else remedies.say(
                    "Read the client's message in the evidence; compare its properties and the "
                    "names it resolves with those of kdiag."
                ),
            ),
        )
    if client and client.refused:
        names = [text.partition("=")[0] for text in client.refused]
        yield Match(
            HOP,
            f"The real client does not take {listed(names)}, and ran without",
            tuple(f"property {name}" for name in names),
            client.refused,
            (
                remedies.say(
                    "Where the client is librdkafka's (Python, Go, .NET, …), correct the value: it "
                    "does not start with this one. Java's own client may take it."
                ),
            ),
            Severity.WARNING,
        )


@rule("KD408", "throttled", Severity.WARNING, "The broker throttles this client")
def throttled(metadata: Metadata | None, produce: Produce) -> Iterator[Match]:
    """The broker says that it delays this client, because a quota is used up.

    After an answer that says so the broker reads nothing from that connection for as long
    (KIP-219). kdiag waits for that time, up to 15 seconds; what is behind a longer one is not
    judged. Producers see growing latency and, in the end, time-outs.

    Prove it: `kafka-configs.sh --describe --entity-type clients`.

    How to fix: send less, or raise the quota: `kafka-configs.sh --alter --entity-type clients` (or
    `users`).
    """
    slow = [
        (p.node, max(p.small.throttle_ms, p.large.throttle_ms))
        for p in produce.produced
        if max(p.small.throttle_ms, p.large.throttle_ms) > 0
    ]
    answers = [a for a in metadata.answers if a.throttle_ms] if metadata else []
    lines = [f"{a.endpoint}: throttled by {a.throttle_ms} ms, after Metadata" for a in answers]
    lines += [f"broker {node}: throttled by {ms} ms" for node, ms in slow]
    lines += [
        f"broker {p.node}: {outcome.detail}"
        for p in produce.produced
        for outcome in (p.small, p.large)
        if outcome.failure is Failure.THROTTLED
    ]
    nodes = [node for node, _ in slow]
    refused = _failed(produce, "KD408")
    if produce.client:
        if produce.client.throttle_ms:
            lines.append(f"the real client was throttled by {produce.client.throttle_ms} ms")
        lines += _evidence(produce.client, refused)
        nodes += [delivery.node for delivery in refused]
    if lines:
        yield Match(
            HOP,
            "The cluster throttles this client",
            broker_subjects(nodes) or tuple(f"bootstrap {answer.endpoint}" for answer in answers),
            tuple(lines),
            (remedies.say("Raise the quota of this client id or user, or send less."),),
            Severity.ERROR if refused else None,
        )


@rule("KD409", "write-failed", Severity.ERROR, "The broker could not write the record")
def write_failed(produce: Produce) -> Iterator[Match]:
    """The broker took the record, and answered with an error of its own.

    The path, the login and the permission are fine; the broker or the cluster is not. The error
    tells what: KAFKA_STORAGE_ERROR is a disk of the broker, REQUEST_TIMED_OUT its followers, which
    are slow or lost; what it means is in the evidence.

    Prove it: the broker's log for this second; `kdiag explain ERROR`.

    How to fix: repair what the error names: a full or failed disk, followers that are slow or lost;
    `kdiag explain ERROR` says more.
    """
    failed = _failed(produce, _BROKERS)
    if produce.client is None:
        return
    for error in once(d.error for d in failed if d.error):
        same = [d for d in failed if d.error == error]
        known = _known(error)
        yield Match(
            HOP,
            f"{sentence(brokers([d.node for d in same]))} answered {error} for "
            f"{_partitions(produce.client, same)}",
            _brokers(same),
            _evidence(produce.client, same),
            (
                remedies.say(
                    (known.fix if known else "")
                    or "Run it again; where it stays, read the broker's log for this second."
                ),
            ),
        )


def _transactional(
    bootstrap: Bootstrap, metadata: Metadata | None, settings: Settings
) -> Iterator[Match | Note]:
    """Whether the client may use its transactional.id, where it has one. KD910 says so where
    `--as transactional` has every broker asked."""
    name = settings.client.get("transactional.id")
    if not name or settings.options.role == "transactional":
        return
    error = metadata.transaction if metadata else None
    if error == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED":
        yield Match(
            HOP,
            f"This client may not use its transactional.id {name}",
            (f"transactional.id {name}",),
            (f"EndTxn for {name}, by a producer id that nobody has: {error}",),
            (acls.allow_transactions(bootstrap.first_server, name, settings.security),),
        )
    elif error in _ALLOWED:
        yield Note(
            f"this client may use transactional.id {name}: the broker answers {error} to the end "
            "of a transaction that does not exist; a transaction was not tried"
        )
    else:
        why = f": the broker answers {error}" if error else ""
        yield Note(f"not proven: that this client may use transactional.id {name}{why}")


def _known(error: str) -> KafkaError | None:
    from kdiag.kafka.error_catalog import find  # 2.1 ms: what only a failure needs

    return find(error)


def _rejections(
    produce: Produce, code: str, what: str, fix: Remedy, *, content: bool | None = None
) -> Iterator[Match]:
    """A match where records failed with the errors of a finding. Where `content` is given, only
    records that were refused for what is in them, or only the others; then what the table has to do
    about each error comes before `fix`."""
    failed = _failed(produce, code)
    if content is not None:
        failed = [d for d in failed if (d.error == _CONTENT) is content]
    if produce.client and failed:
        known = [_known(error) for error in once(d.error for d in failed if d.error)]
        first = [remedies.say(e.fix) for e in known if content is not None and e and e.fix]
        match = _rejected(produce.client, failed, what, *first, fix)
        yield replace(match, severity=Severity.WARNING) if content else match


def _rejected(client: ClientRun, failed: Sequence[Delivery], what: str, *fixes: Remedy) -> Match:
    return Match(
        HOP,
        f"Topic {client.topic} {what}: {_partitions(client, failed)}",
        _brokers(failed),
        _evidence(client, failed),
        fixes,
    )


def _failed(produce: Produce, code: str) -> list[Delivery]:
    """The records whose error is that finding; of one that the deadline cut off none is known."""
    if produce.client is None:
        return []
    known = [d for d in produce.client.deliveries if d not in produce.client.cut_off]
    return [delivery for delivery in known if delivery.error and code_of(delivery.error) == code]


def _evidence(client: ClientRun, failed: Sequence[Delivery]) -> tuple[str, ...]:
    """What became of each record, and what each error means."""
    lines = [f"broker {d.node}, {client.topic}-{d.partition}: {d.error} {d.detail}" for d in failed]
    for error in once(d.error for d in failed if d.error):
        known = _known(error)
        if known:
            lines.append(f"{known.name}: {known.means}")
    return tuple(lines)


def _limits(failed: Sequence[Delivery], settings: Settings) -> tuple[str, ...]:
    """The user's own limit, where time ran out and it is one."""
    limit = settings.client.get("message.timeout.ms")
    if limit is None or not any(d.error == "_MSG_TIMED_OUT" for d in failed):
        return ()
    return (f"the client is configured to give up after {limit} ms",)


def _partitions(client: ClientRun, failed: Sequence[Delivery]) -> str:
    return listed([f"{client.topic}-{delivery.partition}" for delivery in failed])


def _brokers(failed: Sequence[Delivery]) -> tuple[str, ...]:
    return broker_subjects(delivery.node for delivery in failed)
