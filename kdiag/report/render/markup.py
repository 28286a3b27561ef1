"""XML and HTML of a report: a tree of elements, written in ASCII, so that no encoding matters."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

# All that XML 1.0 has no way to say. It is shown as it would be in a string.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """The text with every character that XML cannot have shown as an escape."""
    return _ILLEGAL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def add(parent: Element, tag: str, said: str = "", /, **attributes: str | int | float) -> Element:
    """A new last child. A trailing underscore of an attribute's name is dropped, and others become
    hyphens: `class_`, `aria_label`."""
    child = SubElement(parent, tag)
    for name, value in attributes.items():
        child.set(name.rstrip("_").replace("_", "-"), legal(str(value)))
    if said:
        child.text = legal(said)
    return child


def then(parent: Element, said: str) -> None:
    """Text after whatever the element has."""
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + legal(said)
    else:
        parent.text = (parent.text or "") + legal(said)


def as_xml(root: Element) -> str:
    """A document; what ASCII lacks is written as character references."""
    body = tostring(root, encoding="us-ascii", xml_declaration=False).decode()
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
