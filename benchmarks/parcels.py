"""Parcels of two years, some of them late: the generated data of recipe `parcels`.

    python benchmarks/parcels.py > recipes/parcels.csv

What makes a parcel late is partly lasting (very short and very long ways; two carriers are slow with pallets, two with letters) and partly
the backlog that its carrier has in that fortnight, which nobody knows beforehand: parcels of the fortnight tell it of each other.
"""

import csv
import math
import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta

FIRST = date(2023, 1, 2)
FORTNIGHTS, PARCELS = 52, 80
CARRIERS = {"Ara": 1.5, "Boreal": -1.5, "Corvid": 1.5, "Drake": -1.5}
SIZES = {"letter": -1, "box": 0, "pallet": 1}
HEAD = ("parcel", "sent_on", "carrier", "size", "kilometres", "late")


def parcels() -> Iterator[tuple[str, str, str, str, int, str]]:
    """Rows in the order in which they were sent."""
    rng = random.Random(3)
    for fortnight in range(FORTNIGHTS):
        backlog = {carrier: rng.gauss(0, 1.8) for carrier in CARRIERS}
        for day in sorted(rng.randrange(14) for _ in range(PARCELS)):
            carrier, size = rng.choice(list(CARRIERS)), rng.choice(list(SIZES))
            kilometres = round(math.exp(rng.uniform(2, 7)))
            lasting = abs(math.log(kilometres) - 4.5) - 1.2 + SIZES[size] * CARRIERS[carrier]
            late = rng.random() < 1 / (1 + math.exp(-1.3 * lasting - backlog[carrier]))
            name = f"P{rng.randrange(16**8):08x}"
            yield name, str(FIRST + timedelta(days=14 * fortnight + day)), carrier, size, kilometres, "yes" if late else "no"


if __name__ == "__main__":
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(HEAD)
    rows.writerows(parcels())
