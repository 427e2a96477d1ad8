"""Hold the version of this package. pyproject.toml reads it here, and so does all code that writes it into a file."""

VERSION = "0.1.0"
