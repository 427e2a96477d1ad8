"""Read and write STAR files in the dialect of RELION."""
