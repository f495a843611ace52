"""Puts versions and licences of everything in a frozen tree into it: ``make_licences.py TREE``.

Python packages say theirs themselves, and fonts and data have theirs beside them; of system libraries that were copied
in, Debian's copyright files are taken.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LICENCE = re.compile(r"(^|/)(licen[cs]e|copying|notice|authors)[^/]*$|(^|/)licen[cs]es/", re.IGNORECASE)
COMMON = Path("/usr/share/common-licenses")
SUFFIX = ".LICENSE.txt"
RESOURCES = ("data", "fonts")
"""Folders whose files come from others: beside each lies the text of its licence."""


def packages(name: str, found: dict[str, metadata.Distribution]) -> None:
    """Collects a package and what it needs here; fails if one of them is not installed."""
    distribution = metadata.distribution(name)
    key = distribution.metadata["Name"]
    if key in found:
        return
    found[key] = distribution
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            packages(requirement.name, found)


def terms(about: metadata.PackageMetadata) -> str:
    """The licence of a package in one line."""
    fields = about.json
    said = str(fields.get("license_expression") or "")
    if not said:
        classes = [entry for entry in fields.get("classifier") or [] if entry.startswith("License ::")]
        said = ", ".join(entry.rsplit(" :: ", 1)[-1] for entry in classes)
    return said or str(fields.get("license") or "see its texts").splitlines()[0]


def texts_of(distribution: metadata.Distribution, target: Path) -> int:
    """Copies its licence texts; gives how many there are."""
    count = 0
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if LICENCE.search(str(file)) and path.suffix not in (".py", ".pyc", ".so") and path.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / str(file).replace("/", "_").lstrip("._"))
            count += 1
    return count


def system_libraries(tree: Path) -> dict[str, str]:
    """Debian's package and version of every library of the system that was copied in."""
    if shutil.which("dpkg-query") is None:
        return {}
    owners: dict[str, str] = {}
    for file in sorted((tree / "_internal").glob("lib*.so*")):
        asked = subprocess.run(["dpkg-query", "-S", f"*/{file.name}"], capture_output=True, text=True)
        if asked.returncode == 0:
            package = asked.stdout.split(":")[0].split(",")[0]
            shown = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True)
            owners[package] = shown.stdout.strip()
    return owners


def resources(target: Path) -> list[tuple[str, str, str]]:
    """Copies the licence texts of fonts and data; gives a row for each. Fails if a file has none."""
    rows = []
    for folder in RESOURCES:
        texts = {path.name.removesuffix(SUFFIX): path for path in (ROOT / "resources" / folder).glob(f"*{SUFFIX}")}
        for path in (ROOT / "resources" / folder).iterdir():
            if path not in texts.values() and not path.name.startswith(tuple(texts)):
                raise SystemExit(f"{path}: has no licence beside it")
        (target / folder).mkdir(parents=True)
        for name, path in sorted(texts.items()):
            shutil.copyfile(path, target / folder / f"{name}.txt")
            rows.append((name, folder, f"see licences/{folder}/{name}.txt"))
    return rows


def main(tree: Path) -> None:
    target = tree / "licences"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    found: dict[str, metadata.Distribution] = {}
    packages("gradsim", found)
    rows = [("Python", platform.python_version(), "PSF-2.0")]
    without: list[str] = []
    for name, distribution in sorted(found.items(), key=lambda entry: entry[0].lower()):
        rows.append((name, distribution.version, terms(distribution.metadata)))
        if not texts_of(distribution, target / name):
            without.append(name)
    rows += resources(target)
    shutil.copyfile(ROOT / "LICENSE", target / "gradsim.txt")
    python = Path(sys.base_prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "LICENSE.txt"
    if python.is_file():
        shutil.copyfile(python, target / "Python.txt")
    for package, version in system_libraries(tree).items():
        rows.append((package, version, "see debian/" + package))
        copyright_ = Path("/usr/share/doc") / package / "copyright"
        if copyright_.is_file():
            (target / "debian").mkdir(exist_ok=True)
            shutil.copyfile(copyright_, target / "debian" / package)
    # Qt comes under the LGPL, version 3, which builds on the GPL; its packages bring neither text.
    for path in (ROOT / "packaging" / "licences").iterdir():
        shutil.copyfile(path, target / path.name)
    # Debian's texts refer to these.
    for name in ("GPL-2", "LGPL-2", "LGPL-2.1", "Apache-2.0"):
        if (COMMON / name).is_file():
            shutil.copyfile(COMMON / name, target / f"{name}.txt")
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:{width}}  {version:24}  {licence}" for name, version, licence in rows]
    (tree / "VERSIONS").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(rows)} parts; without a text of their own: {', '.join(without) or 'none'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
