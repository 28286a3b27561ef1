"""Builds XML and HTML as a tree of elements, written in ASCII: no encoding matters."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

# The characters that XML 1.0 cannot represent; they are shown as escapes.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """The text with escapes for the characters that XML cannot represent."""
    return _ILLEGAL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def add(parent: Element, tag: str, text: str = "", /, **attributes: str | int | float) -> Element:
    """Appends a child element and returns it. A trailing underscore of an attribute's name is
    dropped, other underscores become hyphens: `class_`, `aria_label`."""
    child = SubElement(parent, tag)
    for name, value in attributes.items():
        child.set(name.rstrip("_").replace("_", "-"), legal(str(value)))
    if text:
        child.text = legal(text)
    return child


def append_text(parent: Element, text: str) -> None:
    """Appends text after the element's present content."""
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + legal(text)
    else:
        parent.text = (parent.text or "") + legal(text)


def as_xml(root: Element) -> str:
    """The element as an XML document; non-ASCII characters become character references."""
    body = tostring(root, encoding="us-ascii", xml_declaration=False).decode()
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
