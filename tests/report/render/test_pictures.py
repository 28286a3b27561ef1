"""The pictures of the documentation: a browser shows them without asking for anything."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.derived import ROOT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", ["terminal", "page"])
def test_a_picture_asks_for_nothing(name: str) -> None:
    text = (ROOT / f"docs/pictures/{name}.svg").read_text("utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    said = "".join(root.itertext())
    assert "KD301" in said
    assert "private-address" in said
    assert "url(http" not in text
    tags = {node.tag for node in root.iter()}
    assert not tags & {f"{SVG}image", f"{SVG}use", f"{SVG}script", f"{SVG}foreignObject"}
    assert not [node for node in root.iter() if any("href" in name for name in node.attrib)]
