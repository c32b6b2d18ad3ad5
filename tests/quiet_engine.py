"""Import this first where Great Expectations is tested: importing it warns, and in tests a warning is an error."""

import warnings

with warnings.catch_warnings():
    # Release 1.24 imports a module of the standard library that is deprecated.
    warnings.simplefilter("ignore")
    import great_expectations  # noqa: F401
