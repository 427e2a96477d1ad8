"""Hold one module for each command: parse, call the library, print."""

from vitripick.cores import calm_libraries

# NumPy and torch are imported by the modules of this package, so this comes before all of them.
calm_libraries()
