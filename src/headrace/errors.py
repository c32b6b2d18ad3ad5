"""What can go wrong, as a tree. Every leaf carries the exit code a command ends with.

    HeadraceError                 1   something of ours failed
    |-- ParamsError               2   params.yaml, recipe or command line: the user's input is wrong
    |-- ConfigError               2   dvc.yaml, settings or environment variables are wrong
    |-- DataError                 3   the data is wrong
    |   |-- SourceError           3   a source cannot be read, or is not what it was
    |   |   `-- StaleSnapshot   3   data/sources.lock is not that of params.yaml's sources
    |   |-- FormatError           3   bytes that do not hold what their format promises
    |   |-- ValidationFailed      3   more bad records than max_bad_fraction allows
    |   |-- ChainBroken           3   an edge from a model back to its sources is not what it was
    |   `-- NotReproduced         3   a rerun on the same class of machine gives another result
    |-- EnvironmentMismatch       4   installed packages differ from environment.json
    |-- WorkspaceBusy             5   another run holds the workspace
    |-- StageFailed               6   a stage of the DAG ended with an error
    |-- ResumeRefused             7   a checkpoint belongs to another run
    |-- TrainingDiverged          7   loss or weights stopped being finite
    |-- OutOfMemory               7   the machine or the device ran out of memory
    |-- EngineError               8   a library or service we depend on failed; the data may be fine
    |-- RegistryError             9   the model registry refused or contradicts itself
    |   |-- LedgerMoved           9   others wrote into the ledger of promotions first, again and again
    |   `-- StateRefused          9   the git remote takes no push to the state branch from this user: the approval is missing
    `-- ReviewFailed             10   `headrace ci`: dvc.lock is stale, or the remote lacks what it needs

A message says what is wrong with the value, where it came from, and what to do next. No stack trace reaches the user
unless --debug asks for it.
"""


class HeadraceError(Exception):
    """Base of everything Headrace raises on purpose."""

    exit_code = 1


class ParamsError(HeadraceError):
    """A value in params.yaml, a recipe or a command line is wrong."""

    exit_code = 2


class ConfigError(HeadraceError):
    """dvc.yaml, a setting or an environment variable is wrong."""

    exit_code = 2


class DataError(HeadraceError):
    """The data cannot be used as they are."""

    exit_code = 3


class SourceError(DataError):
    """A source cannot be read, or its bytes are not those that data/sources.lock promises."""


class StaleSnapshot(SourceError):
    """data/sources.lock is missing, unreadable, or not that of params.yaml's sources."""


class FormatError(DataError):
    """Bytes that do not hold what their format promises."""


class ValidationFailed(DataError):
    """More records failed validation than max_bad_fraction allows."""


class ChainBroken(DataError):
    """Something between a model and its sources was changed, or lost, after it was recorded."""


class NotReproduced(DataError):
    """A rerun gives another result than the run it repeats."""


class EnvironmentMismatch(HeadraceError):
    """An installed package differs from the version in environment.json."""

    exit_code = 4


class WorkspaceBusy(HeadraceError):
    """Another run holds the workspace."""

    exit_code = 5


class StageFailed(HeadraceError):
    """A stage of the DAG ended with an error."""

    exit_code = 6


class ResumeRefused(HeadraceError):
    """A checkpoint was written for another run, architecture or format version."""

    exit_code = 7


class TrainingDiverged(HeadraceError):
    """Loss, gradient or weights stopped being finite."""

    exit_code = 7


class OutOfMemory(HeadraceError):
    """The machine or the device ran out of memory."""

    exit_code = 7


class EngineError(HeadraceError):
    """A library or a service we depend on failed; nothing is known about the data or the model."""

    exit_code = 8


class RegistryError(HeadraceError):
    """The model registry refused, or contradicts itself."""

    exit_code = 9


class LedgerMoved(RegistryError):
    """Another machine wrote into the ledger of promotions since it was read: what was decided on it must be decided anew."""


class StateRefused(RegistryError):
    """The git remote takes no push to the state branch from this user: a protected branch is an approval that is missing."""


class ReviewFailed(HeadraceError):
    """A pull request must not be merged as it is: dvc.lock is stale, or the remote lacks objects."""

    exit_code = 10
