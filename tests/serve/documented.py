"""The files that docs/serve.md shows."""

from __future__ import annotations

import re

from tests.derived import ROOT


def documented(name: str) -> str:
    """The text of a file that the page shows."""
    page = (ROOT / "docs/serve.md").read_text("utf-8")
    (text,) = re.findall(rf"^```yaml\n# {re.escape(name)}\n(.*?)^```$", page, re.M | re.S)
    return str(text)
