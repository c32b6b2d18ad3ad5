"""Make extra training samples with seeded transforms, and show what the transforms do.

Run by the DAG: python -m headrace.stages augment --splits data/splits --out data/augmented --plots reports/plots/augment
"""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from headrace.augmentation.contract import find_augmentation, read_policy
from headrace.augmentation.copies import plan_copies, policy_digest, training_info, write_copies
from headrace.augmentation.sheet import is_picture, sheet_rows, write_examples, write_sheet
from headrace.errors import ParamsError
from headrace.listening import Progress, SilentProgress
from headrace.params import Out, Report, Section


class Params(Section):
    """How many extra samples, made how. Transforms inside the training loop are params of `train`."""

    copies: int = Field(default=1, ge=0, le=100)
    """New samples of every training record; 0 makes none."""
    balance_to: float = Field(default=0.0, ge=0, le=1)
    """Scarce classes get further copies up to this share of the largest class; 0 for no balance."""
    max_copies: int = Field(default=20, ge=1, le=1000)
    """Limit for one record when classes are balanced."""
    seed: int = Field(default=17, ge=0)
    policy: dict[str, Any] = Field(default={})
    """The transforms, as headrace/augmentation/<task>.py types them."""

    @model_validator(mode="after")
    def _copies_differ_from_their_originals(self) -> Self:
        if (self.copies or self.balance_to) and not self.policy:
            raise ValueError("policy is empty, so every copy would repeat its original: name a transform, or set copies: 0")
        if self.copies > self.max_copies:
            raise ValueError(f"copies is {self.copies}, above max_copies, {self.max_copies}")
        return self


class AugmentReport(Report):
    """What went in and what came out, for data/augmented."""

    headline: str
    """For the terminal."""
    samples_in: int
    """Records of the training split."""
    samples_out: int
    """New samples, beside the originals."""
    by_class_in: dict[str, int]
    by_class_out: dict[str, int]
    """New samples of each class."""
    policy: dict[str, Any]
    """The transforms in use."""
    policy_digest: str


def run(params: Params, *, splits: Path, out: Out, plots: Out, progress: Progress | None = None) -> AugmentReport:
    """Write the copies of the training split, and a contact sheet; validation and test are never opened."""
    progress = progress or SilentProgress()
    train = splits / "train"
    info = training_info(train)
    progress.start("augment", info.rows, unit="records")
    plan = plan_copies(train, copies=params.copies, balance_to=params.balance_to, max_copies=params.max_copies, seed=params.seed)
    # Records of a task that cannot be changed pass through without copies; pictures are shown in any case.
    wanted_by = "augment.policy" if params.policy else ""
    part = find_augmentation(info, wanted_by=wanted_by) if wanted_by or is_picture(info) else None
    policy = read_policy(part, params.policy) if part else Section()
    in_use = policy.model_dump(mode="json", exclude_defaults=True)
    if (params.copies or params.balance_to) and not in_use:
        raise ParamsError(
            "augment.policy changes nothing, so every copy would repeat its original: name a transform, or set copies: 0."
        )
    made = write_copies(train, out, part, policy, plan, seed=params.seed, progress=progress)
    plots.mkdir(parents=True)
    make = part.copier(policy, info.record, seed=params.seed) if part else None
    if make and is_picture(info):
        rows = sheet_rows(train, info, make)
        write_sheet(
            rows,
            plots / "contact_sheet.png",
            title=f"Augmentation: {info.rows:,} originals, {made.rows:,} extra samples",
            subtitle="Transforms: " + (", ".join(in_use) or "none") + f"; seed {params.seed}",
        )
    elif not is_picture(info):
        write_examples(train, info, make, plots / "examples.csv")
    progress.finish(note=f"{made.rows:,} extra samples of {info.rows:,}")
    return AugmentReport(
        headline=f"{made.rows:,} extra samples of {info.rows:,}",
        samples_in=info.rows,
        samples_out=made.rows,
        by_class_in=info.by_class,
        by_class_out=made.by_class,
        policy=in_use,
        policy_digest=policy_digest(policy, params.seed),
    )
