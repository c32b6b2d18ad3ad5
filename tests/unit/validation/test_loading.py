"""Loading the engine."""

import gc

import tests.quiet_engine  # noqa: F401  # first: its import warns

from headrace.validation.loading import load_engine


def test_the_collector_is_left_as_it_was():
    """A stage that goes on without it would fill memory; one that had paused it would be collected behind its back."""
    try:
        for collecting in (True, False):
            (gc.enable if collecting else gc.disable)()
            load_engine()
            assert gc.isenabled() is collecting
    finally:
        gc.enable()
