"""The process: `python -m job`. Signals before and after the run handles them, and standard streams that are closed."""

import os
import signal
import sys

# As PID 1 of a container the process would ignore these until the run handles them; nothing is in progress before that.
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
signal.signal(signal.SIGINT, lambda *_: os._exit(130))

# A closed standard stream would give its number to the next file or socket, and lines meant for people would go there.
while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
    os.set_inheritable(descriptor, True)
os.close(descriptor)

try:
    from job.cli.main import main
except ModuleNotFoundError as error:  # in a checkout whose environment is not activated
    missing = (error.name or "").partition(".")[0]
    if missing in {"", "job", *sys.stdlib_module_names}:
        raise
    remedy = "activate the environment: make .venv/ready && . .venv/bin/activate"
    print(f"{missing} is not installed for {sys.executable}; {remedy}", file=sys.stderr)
    sys.exit(2)

code = main(sys.argv[1:])
# The exit code stands. When Python shuts down it would bring back the default action, which ends with another code.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(code)
