"""Read micrographs: one module for each kind of file; `files.py` chooses the module, `finding.py` finds the files."""
