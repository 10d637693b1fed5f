"""Why an attempt stops early."""

from enum import IntEnum


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    BUG = 4
    SIGTERM = 5
    SIGINT = 6
