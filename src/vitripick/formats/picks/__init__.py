"""Read and write picks and labels: one module for each format; `table.py` lists them, `files.py` chooses one."""
