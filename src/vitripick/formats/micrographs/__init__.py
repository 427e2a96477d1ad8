"""Read micrographs: one module for each kind of file, `files.py` as the door, `finding.py` from inputs to files."""
