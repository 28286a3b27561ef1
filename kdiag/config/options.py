"""The one table of options. The command line, the KDIAG_* variables, the keys of kdiag.toml, the
arguments of `kdiag.check`, what a remote walk is given, and the table in docs/configuration.md are
made from it or held to it by tests/config/test_options.py.

A new option is a field of `Options` and, for Python, a line of `CheckOptions`; code that uses the
option reads `settings.options.NAME`.
"""

# Annotations are evaluated here, unlike elsewhere: they hold the table.
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union

from kdiag.config.access import parse_echo, parse_network
from kdiag.config.endpoint import Mapped, parse_mapped
from kdiag.config.proxy import Proxy, parse_proxy
from kdiag.config.usage import SHORT, UsageError, like, quoted

if TYPE_CHECKING:
    from kdiag.config.expectation import Expectation

TOPIC_NAME = r"(?!\.\.?\Z)[A-Za-z0-9._-]{1,249}\Z"
ROLES = ("producer", "idempotent", "transactional", "consumer", "share")
LEAST, MOST = 0.05, 3600.0  # seconds, of any limit
MOST_WAIT = 86400.0  # seconds
TIMEOUT, ANSWER_TIMEOUT, DEADLINE = 3.0, 10.0, 30.0  # seconds

# Names the place of a value in an error: flag() as the command line writes it, argument() as
# Python does.
Spelling = Callable[[str, str], str]


class Option(NamedTuple):
    """One option: how it is written, and in which places.

    `kind` is "text", "texts" (may be repeated), "seconds", "flag", "choice", "file" or "files".
    `word` is the long option without its dashes, where it is not the field's name; `also` are
    other spellings that Kafka's tools have. A text must
    match `pattern`, and `write` is the sentence that says so; `read` makes the value of a text and
    of the place that an error names. `shown` is the default that the help page names. `completes`
    is a function of cli/completion.py. `here` means that a remote walk is not given the option.
    `own` says what the option does in the user's name; the kdiag.toml of a foreign project cannot
    set such an option.
    """

    help: str
    metavar: Optional[str] = None
    kind: str = "text"
    word: str = ""
    short: str = ""
    also: "tuple[str, ...]" = ()
    choices: "tuple[str, ...]" = ()
    least: float = LEAST
    most: float = MOST
    pattern: str = ""
    write: str = ""
    read: Optional[Callable[[str, str], Any]] = None
    shown: str = ""
    completes: str = ""
    here: bool = False
    own: str = ""
    toml: bool = True
    python: bool = True
    variable: bool = True


