"""Watch a folder or a growing STAR, and pick micrographs as they arrive."""
