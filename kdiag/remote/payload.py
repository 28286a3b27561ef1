"""The payload of a remote walk: an archive of kdiag's files, and the Python that loads it."""

from __future__ import annotations

import ast
import base64
import io
import json
import lzma
import re
import zipfile
from functools import cache
from pathlib import Path

from kdiag.config.mechanisms import CLIENT_ONLY, MECHANISMS
from kdiag.config.properties.names import PROTOCOLS

_PACKAGE = Path(__file__).resolve().parent.parent

# All that kdiag.remote.probe imports, by rooms; a test holds this to it.
_ROOMS = {
    "": "address text",
    "config/": "access annotations endpoint mechanisms options proxy record redaction security "
    "settings usage",
    "config/properties/": "layers limits names producer",
    "kafka/": "api codec connection dialer errors group_messages login login_notes messages "
    "proxy_dialer refusals tls_dialer",
    "kafka/sasl/": "credentials iam mechanisms oauth sigv4",
    "network/": "attempt dialer dns_diagnosis errors fingerprint proxy sockets tcp_info tls "
    "tls_transport",
    "remote/": "probe serialization",
    **{
        folder: " ".join(sorted(file.stem for file in (_PACKAGE / folder).glob("[a-z]*.py")))
        for folder in ("walk/", "walk/facts/")
    },
}
PARTS = tuple(
    f"{room}{name}" for room, names in _ROOMS.items() for name in ("__init__", *names.split())
)

OLDEST = (3, 9)
NO_PYTHON = 86  # the exit code where the other machine has no such Python

_MAIN = "import os\nfrom kdiag.remote.probe import main\nos._exit(main())\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same files make the same archive
_TEXT = re.compile(r'(?ms)(?:(^[ \t]*)|)""".*?"""')
_INDENT = re.compile(r"(?m)^(?: {4})+")
_REMARK = re.compile(r"(?m)^[ \t]*#.*$")

# Pythons to look for: by the names that systems and images give them.
_NAMES = "python3 " + " ".join(f"python3.{minor}" for minor in range(15, OLDEST[1] - 1, -1))
_NAMES += " /usr/libexec/platform-python"

# The first line that Python reads is what it is to do; the rest of its input is for that to read.
_ONE = (
    f"import sys; sys.version_info < {OLDEST} and sys.exit({NO_PYTHON}); "
    "exec(sys.stdin.buffer.readline())"
)
SHELL = (
    f"for p in {_NAMES}; do command -v $p >/dev/null 2>&1 || continue; "
    f'$p -IS -c "{_ONE}"; s=$?; [ $s = {NO_PYTHON} ] || exit $s; done; exit {NO_PYTHON}'
)

# Imports modules from `sources`: their text by path without the suffix.
_FINDER = """
class Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def find_spec(self, name, path=None, target=None):
        for end in ("/__init__", ""):
            if name.replace(".", "/") + end in sources:
                return importlib.util.spec_from_loader(
                    name, self, origin=name.replace(".", "/") + end, is_package=end != "")
    def is_package(self, name):
        return name.replace(".", "/") + "/__init__" in sources
    def get_source(self, name):
        return sources[self.find_spec(name).origin]
    def exec_module(self, module):
        origin = module.__spec__.origin
        exec(compile(sources[origin], origin + ".py", "exec"), module.__dict__)
sys.meta_path.insert(0, Finder())
"""

# Reads the archive, its length in a line before it, and runs it from memory: no file is written.
_LOADER = f"""
import importlib.abc, importlib.util, io, os, sys, zipfile
source = sys.stdin.buffer
packed = zipfile.ZipFile(io.BytesIO(source.read(int(source.readline()))))
sources = {{name[:-3]: packed.read(name).decode() for name in packed.namelist()}}
{_FINDER}
exec(sources["__main__"])
"""


# Left out of `script`: it has no secrets, so there are no logins; and no proxies.
_HEAVY = (
    *(f"kafka/sasl/{name}" for name in _ROOMS["kafka/sasl/"].split()),
    *("kafka/proxy_dialer", "network/proxy"),
)

# In `script`, these replace modules whose work this machine has done: there are no secrets to
# search for, and the settings are parsed.
_REPLACED = {
    "__init__": "",  # the public names are this machine's
    "config/record": "from typing import NamedTuple",
    "config/redaction": """
def secrets(texts, public): return ()
def redacted(text, hidden): return text
def without(value, hidden, own=()): return value
""",
    "config/mechanisms": f"MECHANISMS = {tuple(MECHANISMS)!r}; CLIENT_ONLY = {CLIENT_ONLY!r}",
    "config/properties/layers": "Layers = None",
    "config/proxy": "Proxy = str; PROPERTIES = of_properties = parse_proxy = None",
    "config/properties/limits": "",
    "config/properties/names": f"PROTOCOLS = {PROTOCOLS!r}; "
    "KNOWN = USED = (); is_known = is_used = None",
    "config/properties/producer": "dialect = handed_over = used_by_client = None",
    # There is no room for what --group and --as ask; `refuse_unsupported` says so.
    "kafka/group_messages": "GROUP_MESSAGES = ()",
    # Without dnspython, which does not travel, there is never one.
    "network/dns_diagnosis": "class DnsDiagnosis: pass",
    "walk/canonical": "async def servers(walk): return dict.fromkeys(walk.settings.bootstrap)",
    "walk/large_answers": "",
    # Nor for what it asks of a proxy in front of brokers, after a failure.
    "walk/routing": """
async def under_other_names(walk, target, result): return result
async def at_bootstrap_ports(known, *_): return known
""",
    "walk/role_questions": "def role_questions(*_): return {}",
    "walk/consume": """
from __future__ import annotations
from kdiag.walk.facts.consume import Consume
from kdiag.walk.hop import Walk, hop
@hop("consume")
async def consume(walk: Walk) -> Consume | None: return None
""",
}
# The remote side needs only the classes of these.
TYPES_ALONE = ("config/endpoint", "config/options", "config/proxy", "config/settings")

