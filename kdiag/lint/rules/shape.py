"""KD601 to KD608, the syntax of configuration files and their schema."""

from __future__ import annotations

from collections.abc import Iterator

from kdiag.lint import remedies
from kdiag.lint.aliases import old_name
from kdiag.lint.broker import is_filled_in
from kdiag.lint.deviation import UNDASHED, Deviation, Flaw, meant
from kdiag.lint.documents import STRIMZI, Document
from kdiag.lint.edit import Edit, Edits, into_item, replace
from kdiag.lint.keyed import KEYED, items_of
from kdiag.lint.mistake import Mistake, mistake
from kdiag.lint.relocate import relocate
from kdiag.lint.resources import missing_fields
from kdiag.lint.schema import api_version, strimzi_version
from kdiag.lint.tree import Items, Map, Node, Scalar, Spot, entry, get, text
from kdiag.rules.rule import Match, Remedy, Severity, rule
from kdiag.rules.text import listed

_ANCIENT = ("kafka.strimzi.io/v1beta1", "kafka.strimzi.io/v1alpha1")
_OLD_VERSIONS = ("kafka.strimzi.io/v1beta2", *_ANCIENT)


@rule("KD601", "unreadable-file", Severity.ERROR, "The file cannot be read")
def unreadable_file(document: Document) -> Iterator[Match]:
    """A document is no YAML, or one that kdiag does not follow: nested without end, an alias inside
    of itself, aliases that unfold to more than any configuration holds.

    The parser's own message names the place where it gave up; what is wrong often stands on the
    line before. Where only the indentation is wrong, kdiag says KD602 instead, and corrects it.

    Prove it: `kubectl apply --dry-run=client -f FILE`, or `docker compose config`.

    How to fix: correct the file at the line that is named, or the line before it.
    """
    for line in document.rewritten:
        fix = remedies.say("Write it as the corrected file has it: kdiag lint --diff.")
        # The text that is read on is put right already.
        yield mistake(line.message, "the document", line.spot, fix)
    if document.broken:
        words, spot = document.broken.message, document.broken.spot
        fix = remedies.say("Correct that line, or the line before it.")
        yield mistake(f"cannot be read: {words}", "the document", spot, fix)


@rule("KD602", "mis-indented", Severity.ERROR, "A line has the wrong indentation")
def mis_indented(document: Document) -> Iterator[Match]:
    """A line does not stand under what it belongs to.

    YAML is its indentation: a field of a list item stands under the first field of that item, two
    columns behind the dash. One column off, it belongs to something else, or nothing can be read at
    all. kdiag finds the place by the resource's own schema, and by what comes before.

    Prove it: `kubectl apply --dry-run=server -f FILE`.

    How to fix: indent the line as the report says; `kdiag lint --fix FILE` does so where it is
    sure.
    """
    for line in document.moved:
        if line.dash:
            verb = "put one before it" if line.dash == "missing" else "remove it"
            message = f"`{line.what}` has {'no' if line.dash == 'missing' else 'a'} dash, and "
            message += f"begins {'an' if line.dash == 'missing' else 'no'} item: {verb}"
        elif line.tabs:
            message = f"`{line.what}` is indented with a tab: YAML takes spaces only"
        else:
            columns = f"{abs(line.by)} column{'' if abs(line.by) == 1 else 's'}"
            way = "right" if line.by > 0 else "left"
            message = f"`{line.what}` is mis-indented: move it {columns} {way}, {line.owner}"
        fix = remedies.say("Indent it as the corrected file has it: kdiag lint --fix.")
        # The text that is read on has it in its place already.
        yield mistake(message, f"`{line.what}`", line.spot, fix)
    lists = list(_lists(document.root)) if any(_flaws(document, Flaw.SPLIT)) else []
    for flaw in _flaws(document, Flaw.SPLIT):
        holder = next(x for x in lists if any(flaw.node is item for item in x.items))
        name = flaw.node.entries[0].key.text if isinstance(flaw.node, Map) else ""
        start = flaw.node.start
        dash = Spot(start.line, holder.start.column)
        message = (
            f"`{name}` begins an item of its own: remove its dash, it belongs to the item above"
        )
        fix = remedies.say("Replace the dash by a blank.")
        edits = (Edit(dash, Spot(dash.line, dash.column + 1), " "),)
        spot = document.place(start)
        yield mistake(message, f"`{name}`", spot, fix, _level(document), edits)


