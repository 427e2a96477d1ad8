"""Run a network on other engines than torch, from graphs that are made once."""

from vitripick.models.engines.choose import EngineModel, available_cores, load_on_engine

__all__ = ["EngineModel", "available_cores", "load_on_engine"]
