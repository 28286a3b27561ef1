"""KD629, Kubernetes: what could not be read through kubectl."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.lint import remedies
from kdiag.lint.sources import ConfigSource
from kdiag.rules.rule import Match, Severity, rule
from kdiag.rules.text import listed, once

_WORDS = {
    "missing": "there is no kubectl",
    "hanging": "it did not answer in time",
    "large": "it shows more than is read",
    "odd": "it shows something else",
    "forbidden": "its user may not read everything",
    "credentials": "it is not logged in",
    "context": "its configuration is not reachable from here",
    "strimzi": "that cluster has no Strimzi",
    "absent": "there is no such resource",
    "unreachable": "the API server is not reached",
}


@rule("KD629", "kubernetes-unavailable", Severity.WARNING, "Kubernetes did not show everything")
def kubernetes_unavailable(config: ConfigSource) -> Iterator[Match]:
    """`--strimzi` was asked for, and kubectl could not read the Kafka resource, its node pools, the
    Services or the Nodes.

    kdiag has no access of its own: kubectl's context, credentials and rights are what counts. The
    verdict of the walk does not rest on it, and stands. Nodes need the right to read them in the
    whole cluster; without, their addresses are not known, and all else is judged.

    Prove it: the command that is named.

    How to fix: choose the right context (`kubectl config use-context`), log in again, or grant the
    right to read the resources that the evidence names.
    """
    if config.unavailable:
        why = listed(once(_WORDS.get(each.reason, "it failed") for each in config.unavailable))
        yield Match(
            "config",
            f"kubectl did not show everything of {config.resource}: {why}",
            (f"Kafka {config.resource}",),
            tuple(f"{each.command}: {each.message}" for each in config.unavailable),
            tuple(dict.fromkeys(remedies.ask_kubectl(e.reason) for e in config.unavailable)),
        )
