"""Puts the sample micrographs into a wheel; all else about the package stands in pyproject.toml.

The samples are files of `examples/`, outside the package. Copies in the package would hold every megabyte twice, and
setuptools can take no file from outside by configuration alone.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# Those of vitripick.samples.SAMPLES (a test compares); MANIFEST.in puts them into the source archive.
SAMPLES = ["examples/apoferritin/micrographs/May08_03.05.02.mrc"]


class BuildWithSamples(build_py):
    """The usual build, then the samples; an editable install reads them from `examples/`."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for path in SAMPLES:
                self.copy_file(path, str(Path(self.build_lib) / "vitripick" / "samples" / Path(path).name))


setup(cmdclass={"build_py": BuildWithSamples})
