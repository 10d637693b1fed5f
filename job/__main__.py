"""Entry point: `python -m job`. Handles signals before and after the run does, and closed standard streams."""

import os
import signal
import sys

# As PID 1 of a container, the process would ignore these signals until the run handles them. It may exit at once here,
# as nothing is in progress yet.
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
signal.signal(signal.SIGINT, lambda *_: os._exit(130))
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
    signal.signal(signal.SIGHUP, lambda *_: os._exit(143))

# If a standard stream is closed, the next file or socket gets its descriptor, and output would be written into that.
while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
    os.set_inheritable(descriptor, True)
os.close(descriptor)

try:
    from job.cli.main import main
except Exception as error:  # noqa: BLE001  Python would exit with 1, as after a failed data engine
    sys.excepthook(type(error), error, error.__traceback__)
    sys.exit(70)

code = main(sys.argv[1:])
# While Python shuts down it restores the default actions, with which a signal would change the exit code.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(code)
