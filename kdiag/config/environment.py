"""Client properties in the environment."""

from __future__ import annotations

from collections.abc import Mapping

from kdiag.config.options import EVERY, variable
from kdiag.config.properties.names import KNOWN
from kdiag.config.usage import UsageError, near, word

PREFIX = "KDIAG_X_"  # of an environment variable that is a client property
TOKEN = "KDIAG_OAUTHBEARER_TOKEN"

_VARIABLES = (*(variable(name) for name, option in EVERY.items() if option.variable), TOKEN)
_PROPERTIES = {name.upper().replace(".", "_"): name for name in KNOWN}


def from_environment(environ: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The client properties in the environment: KDIAG_X_SASL_PASSWORD is sasl.password.

    A variable that resembles one of kdiag's is noted. Raises UsageError for an unknown property.
    """
    found: dict[str, str] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            known = _PROPERTIES.get(name[len(PREFIX) :].upper())
            if known is None:
                spelled = name[len(PREFIX) :].lower().replace("_", ".")
                raise UsageError(
                    f"{word(name)}: no Kafka client has a property {word(spelled)}"
                    f"{near(spelled, KNOWN)}"
                )
            if environ[name]:
                found[known] = environ[name]
        elif name.startswith("KDIAG_") and name not in _VARIABLES:
            like = near(name, _VARIABLES)
            if like:
                notes.append(f"{word(name)} is no variable of kdiag{like}")
    if environ.get(TOKEN):
        found["kdiag.oauthbearer.token"] = environ[TOKEN]
    return found
