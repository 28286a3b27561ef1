"""Limits what the kdiag.toml of the current folder may decide: the folder may be somebody else's.

The file of a checkout names servers. The user's own secrets (in the environment, on the command
line, in the user's own files, with AWS or in a Kerberos cache) are not sent to servers that only
that file names. The file cannot make kdiag read files outside of its folder, and cannot run or
query anything in the user's name. `--trust-project` declares the file as trusted as the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from kdiag.config.endpoint import Endpoint, parse_bootstrap
from kdiag.config.options import EVERY
from kdiag.config.options import word as option_word
from kdiag.config.properties.layers import Layers
from kdiag.config.properties.names import of_registry
from kdiag.config.record import NamedTuple
from kdiag.config.targets import FILE, Target
from kdiag.config.usage import UsageError, word

TRUST = "--trust-project"
_MOST_ENTRIES = 1000  # of a folder of certificates

# What a login sends, or proves with; in the one spelling of Layers.
_SECRETS = frozenset(("sasl.password", "sasl.oauthbearer.client.secret", "kdiag.oauthbearer.token"))
_URL = "sasl.oauthbearer.token.endpoint.url"
REGISTRY = "schema.registry.url"
_REGISTRY_SECRET = re.compile(
    r"(schema\.registry\.)?basic\.auth\.user\.info|bearer\.auth\.token"
    r"|schema\.registry\.ssl\.keystore\..*"
)
_FILE_NAME = re.compile(r"(location|\.file|\.path|keytab)\Z", re.IGNORECASE)
# What a client loads or runs, beside reading it.
_RUN = re.compile(
    r"plugin\.library\.paths|sasl\.kerberos\.kinit\.cmd|ssl\.engine\..*|ssl\.providers?"
)
# Who gets to be taken for a server, and how what is sent to it is protected.
_PROTECTS = re.compile(
    r"(enable\.)?ssl\..*|https\..*|jaas\.ssl\..*|kdiag\.oauthbearer\.allow\.http"
    r"|proxy_url|socks5_proxy"
)


class TrustedServers(NamedTuple):
    """The servers and token endpoints that may receive the user's secrets: those on the command
    line and in the user's own files."""

    servers: frozenset[Endpoint]
    endpoints: frozenset[str]

    @classmethod
    def by(
        cls,
        bootstraps: Iterable[str],
        user_layers: Sequence[Mapping[str, str]],
        user_targets: Iterable[Target],
    ) -> TrustedServers:
        """Collects those of the command line with its properties, and of the user's own targets."""
        servers: set[Endpoint] = set()
        endpoints: set[str] = set()
        texts = [*bootstraps, *(layer.get("bootstrap.servers", "") for layer in user_layers)]
        for target in user_targets:
            texts.append(target.bootstrap or target.properties.get("bootstrap.servers", ""))
            endpoints.add(Layers([target.properties]).get(_URL, ""))
        for text in texts:
            with suppress(UsageError):  # what is wrong with it is said where it is used
                servers.update(parse_bootstrap(text))
        return cls(frozenset(servers), frozenset(endpoints))


def refuse_outside_files(target: Target, name: str) -> None:
    """Raises UsageError for a project's target that names a file outside of its folder."""
    given = [(FILE, FILE)]
    for field, value in target.options.items():
        if EVERY[field].kind in ("file", "files"):
            listed = [value] if isinstance(value, str) else value
            given += [(option_word(field), file) for file in listed]
    _stays_inside(target, name, given)


def refuse_decisions(
    target: Target,
    name: str,
    project_layers: Sequence[Mapping[str, str]],
    user_layers: Sequence[Mapping[str, str]],
    written: Collection[str],
    trusted: TrustedServers,
) -> None:
    """Raises UsageError for decisions that a project's target may not make.

    `project_layers` are the properties of the project, `user_layers` all others; `written` are the
    options that the user has given, `trusted` the servers.
    """
    for field, value in target.options.items():
        option = EVERY[field]
        if option.own and value and field not in written:
            key = option_word(field)
            raise _refused(target, name, f"its {key} {option.own}", f"give --{key} yourself")
    project = Layers(project_layers)
    files = []
    for key, value in project.items():
        shown = project.named(key)
        if _RUN.fullmatch(key):
            raise _refused(target, name, f"{shown} runs what it names", "give it with -X")
        if key == _URL and _scheme(value) == "file":
            raise _refused(
                target, name, f"{shown} makes kdiag read and send a file", "give it with -X"
            )
        if _FILE_NAME.search(key) and value != "probe":
            files.append((shown, value))
    _stays_inside(target, name, files)
    reason = _registry(project, Layers(user_layers), Layers([*project_layers, *user_layers]))
    if reason:
        raise _refused(target, name, reason, f"give {REGISTRY} and its login yourself")
    secret = _own_secret(Layers(user_layers), Layers([*project_layers, *user_layers]))
    whose = _decides(target, project, Layers(user_layers), trusted) if secret else ""
    if whose:
        raise _refused(
            target,
            name,
            f"{whose}, and {secret}, which goes only to servers that you named yourself",
            f"name the server instead of @{word(name)}, or write the target into your own file",
        )


