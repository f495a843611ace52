"""Makes the Chinese font that comes along, so that no system shows boxes: ``make_font.py FOLDER``.

FOLDER holds ``NotoSansCJK-Regular.ttc`` and ``NotoSansCJK-Bold.ttc``: on Debian ``/usr/share/fonts/opentype/noto``,
from the package fonts-noto-cjk. What is kept: the 3,755 characters of GB 2312, level 1, which are 99.7 % of everyday
text, ASCII, punctuation, the signs of mathematics, and whatever else the catalogues use.
"""

from __future__ import annotations

import gettext
import string
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTCollection, TTFont

ROOT = Path(__file__).resolve().parents[1]
FONTS = ROOT / "resources" / "fonts"
FAMILY = "gradsim Sans SC"
SIMPLIFIED = "Noto Sans CJK SC"
ASCENT, DESCENT = 930, 240
"""Per 1000; Noto's own, 1160 and 288, leave room for scripts that are not in here and pull the lines apart."""
SIGNS = (
    "，。；：？！、·…—–－～“”‘’（）《》〈〉「」『』【】〔〕％￥°′″§¶†•"
    "←↑→↓↔⇒×÷±−≤≥≠≈≪≫∞√∂∇∑∏∫∈∝∣‖⊙⊕αβγδεζηθλμνξπρσςτφχψωΓΔΘΛΠΣΦΨΩ²³¹⁰⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄"
    "①②③④⑤⑥⑦⑧⑨⑩▲▼▶◀◆◇●○■□★☆✓✗✖✕ℹ▷↺"
)


def common() -> str:
    """The characters of GB 2312, level 1: rows 16 to 55."""
    found = []
    for row in range(16, 56):
        for cell in range(1, 95):
            try:
                found.append(bytes((row + 160, cell + 160)).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return "".join(found)


def used() -> str:
    """The characters of all catalogues and of the Chinese texts beside them."""
    found: set[str] = set()
    for path in (ROOT / "resources").rglob("*.mo"):
        with path.open("rb") as file:
            for text in gettext.GNUTranslations(file)._catalog.values():  # type: ignore[attr-defined]
                found.update(text)
    for path in (ROOT / "resources").rglob("*"):
        if path.suffix in (".json", ".md", ".html", ".toml") and "zh" in path.as_posix():
            found.update(path.read_text(encoding="utf-8"))
    return "".join(sorted(found))


def face(collection: Path) -> TTFont:
    """The one for Simplified Chinese."""
    for font in TTCollection(collection).fonts:
        if font["name"].getDebugName(1) == SIMPLIFIED or font["name"].getDebugName(16) == SIMPLIFIED:
            return font
    raise SystemExit(f"{collection}: holds no {SIMPLIFIED}")


def reduced(font: TTFont, style: str) -> TTFont:
    """The font with the wanted characters only, under a name of its own."""
    options = Options(hinting=False, layout_features=[], name_IDs=["*"], notdef_outline=True)
    subsetter = Subsetter(options)
    subsetter.populate(text=string.printable.strip() + " \u00a0\u2009" + SIGNS + common() + used())
    subsetter.subset(font)
    script = f"{FAMILY.replace(' ', '')}-{style}"
    names = {1: FAMILY, 2: style, 3: script, 4: f"{FAMILY} {style}", 6: script, 16: FAMILY, 17: style}
    for name in list(font["name"].names):
        if name.nameID in names:
            font["name"].removeNames(nameID=name.nameID)
    for number, text in names.items():
        font["name"].setName(text, number, 3, 1, 0x409)
    font["CFF "].cff.fontNames[0] = script
    metrics, windows = font["hhea"], font["OS/2"]
    metrics.ascent, metrics.descent, metrics.lineGap = ASCENT, -DESCENT, 0
    windows.sTypoAscender, windows.sTypoDescender, windows.sTypoLineGap = ASCENT, -DESCENT, 0
    windows.usWinAscent, windows.usWinDescent = ASCENT, DESCENT
    # The same input gives the same file.
    font.recalcTimestamp = False
    return font


def main() -> None:
    source = Path(sys.argv[1])
    FONTS.mkdir(parents=True, exist_ok=True)
    for style in ("Regular", "Bold"):
        path = FONTS / f"gradsim-sans-sc-{style.lower()}.otf"
        reduced(face(source / f"NotoSansCJK-{style}.ttc"), style).save(path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