@rule("KD603", "unknown-field", Severity.ERROR, "A field does not exist")
def unknown_field(document: Document) -> Iterator[Match]:
    """A resource has a field that its schema does not know: a typing error, or a field of an older
    version.

    Kubernetes drops such a field; `kubectl apply` says so in one line, and what was meant does not
    happen. Field names count capitals: `nodePort`, `advertisedHost`. A newer Strimzi than the one
    that kdiag knows may have fields of its own.

    Prove it: `kubectl explain kafka.spec.kafka.listeners.configuration`.

    How to fix: write the field as the schema has it; `kdiag lint --fix FILE` does so where only one
    field fits. Remove a field of an older version.
    """
    for deviation in _flaws(document, Flaw.UNKNOWN):
        message = f"{_where(deviation)} has no field `{deviation.key}`"
        fix = remedies.say("Remove it, or write the field that you mean.")
        if deviation.near:
            value = f": {deviation.value}" if deviation.value else ""
            message += f": did you mean `{deviation.near}{value}`?"
            fix = remedies.say(f"Write {deviation.near}.", "{near}:", "yaml", near=deviation.near)
        elif deviation.gone:
            message += f" in v1, as of Strimzi {strimzi_version()}; v1beta2 had it"
            fix = remedies.gone(deviation.key)
        else:
            message += f" in Strimzi {strimzi_version()}"
            message += f": it has {deviation.expected}" if deviation.expected else ""
        # What operators of that time called so is not renamed for them.
        of_then = _level(document) and deviation.entry and old_name(deviation.path, deviation.entry)
        yield _mistake(document, deviation, message, fix, () if of_then else _renamed(deviation))


@rule("KD604", "misplaced-field", Severity.ERROR, "A field stands where it does not belong")
def misplaced_field(document: Document) -> Iterator[Match]:
    """A field exists, and not here: `advertisedHost` is one of each broker, not of the bootstrap;
    `alternativeNames` is one of the bootstrap; `externalTrafficPolicy` stands under
    `configuration`.

    Kubernetes drops it as it drops an unknown one.

    Prove it: `kubectl explain kafka.spec.kafka.listeners.configuration.brokers`.

    How to fix: move the field to the place that the report names.
    """
    for deviation in _flaws(document, Flaw.MISPLACED):
        name = deviation.near or deviation.key
        homes = listed([f"`{_dotted(home)}`" for home in deviation.homes])
        spelt = f" (spelt `{name}`)" if deviation.near else ""
        message = (
            f"{_where(deviation)} has no field `{deviation.key}`: it belongs to {homes}{spelt}"
        )
        edits = () if _level(document) else relocate(document.root, deviation)
        fix = remedies.belongs(
            deviation.homes[0], name, text(deviation.entry.value) if deviation.entry else ""
        )
        yield _mistake(document, deviation, message, fix, edits)


@rule("KD605", "wrong-value", Severity.ERROR, "A field has a value that it cannot take")
def wrong_value(document: Document) -> Iterator[Match]:
    """A value is of the wrong type, out of range, or none of those allowed.

    Unquoted, YAML takes `4.3` for a number and `yes` for a truth; quoted, `"9094"` is text. A port
    is a number, `tls` is true or false, a version is text, a `type` is in small letters. The
    resource is refused as a whole.

    An item of `alternativeNames` is one host: two lines with one dash are one item to YAML, and the
    operator makes no certificate for what is no host name.

    Prove it: `kubectl apply --dry-run=server -f FILE`.

    How to fix: write a value of the type that the report names: quote versions, do not quote ports
    and truth values.

    A variable, `${REPLICAS}`, is not judged: what stands there at last, the file does not tell.
    """
    for deviation in (*_flaws(document, Flaw.TYPE), *_flaws(document, Flaw.VALUE)):
        if isinstance(deviation.node, Scalar) and is_filled_in(deviation.node.text):
            continue  # envsubst, Terraform or Helm writes the value
        shown = f"`{_short(deviation.node.text)}`" if isinstance(deviation.node, Scalar) else "this"
        message = f"`{_dotted(deviation.path)}` takes {deviation.expected}, and {shown} is not that"
        edits: Edits = ()
        if deviation.near and isinstance(deviation.node, Scalar) and not deviation.node.block:
            edits = (replace(deviation.node, deviation.near),)
            message += f": write {deviation.near}"
        elif deviation.near == KEYED and isinstance(deviation.node, Map):
            message = (
                "`listeners` is a mapping by name, as before Strimzi 0.20: each is an item of a "
            )
            message += "list, with name, port, type and tls"
            if _level(document):
                message += "; with an operator of that time, leave it"
            else:
                edits = tuple(
                    edit for one in items_of(deviation.node) or () for edit in one.edits()
                )
        elif deviation.near == UNDASHED and isinstance(deviation.node, Items):
            dash = deviation.node.start
            edits = (Edit(dash, Spot(dash.line, dash.column + 1), " "),)
            message += ": remove its dash"
        elif deviation.near and isinstance(deviation.node, Map):
            edits = into_item(deviation.node)
        fix = remedies.say(f"Give it {deviation.expected}.")
        yield _mistake(document, deviation, message, fix, edits)


