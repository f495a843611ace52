"""Writes what software centres show of gradsim: ``make_appstream.py FOLDER VERSION DATE [ADDRESS]``.

FOLDER gets ``usr/share`` with a metainfo file, the screenshots, and a catalogue that names them.

A metainfo file may name pictures on the web only, and gradsim is published nowhere yet. Unless ADDRESS says where the
pictures lie, the metainfo therefore has none, and the catalogue, which software centres read first, names the files
that come with the package. It holds everything else too, because an entry of a catalogue stands for the whole metainfo.
"""

from __future__ import annotations

import copy
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "packaging" / "linux" / "gradsim.metainfo.xml"
PICTURES = ROOT / "packaging" / "pictures"
SHIPPED = "usr/share/gradsim/screenshots"
NAME = "org.gradsim.gradsim"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def filled(version: str, date: str, pictures: str) -> ElementTree.Element:
    """The component with its places filled in."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for place, value in (("@VERSION@", version), ("@DATE@", date), ("@PICTURES@", pictures)):
        text = text.replace(place, value)
    return ElementTree.fromstring(text)


def metainfo(version: str, date: str, address: str | None) -> ElementTree.Element:
    """For /usr/share/metainfo."""
    component = filled(version, date, address or "")
    if address is None:
        screenshots = component.find("screenshots")
        assert screenshots is not None
        component.remove(screenshots)
    return component


def catalogue(version: str, date: str) -> ElementTree.Element:
    """For /usr/share/swcatalog/xml."""
    component = filled(version, date, f"file:///{SHIPPED}")
    split_description(component)
    package = ElementTree.Element("pkgname")
    package.text = "gradsim"
    component.insert(1, package)
    whole = ElementTree.Element("components", version="0.16", origin="gradsim")
    whole.append(component)
    return whole


def split_description(component: ElementTree.Element) -> None:
    """One description for each language, as catalogues have it; a metainfo file has the languages line by line."""
    (place, whole), *_ = [(at, child) for at, child in enumerate(component) if child.tag == "description"]
    languages = dict.fromkeys(element.get(LANGUAGE) for element in whole.iter() if element is not whole)
    component.remove(whole)
    for language in languages:
        own = copy.deepcopy(whole)
        for parent in list(own.iter()):
            for child in list(parent):
                if child.tag in ("p", "li") and child.attrib.pop(LANGUAGE, None) != language:
                    parent.remove(child)
        if language is not None:
            own.set(LANGUAGE, language)
        component.insert(place, own)
        place += 1


def write(element: ElementTree.Element, path: Path) -> None:
    element = copy.deepcopy(element)
    ElementTree.indent(element)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(element).write(path, encoding="UTF-8", xml_declaration=True)


def main(folder: Path, version: str, date: str, address: str | None = None) -> None:
    share = folder / "usr" / "share"
    write(metainfo(version, date, address), share / "metainfo" / f"{NAME}.metainfo.xml")
    whole = catalogue(version, date)
    write(whole, share / "swcatalog" / "xml" / "gradsim.xml")
    (folder / SHIPPED).mkdir(parents=True, exist_ok=True)
    for image in whole.iter("image"):
        name = (image.text or "").rsplit("/", 1)[1]
        shutil.copyfile(PICTURES / name, folder / SHIPPED / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
