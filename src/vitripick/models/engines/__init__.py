"""Other engines than torch to run a network on the CPU, and what they need: graphs, made once."""

from vitripick.models.engines.choose import Ready, available_cores, make_ready

__all__ = ["Ready", "available_cores", "make_ready"]
