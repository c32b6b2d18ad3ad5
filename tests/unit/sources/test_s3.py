"""Names of objects on this machine."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.sources.s3 import stored_name


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=400))
def test_any_key_is_kept_inside_its_folder(tmp_path_factory, key):
    """The store puts an object at <digest>/<name>: no key may lead elsewhere, or be no name at all."""
    folder = tmp_path_factory.getbasetemp() / "store"
    folder.mkdir(exist_ok=True)
    path = folder / stored_name(key)
    path.write_bytes(b"x")

    assert path.resolve().parent == folder.resolve()
    path.unlink()
