"""How often the promotion gate errs in a year of nightly looks at one test set, and what it finds.

    python benchmarks/gate.py                      1,000 years, 10,000 test records: under two minutes on one core
    python benchmarks/gate.py --years 200 --budget 0.01

No model is trained: a model is which test records it has right. `unstable` records are those that a retraining gets right or wrong by
chance, each with a probability of its own; all other records tell the two models nothing. Whatever was drawn for the champion and the
test set stays all year, as a real test set does, so the 365 comparisons of a year depend on each other. Levels and decisions are those
of `headrace promote` (headrace.registry.looks), not a copy.

    retrained   the challengers are retrainings of the champion's recipe: equally good in truth
    rival       the challengers are of another recipe, equally good in truth, but right on other records: the luck of the draw of the
                test set is for or against all of them alike
"""

import argparse
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from headrace.registry.looks import Look, allowance, is_better

NIGHTS = 365
RATES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10)
"""Share of test records on which challenger and champion differ: one right, the other wrong."""
START = datetime(2026, 1, 1, 3, tzinfo=UTC)
PLAIN = 0.05
"""Level of the test that counts no looks, for contrast."""


def levels(budget: float) -> list[float]:
    """What each night of a year may spend, asked night by night as `headrace promote` asks."""
    looks: list[Look] = []
    for night in range(NIGHTS):
        now = START + timedelta(days=night)
        looks.append(Look(now, allowance(looks, now, error_budget=budget, looks_per_year=NIGHTS).allowed))
    return [look.spent for look in looks]


def years_with_promotion(chances: np.ndarray, sizes: np.ndarray, first: np.ndarray, allowed: list[float], seed: int) -> float:
    """Share of years in which a challenger that is no better is promoted.

    Args:
        chances: of each group of records: probability that a challenger has one of its records right, shape (G,).
        sizes: records of each group in each year's test set, shape (years, G).
        first: of these, how many the champion has right at the start of the year, shape (years, G).
        allowed: level of each night.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    right = first.copy()
    has_erred = np.zeros(len(sizes), dtype=bool)
    for level in allowed:
        # Records of a group are alike, so the counts of right and wrong ones are all of the champion that matters.
        lost = rng.binomial(right, 1 - chances)
        won = rng.binomial(sizes - right, chances)
        promoted = is_better(won.sum(axis=1), lost.sum(axis=1), level)
        has_erred |= promoted
        right = np.where(promoted[:, None], right - lost + won, right)
    return float(has_erred.mean())


def retrained(rate: float, records: int, years: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups of records with probabilities .1, .3, .5, .7, .9; two retrainings differ on `rate` of all records."""
    chances = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    share = rate / (2 * chances * (1 - chances)).sum()  # of all records, in each group
    rng = np.random.default_rng(seed)
    sizes = rng.multinomial(records, [*np.full(len(chances), share), 1 - share * len(chances)], size=years)[:, :-1]
    return chances, sizes, rng.binomial(sizes, chances)


def rival(rate: float, records: int, years: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two groups: on one the champion's recipe is right with .9 and the rival with .1, on the other the reverse."""
    share = rate / (2 * (0.9 * 0.9 + 0.1 * 0.1))
    rng = np.random.default_rng(seed)
    sizes = rng.multinomial(records, [share, share, 1 - 2 * share], size=years)[:, :-1]
    return np.array([0.1, 0.9]), sizes, rng.binomial(sizes, [0.9, 0.1])


def power(rate: float, gain: float, records: int, level: float, draws: int, seed: int) -> float:
    """Share of challengers better by `gain` in truth that are promoted at one look."""
    won, lost = (rate + gain) / 2, (rate - gain) / 2
    table = np.random.default_rng(seed).multinomial(records, [won, lost, 1 - won - lost], size=draws)
    return float(is_better(table[:, 0], table[:, 1], level).mean())


def main() -> None:
    """Print two tables: false promotions a year, and power."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--budget", type=float, default=0.05, help="promote.error_budget")
    parser.add_argument("--gain", type=float, default=0.01, help="by how much a better challenger is better")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.perf_counter()
    ours = levels(options.budget)
    print(f"{options.years:,} years of {NIGHTS} nightly challengers that are no better, {options.records:,} test records")
    print(f"years with a false promotion; at most {options.budget:.1%} wanted\n")
    print("differ on   retrained   rival     | plain 95 %: retrained   rival")
    for rate in RATES:
        row = []
        for spent in (ours, [PLAIN] * NIGHTS):
            for scene in (retrained, rival):
                drawn = scene(rate, options.records, options.years, options.seed)
                row.append(years_with_promotion(*drawn, spent, options.seed + 1))
        print(f"{rate:8.1%}   {row[0]:8.1%}   {row[1]:6.1%}    | {row[2]:20.1%}   {row[3]:6.1%}", flush=True)
    print(f"\nA challenger better by {options.gain * 100:g} points, looked at once: share promoted; at least 80 % wanted\n")
    print("differ on   look 1   look 100   look 365   | plain 95 %")
    for rate in RATES:
        if rate < options.gain:
            continue  # models that differ on fewer records cannot differ by so much
        shares = [
            power(rate, options.gain, options.records, level, 20_000, options.seed)
            for level in (ours[0], ours[99], ours[-1], PLAIN)
        ]
        print(f"{rate:8.1%}   {shares[0]:6.1%}   {shares[1]:8.1%}   {shares[2]:8.1%}   | {shares[3]:10.1%}")
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