_NARROW = f"""
import sys; sys.version_info < {OLDEST} and sys.exit({NO_PYTHON})
import base64, importlib.abc, importlib.util, json, lzma, os
sources = json.loads(lzma.decompress(base64.b85decode("{{packed}}")))
{_FINDER}
from kdiag.remote.probe import narrow
os._exit(narrow(base64.b64decode("{{request}}")))
"""


def script(request: bytes) -> str:
    """A shell script that runs a request and needs no other input."""
    program = _NARROW.strip().format(packed=_packed(), request=base64.b64encode(request).decode())
    return (
        f"for p in {_NAMES}; do command -v $p >/dev/null 2>&1 || continue\n"
        f"$p -IS - <<'KDIAG'\n{program}\nKDIAG\n"
        f"s=$?; [ $s = {NO_PYTHON} ] || exit $s; done; exit {NO_PYTHON}"
    )


def script_parts() -> dict[str, str]:
    """The source of each module of `script`, by its path without the suffix."""
    parts = {
        f"kdiag/{part}": barest(
            (_PACKAGE / f"{part}.py").read_text(encoding="utf-8"), types_alone=part in TYPES_ALONE
        )
        for part in sorted(set(PARTS).difference(_HEAVY))
    }
    assert _REPLACED.keys() <= set(PARTS), "a module has moved"
    return parts | {f"kdiag/{part}": text for part, text in _REPLACED.items()}


@cache
def _packed() -> str:
    parts = script_parts()
    small = json.dumps(parts, separators=(",", ":")).encode("ascii")
    best = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0}  # pb: it is text
    data = lzma.compress(small, format=lzma.FORMAT_ALONE, filters=[best])
    return base64.b85encode(data).decode("ascii")  # it has no quote and no backslash


@cache
def payload() -> bytes:
    """The first input of a Python that SHELL started: the loader and the archive."""
    packed = archive()
    return f"exec({_LOADER!r})\n{len(packed)}\n".encode() + packed


@cache
def archive() -> bytes:
    """A zipapp of PARTS, the same whenever it is made of the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packing:
        _add(packing, "__main__.py", _MAIN)
        for part in sorted(PARTS):
            source = (_PACKAGE / f"{part}.py").read_text(encoding="utf-8")
            alone = part in TYPES_ALONE
            text = barest(source, types_alone=True) if alone else bare(source)
            _add(packing, f"kdiag/{part}.py", text)
    return made.getvalue()


def bare(source: str) -> str:
    """A module without docstrings and comments; the rest keeps its line numbers."""
    return _REMARK.sub("", _TEXT.sub(_emptied, source))


def barest(source: str, *, types_alone: bool = False) -> str:
    """A module in as few characters as possible, with other line numbers. With `types_alone` its
    functions are None."""
    tree = ast.parse(source)
    if types_alone:
        tree = ast.fix_missing_locations(_TypesAlone().visit(tree))
    tree = ast.fix_missing_locations(_Unannotated().visit(tree))
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _unannotated(node)
    return _INDENT.sub(lambda found: found.group()[::4], ast.unparse(tree))


class _Unannotated(ast.NodeTransformer):
    """Takes away what only type checkers read, the types of variables outside of classes, what is
    imported for them, and assertions; and what only a report says of a service's fingerprint."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self.generic_visit(statement)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        return ast.Assign([node.target], node.value) if node.value else ast.Pass()

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if ast.unparse(node.func) == "_Kind":
            node.args = [ast.Constant(""), node.args[1], ast.Constant("")]
        self.generic_visit(node)
        return node

    def visit_Assert(self, _: ast.Assert) -> ast.stmt:
        return ast.Pass()

    def visit_If(self, node: ast.If) -> ast.stmt:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return ast.Pass()
        self.generic_visit(node)
        return node


class _TypesAlone(ast.NodeTransformer):
    """Makes a module's functions None, and leaves nothing of an option but whether it is sent."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return ast.parse(f"{node.name} = None").body[0]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                self.visit(statement)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if ast.unparse(node.func) == "Option":
            node.args = [ast.Constant("")]
            node.keywords = [each for each in node.keywords if each.arg == "here"]
        return node


def _unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Takes types out of a function. One with a decorator keeps them: a hop is asked with what they
    name."""
    if function.decorator_list:
        return
    function.returns = None
    arguments = function.args
    for argument in (
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ):
        if argument:
            argument.annotation = None


def _emptied(found: re.Match[str]) -> str:
    docstring = found.group(1) is not None and found.string[found.end() :][:1] == "\n"
    if not docstring:
        return found.group()
    return f'{found.group(1)}""' + "\n" * found.group().count("\n")


def _add(packing: zipfile.ZipFile, name: str, text: str) -> None:
    info = zipfile.ZipInfo(name, _LONG_AGO)
    info.compress_type = zipfile.ZIP_DEFLATED
    packing.writestr(info, text.encode("utf-8"), compresslevel=9)
