"""`python -m job`."""

import os
import signal
import sys
import traceback

# As PID 1 of a container the process would ignore these until the run listens; nothing is under way before that.
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
signal.signal(signal.SIGINT, lambda *_: os._exit(130))

# A closed standard stream would give its number to the next file or socket, and lines meant for people would go there.
while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
    os.set_inheritable(descriptor, True)
os.close(descriptor)

from job.cli.main import main  # noqa: E402
from job.execution.outcome import ExitCode  # noqa: E402

try:
    code = main(sys.argv[1:])
except Exception:  # noqa: BLE001  the edge of the program: whatever gets here is a bug
    traceback.print_exc()
    code = ExitCode.UNFORESEEN
sys.exit(code)
