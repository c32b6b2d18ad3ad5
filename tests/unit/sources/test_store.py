"""The content-addressed downloads."""

import hashlib

from headrace.sources.store import Store


def test_two_writers_of_one_digest_both_succeed(tmp_path):
    """Equal bytes under one key: whoever is second changes nothing."""
    store = Store(tmp_path)
    digest = hashlib.sha256(b"x").hexdigest()
    for key in ("one", "two"):
        store.partial(key).write_bytes(b"x")
        landed = store.land(store.partial(key), digest, "a.bin")

    assert store.find(digest, "a.bin") == landed
    assert landed.read_bytes() == b"x"


def test_same_bytes_are_found_under_another_name(tmp_path):
    """Two data sets may share a file and name it differently."""
    store = Store(tmp_path)
    digest = hashlib.sha256(b"x").hexdigest()
    store.partial("one").write_bytes(b"x")
    landed = store.land(store.partial("one"), digest, "a.bin")

    assert store.find(digest, "b.bin") == landed


def test_damaged_file_is_thrown_away(tmp_path):
    """A store that hands out what it did not hash is no store."""
    store = Store(tmp_path)
    digest = hashlib.sha256(b"x").hexdigest()
    store.partial("one").write_bytes(b"x")
    landed = store.land(store.partial("one"), digest, "a.bin")
    landed.chmod(0o644)
    landed.write_bytes(b"y")

    assert store.find(digest, "a.bin") is None
    assert not landed.exists()
