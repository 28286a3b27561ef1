"""WHERE, as `--from` takes it: which engine goes there, and to what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kdiag.config.settings import Settings
from kdiag.config.usage import UsageError, like

LOCAL = "local"
FORMS = (
    "local, ssh://[user@]host[:port], docker://container, k8s://namespace/pod[/container], "
    "k8s://namespace/label=value, ssm://i-0123456789abcdef0 or ssm://tag:Role=app"
)

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

_SHAPES = {"ssh": (_SSH,), "docker": (_DOCKER,), "k8s": (_LABEL, _POD), "ssm": (_INSTANCE, _TAG)}


@dataclass(frozen=True)
class Vantage:
    """A place to look from. `scheme` is the engine, `text` what was written, `parts` what it names;
    those that were not written are missing."""

    text: str
    scheme: str
    parts: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> str:
        """One part, "" where it was not written."""
        return dict(self.parts).get(name, "")


def parse_vantage(text: str) -> Vantage:
    """WHERE, as it was written. Raises UsageError."""
    if text == LOCAL:
        return Vantage(text, LOCAL)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _SHAPES:
        raise _refused(text)
    for shape in _SHAPES[scheme]:
        found = shape.match(rest)
        if found:
            named = {name: part for name, part in found.groupdict().items() if part}
            if not 0 < int(named.get("port", "22")) < 65536:
                raise _refused(text)
            return Vantage(text, scheme, tuple(named.items()))
    raise _refused(text)


def parse_all(texts: Iterable[str]) -> tuple[Vantage, ...]:
    """Every WHERE once, in the order in which they were written."""
    return tuple(dict.fromkeys(parse_vantage(text) for text in texts))


def refuse_unsupported(asked: Settings, wheres: Sequence[Vantage]) -> None:
    """Raises UsageError for what cannot be asked elsewhere."""
    if asked.options.aws:
        raise UsageError(
            "--aws asks about the way from this machine: leave it out with --from, or ask AWS in a "
            "check of its own"
        )
    if asked.options.strimzi:
        raise UsageError(
            "--strimzi is not asked for together with --from: write the Kafka resource to a file, "
            "and name that with --config"
        )
    if asked.security.secrets and any(where.scheme == "ssm" for where in wheres):
        raise UsageError(
            "ssm:// keeps what it is told, in the history of Run Command, and no secret may stand "
            "there: leave out the login and the private key, to check the path up to there, or go "
            "by ssh:// over Session Manager"
        )
    sasl = asked.security.sasl
    if sasl and sasl.mechanism == "GSSAPI" and any(where.scheme != LOCAL for where in wheres):
        raise UsageError(
            "sasl.mechanism=GSSAPI: a Kerberos ticket does not travel; write security.protocol "
            "without a mechanism, to check the path up to the login"
        )


def _refused(text: str) -> UsageError:
    scheme, separator, _ = text.partition("://")
    # What stands behind it may be a user with a password, wherever that was put.
    shown = f"{like(scheme, _SHAPES)}://…" if separator else like(text, (*_SHAPES, LOCAL))
    return UsageError(f"--from {shown}: write {FORMS}")
