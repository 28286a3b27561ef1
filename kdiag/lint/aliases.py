"""Former names of fields of Strimzi's resources, and common wrong names."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from kdiag.lint.tree import Entry, Scalar, entries

_CONFIGURATION = ("bootstrap", "brokers", "preferredNodePortAddressType", "externalTrafficPolicy")
_LISTENER = ("listeners", "[]")
_BROKER = ("configuration", "brokers", "[]")
_BOOTSTRAP = ("configuration", "bootstrap")
_LIST = "list"  # a value that becomes the only item of a list

# (what holds it, its last parts; the name) -> (the name that it has; what its value has to be: the
# fields that one has to have, one of them at least, or _LIST). Strimzi before 0.20 said `overrides`
# and `address`.
_NAMES: Mapping[tuple[tuple[str, ...], str], tuple[str, Sequence[str]]] = {
    **{(_LISTENER, x): ("configuration", _CONFIGURATION) for x in ("overrides", "config", "conf")},
    **{(_BROKER, x): ("broker", ()) for x in ("id", "brokerId", "broker_id", "nodeId", "node")},
    **{
        (_BROKER, x): ("advertisedHost", ())
        for x in ("advertisedHostname", "advertisedHostName", "advertisedAddress", "advertisedIp")
    },
    (_BOOTSTRAP, "address"): ("alternativeNames", _LIST),
    (_BOOTSTRAP, "dnsAnnotations"): ("annotations", ()),
    (_BROKER, "dnsAnnotations"): ("annotations", ()),
}  # fmt: skip


def old_name(path: Sequence[str], entry: Entry) -> tuple[str, str] | None:
    """The current name of a field, and its value as it must be written, "" for an unchanged value.
    None if the field has no other name, or if the value does not fit."""
    for holder in (_LISTENER, _BROKER, _BOOTSTRAP):
        found = _NAMES.get((holder, entry.key.text))
        if found is None or tuple(path[-len(holder) :]) != holder:
            continue
        name, needs = found
        if needs == _LIST:
            fits = isinstance(entry.value, Scalar) and entry.value.text
            return (name, json.dumps([entry.value.text])) if fits else None  # type: ignore[union-attr]
        if needs and not {x.key.text for x in entries(entry.value)} & set(needs):
            return None
        return name, ""
    return None


def known_as(name: str, fields: Collection[str], below: str) -> str:
    """The field, of `fields`, that a wrong name stands for; "" for none. `below` is the first field
    of the value."""
    for (_, alias), (field, needs) in _NAMES.items():
        if alias == name and field in fields and (not needs or needs == _LIST or below in needs):
            return field
    return ""
