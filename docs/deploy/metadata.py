"""The page on PyPI: README.md and the URLs of the project, with their addresses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^]]*)\]\(([^)\s]+)\)")


class AbsoluteLinks(MetadataHookInterface):
    """Adds the fields `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        links: dict[str, Any] = {}
        exec((root / "kdiag/config/links.py").read_text("utf-8"), links)
        repository, site = links["REPOSITORY"], links["SITE"]
        text = (root / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": page(text, repository)}
        metadata["urls"] = urls(repository, site)


def urls(repository: str, site: str) -> dict[str, str]:
    """The project's URLs; none while nobody serves them."""
    if repository.startswith("OWNER/"):
        return {}
    home = f"https://github.com/{repository}"
    return {
        "Documentation": site or f"{home}/blob/main/docs/index.md",
        "Source": home,
        "Issues": f"{home}/issues",
        "Changelog": f"{home}/blob/main/docs/changelog.md",
    }


def page(text: str, repository: str) -> str:
    """A page of the repository as it reads elsewhere: links are absolute, and plain text while
    nobody serves them."""

    def absolute(match: re.Match[str]) -> str:
        picture, words, link = match.groups()
        if "://" in link:
            return match[0]
        if repository.startswith("OWNER/"):
            return "" if picture else words
        kind = "raw" if picture else "blob"
        return f"{picture}[{words}](https://github.com/{repository}/{kind}/main/{link})"

    return _LINK.sub(absolute, text)