def _refused(target: Target, name: str, why: str, instead: str) -> UsageError:
    return UsageError(
        f"@{word(name)} is from {target.file}, which may be somebody else's: {why}. "
        f"Either {instead}, or write {TRUST} if you trust that file as your own"
    )


def _stays_inside(target: Target, name: str, given: Iterable[tuple[str, str]]) -> None:
    folder = Path.cwd()
    for shown, value in given:
        if value and not all(_inside(folder, file) for file in _files(folder / value)):
            raise _refused(
                target, name, f"{shown} is a file outside that folder", "give it yourself"
            )


def _inside(folder: Path, file: Path) -> bool:
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, or no file's name
        return False


def _files(file: Path) -> Iterator[Path]:
    """A file, or a folder and what is in it."""
    yield file
    try:
        if file.is_dir():
            yield from islice(file.iterdir(), _MOST_ENTRIES)
    except (OSError, ValueError):
        return


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _own_secret(user: Layers, merged: Layers) -> str:
    """The secret of the user that a login would use, as text; "" for none."""
    if merged.get("security.protocol", "").upper() in ("PLAINTEXT", "SSL"):
        return ""  # nobody logs in
    for name in user:
        if name in _SECRETS or name.startswith("sasl.oauthbearer.assertion."):
            return f"{user.named(name)} is yours"
    mechanism = merged.get("sasl.mechanism", "")
    handler = merged.get("sasl.login.callback.handler.class", "")
    tokens = {"kdiag.oauthbearer.token", _URL, "sasl.oauthbearer.config"} & set(merged)
    unsecured = any(name.startswith("jaas.unsecured") for name in merged)
    by_aws = mechanism == "OAUTHBEARER" and not tokens and not unsecured
    if (
        mechanism == "AWS_MSK_IAM"
        or by_aws
        or handler.endswith("IAMOAuthBearerLoginCallbackHandler")
    ):
        return "its login signs with your AWS credentials"
    module = merged.get("jaas.module", "")
    if mechanism == "GSSAPI" or module == "Krb5LoginModule" or "sasl.kerberos.principal" in merged:
        return "its login uses your Kerberos tickets"
    return ""


def _registry(project: Layers, user: Layers, merged: Layers) -> str:
    """The secret of the user that would go to a Schema Registry which the project configures, as
    text; "" for none."""
    source = "basic.auth.credentials.source"
    own = [name for name in user if _REGISTRY_SECRET.fullmatch(name)]
    if merged.get(source) == "SASL_INHERIT" and "sasl.password" in user:
        own.append("sasl.password")
    decided = [name for name in project if of_registry(name) and name not in user]
    if not own or not decided or REGISTRY not in merged:
        return ""
    return f"{project.named(decided[0])} decides where {user.named(own[0])} goes, which is yours"


def _decides(target: Target, project: Layers, user: Layers, trusted: TrustedServers) -> str:
    """The setting of the project that decides where a secret goes, as text; "" if the user
    decides."""
    servers = target.bootstrap
    if not servers and "bootstrap.servers" not in user:
        servers = project.get("bootstrap.servers")
    if servers and not set(parse_bootstrap(servers)) <= trusted.servers:
        return "it names the servers"
    if target.options.get("mapped"):
        return "its map names other servers"
    url = project.get(_URL)
    if url and _URL not in user and url not in trusted.endpoints:
        return "it names the token endpoint"
    protocol = project.get("security.protocol", "SASL_SSL")
    if protocol.upper() != "SASL_SSL" and "security.protocol" not in user:
        return "it makes the login unencrypted"
    for name in project:
        if _PROTECTS.fullmatch(name) and name not in user:
            return f"by {project.named(name)} it decides which servers are trusted"
    return ""
