"""KD644, Helm values: what the chart does not read."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.lint import remedies
from kdiag.lint.documents import Document
from kdiag.lint.edit import Edits, replace
from kdiag.lint.helm import unread_values
from kdiag.lint.mistake import mistake
from kdiag.lint.tree import entry
from kdiag.rules.rule import Match, Severity, rule


@rule("KD644", "unread-value", Severity.ERROR, "The chart does not read a value")
def unread_value(document: Document) -> Iterator[Match]:
    """A value is not one of the Bitnami chart for Kafka: it is misspelt, or the chart had it in an
    older version, under another name or in another place. Helm ignores it silently.

    A misspelt value is an error. One that the chart had once, or that kdiag does not know, is a
    warning: it depends on the version of the chart, which values do not tell.

    Prove it: `helm template RELEASE CHART -f FILE`, and look for what was meant.

    How to fix: write the value under the name that your version of the chart has: `helm show values
    CHART`.
    """
    if document.kind != "helm":
        return
    for unread in unread_values(document.root):
        edits: Edits = ()
        level = Severity.WARNING
        if unread.moved:
            message = (
                f"`{unread.path}` is `{unread.moved}` since version {unread.since} of the chart"
            )
            fix = remedies.say("With a newer chart, write it there; `helm list` tells the version.")
        elif unread.near:
            message = f"the chart has no `{unread.path}`: did you mean `{unread.near}`?"
            fix = remedies.say(f"Write {unread.near}.", "{near}:", "yaml", near=unread.near)
            edits = (
                ()
                if entry(unread.parent, unread.near)
                else (replace(unread.entry.key, unread.near),)
            )
            level = Severity.ERROR
        else:
            message = f"the chart has no `{unread.path}`, as far as kdiag knows (version 32)"
            fix = remedies.say("Look it up in the values.yaml of your chart's version.")
        spot = unread.entry.key.start
        yield mistake(message, f"`{unread.path}`", spot, fix, level, edits)