@rule("KD606", "missing-field", Severity.ERROR, "A required field is missing")
def missing_field(document: Document) -> Iterator[Match]:
    """A listener needs name, port, type and tls; an item of brokers needs broker, its node id.

    The resource is refused as a whole.

    Prove it: `kubectl apply --dry-run=server -f FILE`.

    How to fix: add the field that the report names.
    """
    if document.kind in STRIMZI and document.root:
        yield from _fragment(document, document.root)
    for deviation in _flaws(document, Flaw.MISSING):
        message = f"{_where(deviation)} lacks `{deviation.key}`, which is required"
        fix = remedies.say("Add it:", "{key}: <{key}>", "yaml", key=deviation.key)
        yield _mistake(document, deviation, message, fix, ())
    if document.kind in STRIMZI and document.root:
        for missing in missing_fields(meant(document.root, document.deviations), document.kind):
            fix = remedies.say("Add it:", missing.snippet, "yaml")
            level = _level(document)
            spot = document.place(missing.spot)
            yield mistake(missing.message, f"`{missing.field}`", spot, fix, level)


@rule("KD607", "duplicate-key", Severity.ERROR, "A mapping has the same key twice")
def duplicate_key(document: Document) -> Iterator[Match]:
    """A key stands twice in one mapping. Docker Compose refuses the file. Helm, many versions of
    kubectl and readers of properties take the last one silently: a warning.

    Often two listeners were meant, and the dash before the second one is missing: that is an error.

    Prove it: `kubectl apply --dry-run=server -f FILE`.

    How to fix: remove one of the two, or add the dash that makes the second one an item of its own.
    """
    plain = document.kind in ("properties", "client", "env")
    items = list(_list_items(document.root))
    merged: list[Map] = []  # two items of a list that a missing dash has made one
    for duplicate in document.duplicates:
        spot = document.place(duplicate.key.start)
        whole = next((each for each in items if each.start == duplicate.first), None)
        if any(duplicate.first in [e.key.start for e in each.entries] for each in merged):
            continue
        if whole and duplicate.key.start.column > 2 and not whole.closed:
            merged.append(whole)
            message = f"`{duplicate.key.text}` begins another item, and has no dash"
            fix = remedies.say(
                "Put the dash before it:", "- {key}: …", "yaml", key=duplicate.key.text
            )
            start, column = duplicate.key.start, duplicate.key.start.column - 2
            edits = (Edit(Spot(start.line, column), start, "- "),)
            yield mistake(message, f"`{duplicate.key.text}`", spot, fix, edits=edits)
            continue
        message = f"`{duplicate.key.text}` appears twice: it is on line {duplicate.first.line} too"
        advice = "; if you mean two items of a list, begin the second with a dash."
        level = None if document.kind == "compose" else Severity.WARNING
        if plain:
            level, advice = Severity.WARNING, ": this is the one that counts."
            message += ", with another value"
        fix = remedies.say(f"Keep one of them{advice}")
        yield mistake(message, f"`{duplicate.key.text}`", spot, fix, level)


