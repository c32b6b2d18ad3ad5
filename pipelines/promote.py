"""Compare the challenger with the champion, and decide: what the step `promote` of the main flow does, by itself.

Run with `approve` from the Prefect UI it is a person's consent, where `promote.mode` in params.yaml asks for one.
"""

import time

from prefect import flow, get_run_logger

from headrace.flow.run import EndState, Outcome, open_run
from headrace.flow.scheduled import in_clone
from headrace.settings import load_settings, prepare_process

SETTINGS = load_settings()


@flow(name="promote", persist_result=False)
def promote(*, approve: bool = False) -> str:
    """Make the challenger champion, or refuse it and say why.

    Args:
        approve: consent to a promotion that waits for it.

    Returns:
        The decision in a sentence.
    """
    from headrace.registry.operations import promote_challenger

    logger = get_run_logger()
    with open_run(SETTINGS) as run, in_clone(run, needs_outputs=True):
        started = time.monotonic()
        told = promote_challenger(SETTINGS, approve=approve)
        run.outcomes["promote"] = Outcome(EndState.RAN, time.monotonic() - started, told.headline)
        for line in (told.headline, *told.reasons):
            logger.info(line)
        return told.headline


if __name__ == "__main__":
    prepare_process(SETTINGS)
    promote()
