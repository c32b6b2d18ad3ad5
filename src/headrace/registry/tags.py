"""Names by which the registry finds things again."""

CHALLENGER, CHAMPION = "challenger", "champion"

PACKAGE_TAG = "headrace.package"

DONE_TAG = "headrace.ledger."
"""With the digest of a ledger entry, on the version it made champion: set last, so an entry without it was interrupted."""