@rule(
    "KD608", "old-api-version", Severity.WARNING, "The resource is of an API version that is gone"
)
def old_api_version(document: Document) -> Iterator[Match]:
    """The resource is kafka.strimzi.io/v1beta2, or older. Strimzi 1.0 knows v1 only; operators
    before 0.49 know v1beta2 only.

    It is held to v1beta2's own schema. Convert the resources before the operator goes beyond 0.49:
    Strimzi has a conversion tool for it. v1beta1 and v1alpha1 are gone since 0.23; what is wrong
    with such a resource is a warning, for operators of that time took more.

    Prove it: `kubectl get crd kafkas.kafka.strimzi.io -o jsonpath='{.spec.versions[*].name}'`.

    How to fix: convert the resource to the newest API version that your operator knows, with
    Strimzi's conversion tool.
    """
    if document.kind in STRIMZI and document.api_version in _OLD_VERSIONS:
        found = get(document.root, "apiVersion")
        wanted = api_version(document.kind)
        spot = document.place(found.start if found else Spot(1, 1))
        message = f"{document.api_version} is gone since Strimzi 1.0, which knows {wanted} only"
        fix = remedies.say(
            "With operator 0.49 or newer, convert it; with an older one, leave it:",
            "apiVersion: {wanted}",
            "yaml",
            wanted=wanted,
        )
        yield mistake(message, document.kind, spot, fix)


def _fragment(document: Document, root: Node) -> Iterator[Match]:
    """KD606 for a part of a resource, as documentation shows it."""
    fields = {"apiVersion": document.api_version, "kind": text(root, "kind")}
    fields["metadata.name"] = text(root, "metadata", "name")
    absent = [f"`{name}`" for name, value in fields.items() if not value]
    if absent:
        message = f"read as a {document.kind} resource, without its {listed(absent)}"
        header = f"apiVersion: {api_version(document.kind)}\nkind: {document.kind}\n"
        header += "metadata:\n  name: <name of the cluster>"
        fix = remedies.say("kubectl apply takes whole resources only:", header, "yaml")
        spot = document.place(root.start)
        # What has an apiVersion is no part of a page.
        level = None if document.api_version and not fields["kind"] else Severity.WARNING
        yield mistake(message, document.kind, spot, fix, level)


def _list_items(node: Node | None) -> Iterator[Map]:
    """Every mapping that is an item of a list."""
    return (each for found in _lists(node) for each in found.items if isinstance(each, Map))


def _flaws(document: Document, flaw: Flaw) -> Iterator[Deviation]:
    return (each for each in document.deviations if each.flaw is flaw)


def _mistake(
    document: Document, deviation: Deviation, message: str, fix: Remedy, edits: Edits
) -> Mistake:
    """The mistake for a deviation."""
    return mistake(
        message,
        f"`{_dotted((*deviation.path, deviation.key) if deviation.key else deviation.path)}`",
        document.place(deviation.node.start),
        fix,
        _level(document),
        edits,
    )


def _level(document: Document) -> Severity | None:
    """A warning for a resource of an older version than the schema, whose operator knows other
    fields."""
    return Severity.WARNING if document.api_version in _ANCIENT else None


def _where(deviation: Deviation) -> str:
    return f"`{_dotted(deviation.path)}`" if deviation.path else "the resource"


def _dotted(path: tuple[str, ...]) -> str:
    """The end of a path as text: `listeners[].configuration`."""
    shown = path[2:] if path[:2] == ("spec", "kafka") and len(path) > 2 else path
    return ".".join(shown).replace(".[]", "[]")


def _renamed(deviation: Deviation) -> Edits:
    """Edits that rename a field, unless the new name is taken."""
    if not deviation.near or not isinstance(deviation.node, Scalar) or deviation.entry is None:
        return ()
    if entry(deviation.parent, deviation.near):
        return ()
    named, value = replace(deviation.node, deviation.near), deviation.entry.value
    if not deviation.value:
        return (named,)
    return (named, replace(value, deviation.value)) if isinstance(value, Scalar) else ()


def _lists(node: Node | None) -> Iterator[Items]:
    """Every list."""
    below = node.items if isinstance(node, Items) else ()
    if isinstance(node, Items):
        yield node
    elif isinstance(node, Map):
        below = tuple(each.value for each in node.entries if not each.merged)
    for each in below:
        yield from _lists(each)


def _short(value: str) -> str:
    return (value or '""') if len(value) < 41 else f"{value[:40]}…"
