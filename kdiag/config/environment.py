"""Client properties in the environment."""

from __future__ import annotations

from collections.abc import Mapping

from kdiag.config.properties.names import KNOWN
from kdiag.config.usage import UsageError, near, word

PREFIX = "KDIAG_X_"  # of an environment variable that is a client property
TOKEN = "KDIAG_OAUTHBEARER_TOKEN"
VARIABLES = (
    *("BOOTSTRAP", "COMMAND_CONFIG", "TOPIC", "TIMEOUT", "DEADLINE", "MAP", "FAIL_ON", "WAIT"),
    *("EXPECT", "IGNORE", "FROM", "TRUST_PROJECT"),
    *("AWS", "AWS_SOURCE", "AWS_REGION", "AWS_PROFILE", "AWS_ECHO"),
)

_VARIABLES = (*(f"KDIAG_{name}" for name in VARIABLES), "KDIAG_OUTPUT", TOKEN)
_PROPERTIES = {name.upper().replace(".", "_"): name for name in KNOWN}


def from_environment(environ: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The client properties in the environment: KDIAG_X_SASL_PASSWORD is sasl.password.

    A variable that resembles one of kdiag's is noted. Raises UsageError for an unknown property.
    """
    found: dict[str, str] = {}
    for variable in sorted(environ):
        if variable.startswith(PREFIX):
            name = _PROPERTIES.get(variable[len(PREFIX) :].upper())
            if name is None:
                spelled = variable[len(PREFIX) :].lower().replace("_", ".")
                raise UsageError(
                    f"{word(variable)}: no Kafka client has a property {word(spelled)}"
                    f"{near(spelled, KNOWN)}"
                )
            if environ[variable]:
                found[name] = environ[variable]
        elif variable.startswith("KDIAG_") and variable not in _VARIABLES:
            like = near(variable, _VARIABLES)
            if like:
                notes.append(f"{word(variable)} is no variable of kdiag{like}")
    if environ.get(TOKEN):
        found["kdiag.oauthbearer.token"] = environ[TOKEN]
    return found