class Options(NamedTuple):
    """The options of one check, as their values are used. Times are in seconds."""

    topic: Annotated[
        Optional[str],
        Option(
            "Check this topic, and write one small record to every leader.",
            "NAME",
            also=("-t",),
            pattern=TOPIC_NAME,
            write="a topic name has 1 to 249 letters, digits, dots, dashes and underscores",
        ),
    ] = None
    timeout: Annotated[
        float,
        Option("Time limit to reach a peer: DNS, TCP, TLS.", "SECONDS", "seconds", shown="3s"),
    ] = TIMEOUT
    answer_timeout: Annotated[
        float,
        Option(
            "Time limit for an answer of a peer that accepted the connection.",
            "SECONDS",
            "seconds",
            shown="10s",
        ),
    ] = ANSWER_TIMEOUT
    deadline: Annotated[
        float, Option("Time limit of the whole walk.", "SECONDS", "seconds", shown="30s")
    ] = DEADLINE
    mapped: Annotated[
        "tuple[Mapped, ...]",
        Option(
            "Also dial CANDIDATE, as if a broker advertised it, and report which broker answers.",
            "ADVERTISED=CANDIDATE",
            "texts",
            word="map",
            read=parse_mapped,
        ),
    ] = ()
    proxy: Annotated[
        Optional[Proxy],
        Option(
            "Make every connection through this proxy, which resolves the names: socks5h://, "
            "http:// (CONNECT), or env for the one in ALL_PROXY or HTTPS_PROXY.",
            "URL",
            read=parse_proxy,
            own="sends every connection through a server that it names",
        ),
    ] = None
    group: Annotated[
        Optional[str],
        Option(
            "Also check what consumers of this group need; as group.id in the properties.",
            "NAME",
            pattern=r"[^\x00-\x1f\x7f]{1,255}\Z",
            write="a group's name has 1 to 255 characters",
        ),
    ] = None
    role: Annotated[
        str,
        Option(
            "Also check what this kind of client needs, each right by itself.",
            kind="choice",
            word="as",
            choices=ROLES,
            shown="consumer, where there is a group",
        ),
    ] = ""
    http: Annotated[
        "tuple[str, ...]",
        Option(
            "Also ask this Schema Registry, Connect or REST proxy, by GET; may be repeated.",
            "URL",
            "texts",
            here=True,
        ),
    ] = ()
    fail_on: Annotated[
        str,
        Option(
            "The lowest severity that fails a hop.",
            kind="choice",
            choices=("error", "warning"),
            shown="error",
            here=True,
        ),
    ] = "error"
    expect: Annotated[
        "tuple[Expectation, ...]",
        Option(
            "Also require this, as brokers=3 or 'certificate-days>=30'; may be repeated.",
            "NAME=VALUE",
            "texts",
            completes="expectations",
            here=True,
        ),
    ] = ()
    ignore: Annotated[
        "tuple[str, ...]",
        Option(
            "Report this finding, but do not count it; may be repeated.",
            "CODE",
            "texts",
            completes="codes",
            here=True,
        ),
    ] = ()
    aws: Annotated[
        bool,
        Option(
            "Ask EC2 which security group, network ACL or route blocks the path (Describe calls).",
            kind="flag",
            here=True,
            own="asks AWS with your credentials",
        ),
    ] = False
    aws_region: Annotated[
        str,
        Option(
            "The AWS region, instead of the one that kdiag finds.",
            "REGION",
            pattern=r"[a-z]{2}(-[a-z]+)+-[0-9]\Z",
            write="write one region, such as eu-west-2",
            here=True,
        ),
    ] = ""
    aws_profile: Annotated[
        str,
        Option(
            "The profile of ~/.aws/config.",
            "NAME",
            pattern=r"[^\x00-\x1f\x7f\[\]]{1,256}\Z",
            write="write the name of a profile",
            here=True,
            own="chooses among your AWS credentials",
        ),
    ] = ""
    aws_source: Annotated[
        str,
        Option(
            "The address that the brokers see this client come from.",
            "IP|CIDR",
            read=parse_network,
            here=True,
        ),
    ] = ""
    aws_echo: Annotated[
        str,
        Option(
            "The service that returns this client's public address; off in CI.",
            "URL|off",
            read=parse_echo,
            shown="checkip.amazonaws.com",
            here=True,
            own="names whom your machine asks for its address",
        ),
    ] = ""
    config: Annotated[
        "Mapping[str, str]",
        Option(
            "A file that configures the cluster, as kdiag lint takes it; may be repeated.",
            "FILE",
            "files",
            completes="paths",
            here=True,
        ),
    ] = {}  # noqa: RUF012 - nothing writes to it
    strimzi: Annotated[
        str,
        Option(
            "Read the cluster's Strimzi resources, through your own kubectl.",
            "NAMESPACE/NAME",
            pattern=r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9.-]{0,252}\Z",
            write="write NAMESPACE/NAME of the Kafka resource, for example kafka/my-cluster",
            here=True,
            own="runs your kubectl",
        ),
    ] = ""
    hold: Annotated[
        float,
        Option(
            "After a walk that passes, keep connections silent for up to this time, and say when "
            "they die.",
            "DURATION",
            "seconds",
            least=1.0,
            most=MOST_WAIT,
            here=True,
        ),
    ] = 0.0
    verbose: Annotated[
        bool,
        Option(
            "Show the whole report on a terminal: every fix, all evidence, and the replies of "
            "servers that are not brokers and that you did not name.",
            kind="flag",
            short="-v",
            toml=False,
        ),
    ] = False

    @property
    def patience(self) -> float:
        """The seconds for a lookup, and for a TLS handshake: where the user sets no time-out, as
        long as clients wait."""
        return self.answer_timeout if self.timeout == TIMEOUT else self.timeout


class CheckOptions(TypedDict, total=False):
    """What `kdiag.check` takes beside the bootstrap servers.

    `timeout` bounds reaching a peer (3 s), `answer_timeout` an answer of a peer that accepted (10
    s) and `deadline` the whole walk (30 s), in seconds. `properties` are client properties;
    `group` and `role` add what a group's consumers, or such a client, need ("consumer", "share",
    "producer", "idempotent", "transactional");
    `mapped` holds "ADVERTISED=CANDIDATE"; `proxy` is the URL of a SOCKS5 or HTTP proxy, through
    which every connection goes, and `http` URLs of a Schema Registry, Connect or REST proxy.
    Nothing is written unless `topic` is given. With `aws` EC2 is asked beside the walk; `aws_echo`
    is the URL of a service that tells a client its address; without it no service is asked.
    `expect` holds requirements such as "brokers=3"; findings of the codes or names in `ignore` are
    reported and do not count. `config` maps names of files that configure the cluster to their
    texts; `strimzi` is NAMESPACE/NAME of its Kafka resource, which kubectl reads. `hold` keeps
    connections silent for up to so many seconds, after a walk that passes. `verbose` repeats also
    what hosts say that were not named.
    """

    properties: Optional[Mapping[str, str]]
    topic: Optional[str]
    timeout: Optional[float]
    answer_timeout: Optional[float]
    deadline: Optional[float]
    mapped: Sequence[str]
    proxy: Optional[str]
    group: Optional[str]
    role: Literal["producer", "idempotent", "transactional", "consumer", "share"]
    http: Sequence[str]
    fail_on: Literal["error", "warning"]
    expect: Sequence[str]
    ignore: Sequence[str]
    aws: bool
    aws_region: Optional[str]
    aws_profile: Optional[str]
    aws_source: Optional[str]
    aws_echo: Optional[str]
    config: Optional[Mapping[str, str]]
    strimzi: Optional[str]
    hold: Optional[float]
    verbose: bool


