"""Vantage points as `--from` takes them: how each scheme is written, and what the parts mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kdiag.config.record import NamedTuple
from kdiag.config.settings import Settings
from kdiag.config.usage import UsageError, like

LOCAL = "local"

# None of these can begin with a dash: each becomes an argument of a command line, where it must
# never be taken for an option, and none has a character that a shell or another scheme knows.
_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"
_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"  # of Kubernetes
_SSH = re.compile(
    rf"((?P<user>[A-Za-z0-9_][A-Za-z0-9_.@+-]{{0,63}})@)?"
    rf"(?P<host>{_WORD}|\[[0-9A-Fa-f:.]{{2,45}}(%{_WORD})?\])(:(?P<port>[0-9]{{1,5}}))?\Z"
)
_DOCKER = re.compile(rf"(?P<container>{_WORD})\Z")
_POD = re.compile(rf"(?P<namespace>{_NAME})/(?P<pod>{_NAME})(/(?P<container>{_NAME}))?\Z")
_LABEL = re.compile(
    rf"(?P<namespace>{_NAME})/(?P<selector>(?:{_NAME}/)?{_WORD}={_WORD}"
    rf"(?:,(?:{_NAME}/)?{_WORD}={_WORD}){{0,9}})\Z"
)
_INSTANCE = re.compile(r"(?P<instance>m?i-[0-9a-f]{8,17})\Z")
_TAG = re.compile(r"tag:(?P<tag>[\w.:/+@-]{1,128})=(?P<value>[\w .:/+@-]{1,256})\Z")


class Scheme(NamedTuple):
    """How a vantage point is written after `scheme://`: the forms for messages, and the patterns,
    whose groups are the parts. `kdiag/remote/<scheme>.py` has the engine that reaches it.
    `keeps_input` is true where others can read later what is sent there."""

    forms: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    keeps_input: bool = False


SCHEMES: Mapping[str, Scheme] = {
    "ssh": Scheme(("[user@]host[:port]",), (_SSH,)),
    "docker": Scheme(("container",), (_DOCKER,)),
    "k8s": Scheme(("namespace/pod[/container]", "namespace/label=value"), (_LABEL, _POD)),
    "ssm": Scheme(("i-0123456789abcdef0", "tag:Role=app"), (_INSTANCE, _TAG), keeps_input=True),
}


@dataclass(frozen=True)
class Vantage:
    """A place from which a walk runs. `text` is what the user wrote, `parts` its named parts,
    without those that were left out."""

    text: str
    scheme: str
    parts: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> str:
        """One part, "" where it was not written."""
        return dict(self.parts).get(name, "")


def parse_vantage(text: str) -> Vantage:
    """One vantage point. Raises UsageError."""
    if text == LOCAL:
        return Vantage(text, LOCAL)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES:
        raise _refused(text)
    for pattern in SCHEMES[scheme].patterns:
        found = pattern.match(rest)
        if found:
            named = {name: part for name, part in found.groupdict().items() if part}
            if not 0 < int(named.get("port", "22")) < 65536:
                raise _refused(text)
            return Vantage(text, scheme, tuple(named.items()))
    raise _refused(text)


def parse_all(texts: Iterable[str]) -> tuple[Vantage, ...]:
    """Each vantage point once, in the order in which they were written. Raises UsageError."""
    return tuple(dict.fromkeys(parse_vantage(text) for text in texts))


def refuse_unsupported(settings: Settings, vantages: Sequence[Vantage]) -> None:
    """Raises UsageError for settings of a check that no other machine can run."""
    options, security = settings.options, settings.security
    remote = [vantage for vantage in vantages if vantage.scheme != LOCAL]
    kept = any(SCHEMES[vantage.scheme].keeps_input for vantage in remote)
    kerberos = security.sasl is not None and security.sasl.mechanism == "GSSAPI"
    for unsupported, message in (
        (options.aws, _NO_AWS),
        (options.strimzi, _NO_STRIMZI),
        (remote and options.hold, _NO_HOLD),
        (remote and options.http, _NO_HTTP),
        (kept and security.secrets, _NO_SECRETS),
        (kept and options.role, _NO_ROLE),
        (kept and options.proxy, _NO_PROXY),
        (kept and settings.canonical, _NO_CANONICAL),
        (remote and kerberos, _NO_KERBEROS),
    ):
        if unsupported:
            raise UsageError(message)


_NO_AWS = (
    "--aws asks about the path from this machine: leave it out with --from, or ask AWS in a "
    "check of its own"
)
_NO_STRIMZI = (
    "--strimzi is not asked for together with --from: write the Kafka resource to a file, "
    "and name that with --config"
)
_NO_HOLD = (
    "--hold keeps connections from this machine: leave it out with --from, or run kdiag there"
)
_NO_HTTP = (
    "--http is asked from this machine alone: leave it out with --from, or ask for it in a "
    "check of its own"
)
_NO_SECRETS = (
    "Run Command keeps its input in a history, so no secret may be sent by ssm://: leave "
    "out the login and the private key, to check the path up to there, or go "
    "by ssh:// over Session Manager"
)
_NO_ROLE = (
    "ssm:// has no room for what --group and --as ask: leave them out (for a group.id in a "
    "file: -X group.id=), or go by ssh:// over Session Manager"
)
_NO_PROXY = (
    "ssm:// has no room for what --proxy takes: leave it out, or go by ssh:// over Session Manager"
)
_NO_CANONICAL = (
    "ssm:// has no room for client.dns.lookup=resolve_canonical_bootstrap_servers_only: "
    "leave it out (-X client.dns.lookup=), or go by ssh:// over Session Manager"
)
_NO_KERBEROS = (
    "sasl.mechanism=GSSAPI: kdiag does not send a Kerberos ticket there; write security.protocol "
    "without a mechanism, to check the path up to the login"
)


def _refused(text: str) -> UsageError:
    scheme, separator, _ = text.partition("://")
    # The rest may hold a password.
    shown = f"{like(scheme, SCHEMES)}://…" if separator else like(text, (*SCHEMES, LOCAL))
    forms = [f"{name}://{form}" for name, each in SCHEMES.items() for form in each.forms]
    return UsageError(f"--from {shown}: write {', '.join([LOCAL, *forms[:-1]])} or {forms[-1]}")
