"""Put the samples and the documentation into a wheel; all else about the package stands in pyproject.toml.

Both are files outside of the package. Copies in the package would hold every megabyte twice, and setuptools can take
no file from outside by configuration alone.
"""

import os
import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# Those of vitripick.samples.SAMPLES (a test compares).
SAMPLES = ["examples/apoferritin/micrographs/May08_03.05.02.mrc"]
# What `vitripick/documentation` holds, below the same names as here.
DOCUMENTATION = ["README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "docs"]
# A picture or a link of Markdown that leads to a file; the text, and where it leads without the part after #.
_LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)#\s]*)(?:#[^)\s]*)?\)")


def documentation() -> list[str]:
    """Return every file of the documentation, by its path from here, with / on every system."""
    paths = [path for name in DOCUMENTATION for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths if path.is_file())


def with_links_to(text: str, page: str, shipped: list[str]) -> str:
    """Return a page whose links to files that are not among `shipped` became plain text, and say where such a file is.

    A page on an index has no files beside it, and a wheel has only some. Once the project has an address, these links
    can lead there.
    """

    def plain(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(Path(page).parent / link[2])).as_posix()
        if target in shipped or any(name.startswith(f"{target}/") for name in shipped):
            return link[0]
        if link[0].startswith("!"):
            return f"*Picture: {link[1]}*"
        return link[1] if link[1] == target else f"{link[1]} ({target})"

    return _LINK.sub(plain, text)


def readme() -> str:
    """Return the description of the package: README.md without links to files, and where to find those."""
    text = with_links_to((ROOT / "README.md").read_text(encoding="utf-8"), "README.md", [])
    title, rest = text.split("\n", 1)
    where = "The documentation comes along with the package: `vitripick doctor` says where. Files are named from there."
    return f"{title}\n\n*{where}*\n{rest}"


class BuildWithFilesFromOutside(build_py):
    """The usual build, then samples and documentation; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "vitripick"
        for path in SAMPLES:
            self.copy_file(path, str(package / "samples" / Path(path).name))
        shipped = documentation()
        for path in shipped:
            place = package / "documentation" / path
            self.mkpath(str(place.parent))
            if path.endswith(".md"):
                text = (ROOT / path).read_text(encoding="utf-8")
                place.write_text(with_links_to(text, path, shipped), encoding="utf-8")
            else:
                self.copy_file(path, str(place))


setup(
    cmdclass={"build_py": BuildWithFilesFromOutside},
    long_description=readme(),
    long_description_content_type="text/markdown",
)
