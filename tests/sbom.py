"""What kdiag is made of: a bill of materials (CycloneDX), from the lock file and what is installed.

python -m tests.sbom    lists each library with its licence; 1 where a licence is none of LICENCES
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kdiag import __version__

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "docs/deploy/requirements.lock"
SBOM = ROOT / "docs/deploy/sbom.cdx.json"

# Each lets whoever has kdiag pass it on, under its own licence.
LICENCES = frozenset("Apache-2.0 BSD-2-Clause BSD-3-Clause ISC MIT MIT-0 0BSD PSF-2.0".split())
# As SPDX has what older metadata says in words.
_WORDS = {
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",  # python-dateutil
}
_ENTRY = re.compile(r"([a-z0-9-]+)==([^ ;\\]+)(?: ; ([^\\]+))?")


class Locked(NamedTuple):
    """A line of a lock file."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def locked(file: Path = LOCK) -> Iterator[Locked]:
    """Everything that a lock file has, in its order."""
    for entry in re.split(r"\n(?=[a-z])", file.read_text("utf-8")):
        found = _ENTRY.match(entry)
        if found:
            hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
            yield Locked(found[1], found[2], (found[3] or "").strip(), hashes)


def licence(name: str) -> str:
    """The licence of an installed library, as SPDX has it."""
    told = metadata.metadata(name)
    classified = [
        each.rpartition(" :: ")[2]
        for each in told.get_all("Classifier") or ()
        if each.startswith("License ::")
    ]
    written = (*(told.get_all("License-Expression") or ()), *(told.get_all("License") or ()))
    said = str(next(iter((*filter(None, written), *classified)), "")).strip()
    return _WORDS.get(said, said)


def allowed(expression: str) -> bool:
    """Whether every licence that an expression names is one of LICENCES."""
    words = re.sub(r"[()]", " ", expression).split()
    return bool(words) and all(word in LICENCES or word in ("AND", "OR") for word in words)


def sbom() -> str:
    """The bill of materials of this version, the same for the same lock file."""
    parts = {one.name: _component(one) for one in locked()}
    whole = Component(
        name="kdiag",
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref="kdiag",
        purl=PackageURL("pypi", None, "kdiag", __version__),
        licenses=[LicenseExpression("Apache-2.0")],
    )
    bom = Bom(components=parts.values())
    bom.metadata.component = whole
    for name, part in (("kdiag", whole), *parts.items()):
        needed = [Dependency(parts[each].bom_ref) for each in _needs(name) if each in parts]
        bom.dependencies.add(Dependency(part.bom_ref, dependencies=needed))
    made = json.loads(JsonV1Dot6(bom).output_as_string())
    # Neither is of the libraries: the same build would have others each time.
    made["metadata"].pop("timestamp", None)
    made.pop("serialNumber", None)
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def _component(one: Locked) -> Component:
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{one.name}@{one.version}",
        purl=PackageURL("pypi", None, one.name, one.version),
        licenses=[LicenseExpression(licence(one.name))],
        # A library has a hash for each of its files, of which one is installed.
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"https://pypi.org/project/{one.name}/{one.version}/"),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in one.hashes],
            )
        ],
    )


def _needs(name: str) -> Iterator[str]:
    """What a library asks for on some platform, extras left out."""
    for text in metadata.requires(name) or ():
        wanted = Requirement(text)
        if wanted.marker is None or "extra" not in str(wanted.marker):
            yield canonicalize_name(wanted.name)


def main() -> int:
    """Lists the licences."""
    found = {one.name: (one.version, licence(one.name)) for one in locked()}
    for name, (version, said) in found.items():
        sys.stdout.write(f"{name:<18} {version:<14} {said}\n")
    odd = [name for name, (_, said) in found.items() if not allowed(said)]
    if odd:
        sys.stdout.write(f"no licence that is known to be fine: {', '.join(odd)}\n")
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
