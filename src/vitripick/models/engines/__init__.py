"""Other engines than torch to run a network on the CPU, and what they need: graphs, made once."""

from vitripick.models.engines.choose import EngineModel, available_cores, load_on_engine

__all__ = ["EngineModel", "available_cores", "load_on_engine"]
