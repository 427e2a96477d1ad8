"""The disc model and its micrographs, shared with the tests of the neighbouring packages."""

from disc_fixtures import junk_model, many_micrographs, micrographs, model, says_junk

__all__ = ["junk_model", "many_micrographs", "micrographs", "model", "says_junk"]
