"""The advertised.listeners line of a broker's own file, with a new address in one entry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kdiag.config.record import NamedTuple
from kdiag.config.redaction import without_userinfo
from kdiag.config.snippet import OTHER_ENTRIES
from kdiag.lint.broker import ADVERTISED, ConfiguredBroker
from kdiag.lint.documents import Document
from kdiag.rules.rule import Remedy
from kdiag.text import clean

_LINE = re.compile(rf"(# broker (\d+)\n){re.escape(OTHER_ENTRIES)}EXTERNAL://(.+)")
_OF_PROPERTIES = re.compile(r"In server\.properties, (.*)\. EXTERNAL .*")


class MergedLine(NamedTuple):
    """The text before and after the address of the entry listener in the line of a `file`."""

    file: str
    before: str
    after: str


def merged_lines(
    configured: Iterable[tuple[Document, ConfiguredBroker]],
) -> Mapping[int, MergedLine]:
    """The lines of the observed brokers, by node id."""
    found: dict[int, MergedLine] = {}
    for document, broker in configured:
        value = broker.settings.get(ADVERTISED)
        entry = next((x for x in broker.advertised if broker.is_entry(x)), None)
        if not value or not value.exact or not entry or not broker.observed:
            continue
        name, _, _ = entry.text.partition("://")
        separator = "=" if document.kind == "properties" else ": "
        before = f"{value.key.text}{separator}{value.text[: entry.begin]}{name}://"
        found[broker.observed.node] = MergedLine(document.file, before, value.text[entry.end :])
    return found


def merged(remedy: Remedy, lines: Mapping[int, MergedLine]) -> Remedy:
    """The remedy with the whole lines of the brokers' files, if all of its brokers have one."""
    found = list(_LINE.finditer(remedy.snippet))
    known = [lines.get(int(each[2])) for each in found]
    if not found or None in known:
        return remedy
    parts = []
    for match, line in zip(found, known, strict=True):
        assert line
        whole = clean(
            without_userinfo(f"{line.before}{match[3]}{line.after}"), len(line.before) + 999
        )
        parts.append(f"{match[1].rstrip()}, in {clean(line.file)}\n{whole}")
    summary = _OF_PROPERTIES.sub(r"In your files, \1:", remedy.summary)
    kind = "properties" if "=" in known[0].before.partition("://")[0] else "yaml"  # type: ignore[union-attr]
    return replace(remedy, summary=summary, snippet="\n".join(parts), kind=kind)
