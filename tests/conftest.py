"""For all tests: no time limits (a busy machine is no bug) and the same examples every run."""

from hypothesis import settings

settings.register_profile("vitripick", deadline=None, derandomize=True)
settings.load_profile("vitripick")
