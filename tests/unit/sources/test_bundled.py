"""Data sets inside installed packages."""

import sys

import pytest

from headrace.errors import ParamsError, SourceError
from headrace.fingerprint import file_sha256
from headrace.sources.bundled import BUNDLED, BundledFile, bundled_file, locate
from headrace.sources.store import Store


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_installed_file_is_the_pinned_one(name, tmp_path):
    """A new release of the package with other bytes must be noticed here, not by a user."""
    file = bundled_file(name)
    path = locate(file, Store(tmp_path))

    assert (path.stat().st_size, file_sha256(path)) == (file.size, file.sha256)


def test_package_is_not_imported(tmp_path):
    """scikit-learn costs a second and no byte of it is needed."""
    before = "sklearn" in sys.modules
    locate(bundled_file("digits"), Store(tmp_path))

    assert ("sklearn" in sys.modules) == before


@pytest.mark.badinput
def test_unknown_data_set_gets_the_nearest():
    """There are few; the message names them."""
    with pytest.raises(ParamsError, match="Did you mean 'digits'"):
        bundled_file("digit")


@pytest.mark.badinput
def test_absent_package_is_told(tmp_path):
    """An environment that is not the locked one."""
    with pytest.raises(SourceError, match="Install the locked environment"):
        locate(BundledFile("no_such_package", "a.csv", 1, "0" * 64), Store(tmp_path))
