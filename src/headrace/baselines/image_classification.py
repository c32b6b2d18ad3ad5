"""Pictures: the classical models of float features, on pixels from 0 to 1."""

from headrace.baselines.dense import NAMES, Config, make

__all__ = ["NAMES", "Config", "make"]
