"""Where a copy's random numbers come from: its original and its number, so that nothing else can change it."""

import hashlib


def digest(*parts: object) -> str:
    """Hex sha256 of some words; the same words give the same digest on every machine."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def copy_seed(seed: int, record_id: str, copy: int) -> int:
    """The seed of copy number `copy` (from 1) of a record, below 2^32."""
    return int(digest(seed, record_id, copy)[:8], 16)
