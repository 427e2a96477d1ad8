"""One module a command: parse, call the library, print."""

from vitripick.cores import one_thread_of_blas

# NumPy is imported by the modules of this package, so this comes before all of them.
one_thread_of_blas()