# Of every check, by field.
OPTIONS: Mapping[str, Option] = {
    name: kind.__metadata__[0] for name, kind in Options.__annotations__.items()
}

# What decides where a check reads and writes, and is no part of its settings.
AROUND: Mapping[str, Option] = {
    "bootstrap": Option(
        "BOOTSTRAP, or @NAME; several are separated by blanks.", completes="targets"
    ),
    "properties": Option(
        "Set a client property; may be repeated.",
        "KEY=VALUE",
        "texts",
        word="property",
        short="-X",
        variable=False,
    ),
    "command_config": Option(
        "A file of client properties, as Java's or librdkafka's clients take them.",
        "FILE",
        "file",
        short="-F",
        also=("-c",),
        completes="paths",
        python=False,
    ),
    "trust_project": Option(
        "Trust kdiag.toml in this folder like your own file: your secrets go to the servers that "
        "it names.",
        kind="flag",
        toml=False,
        python=False,
    ),
    "wait": Option(
        "Repeat the walk until it passes, for at most this time.",
        "SECONDS",
        "seconds",
        least=0.0,
        most=MOST_WAIT,
        toml=False,
        python=False,
    ),
    "places": Option(
        "Walk from this place instead: ssh://HOST, k8s://NAMESPACE/POD, docker://CONTAINER, "
        "ssm://INSTANCE or local; may be repeated.",
        "WHERE",
        "texts",
        word="from",
        toml=False,
        python=False,
    ),
    "bundle": Option(
        "Write a ZIP file for a support ticket: report, page, settings without secrets, versions, "
        "DNS settings and routes.",
        "FILE.zip",
        "file",
        completes="paths",
        toml=False,
        python=False,
    ),
    "quiet": Option(
        "Show only the last line of the report on a terminal.",
        kind="flag",
        short="-q",
        toml=False,
        python=False,
    ),
    "outputs": Option(
        "In this format, to standard output or to a file; may be repeated.",
        "FORMAT[=FILE]",
        "texts",
        word="output",
        short="-o",
        also=("--format",),
        toml=False,
        python=False,
    ),
}
# All of them, in the order of the help page.
EVERY: Mapping[str, Option] = {
    **{name: AROUND[name] for name in ("bootstrap", "properties", "command_config")},
    **OPTIONS,
    **AROUND,
}


def word(name: str) -> str:
    """The long option of a field without its dashes; in kdiag.toml the key."""
    return EVERY[name].word or name.replace("_", "-")


def aws_echo() -> str:
    """The service that `--aws` asks for the address of this machine where the user does not say."""
    return "off" if os.environ.get("CI") else "https://checkip.amazonaws.com"


def variable(name: str) -> str:
    """The environment variable of a field."""
    return f"KDIAG_{word(name).replace('-', '_').upper()}"


def flag(name: str, value: str = "") -> str:
    """A field as the command line writes it."""
    written = "-X" if name == "properties" else f"--{word(name)}"
    return f"{written} {value}" if value else written


def argument(name: str, value: str = "") -> str:
    """A field as Python writes it."""
    return f"{name}={value}" if value else name


_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"(?i)\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h|)\s*\Z"


def seconds(name: str, value: Union[float, str], spelled: Spelling = flag) -> float:
    """A time in seconds: a number, or a text such as 3s, 500ms and 2m. Raises UsageError."""
    option = EVERY[name]
    written = re.match(_DURATION, value) if isinstance(value, str) else None
    found = float("nan")
    if written:
        found = float(written.group(1)) * _UNITS[written.group(2).lower()]
    elif not isinstance(value, (str, bool)):
        found = value
    if option.least <= found <= option.most:
        return found
    shown = f"{value:g}" if isinstance(value, (int, float)) else like(value, ())
    raise UsageError(
        f"{spelled(name, shown)}: write seconds between {option.least:g} and {option.most:g}, or "
        "a time such as 500ms, 3s or 2m"
    )


def choice(name: str, value: str, spelled: Spelling = flag) -> str:
    """One of the words of an option, in small letters. Raises UsageError."""
    choices = EVERY[name].choices
    if value.lower() in choices:
        return value.lower()
    shown = quoted(value) if len(value) <= SHORT else like(value, choices)
    listed = " or ".join(f'"{one}"' for one in choices)
    raise UsageError(f"{spelled(name, shown)}: write {listed}")


def checked(name: str, value: Any, spelled: Spelling = flag) -> Any:
    """The value of an option as the table demands it. Raises UsageError."""
    option = OPTIONS[name]
    if option.kind == "seconds":
        return seconds(name, value, spelled)
    if option.kind == "choice":
        return choice(name, value, spelled)
    read = option.read
    if option.kind == "texts":
        return tuple(read(one, spelled(name, "")) for one in value) if read else tuple(value)
    if read:
        return read(value, spelled(name, ""))
    given = value or Options._field_defaults[name] is None
    if option.pattern and given and not re.match(option.pattern, value):
        raise UsageError(f"{spelled(name, quoted(value))}: {option.write}")
    return value
