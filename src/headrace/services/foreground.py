"""`headrace up` without --detach: stay, bring back what dies, end everything at the end."""

import signal
import time
from types import FrameType

from headrace.errors import HeadraceError
from headrace.services import operations, state
from headrace.services.healing import Say
from headrace.services.page import page
from headrace.settings import Settings

LOOK_EVERY_S = 1.0
MAX_HEALS = 3
HEAL_WINDOW_S = 300.0


def bring_up(settings: Settings, *, with_object_store: bool | None, detach: bool, say: Say) -> None:
    """`headrace up`: bring up what is down, print the page, and stay for as long as the services run.

    With `detach`, or when all were up already, it does not stay. Raises what `operations.up` raises.
    """
    try:
        begun = operations.up(settings, with_object_store=with_object_store, say=say)
    except KeyboardInterrupt:
        say("\nstopped; what has been started is ended")
        operations.down(settings, say=say)
        raise
    if not begun:
        say("all services were up")
    stays = bool(begun) and not detach
    # The settings were read before there were services to be found.
    known = state.read(settings.services_folder)
    say(page(settings, operations.rows(settings), known, is_held=stays))
    if stays:
        hold(settings, say=say)


def hold(settings: Settings, *, say: Say) -> None:
    """Return when the services have been ended: by Ctrl-C, SIGTERM, a closed terminal, or another `headrace down`.

    A service that dies is started again, at most three times in five minutes.
    """
    heals: list[float] = []
    with_signals = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        while True:
            time.sleep(LOOK_EVERY_S)
            known = state.read(settings.services_folder)
            if not known.in_use:
                say("ended by another command")
                return
            dead = [name for name, started in known.processes.items() if not started.process.is_alive()]
            if not dead:
                continue
            heals = [moment for moment in heals if time.monotonic() - moment < HEAL_WINDOW_S]
            if len(heals) >= MAX_HEALS:
                say(f"{', '.join(dead)} died again; it is not started a fourth time in five minutes. headrace logs {dead[0]}")
                return
            heals.append(time.monotonic())
            say(f"{', '.join(dead)} died; starting it again")
            try:
                operations.up(settings, say=say)
            except HeadraceError as error:
                say(str(error))
    except KeyboardInterrupt:
        say("")
    finally:
        for number in with_signals:
            signal.signal(number, signal.SIG_IGN)
        operations.down(settings, say=say)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)
