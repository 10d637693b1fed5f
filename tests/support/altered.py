"""The real job with one thing changed that no variable changes: its resolver, its own account."""

from pathlib import Path

from tests.simulators.job import ROOT

# The resolver does not answer for localhost.
SILENT_RESOLVER = """
import socket, threading
look_up = socket.getaddrinfo
def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    if host in ("localhost", b"localhost") and not flags & socket.AI_NUMERICHOST:
        threading.Event().wait()
    return look_up(host, port, family, type, proto, flags)
socket.getaddrinfo = getaddrinfo
"""

# The longest step of the event loop, in seconds of CPU, is in a file when the process has ended.
STEPS = """
import atexit, time, trio
class Steps(trio.abc.Instrument):
    longest = 0.0
    def before_task_step(self, task):
        self.began = time.thread_time()
    def after_task_step(self, task):
        self.longest = max(self.longest, time.thread_time() - self.began)
steps, run = Steps(), trio.run
def watched(*arguments, **options):
    return run(*arguments, instruments=[steps], **options)
def account_of_steps():
    with open({file!r}, "w") as file:
        file.write(str(steps.longest))
trio.run = watched
atexit.register(account_of_steps)
"""

# Linux's account of the process, its peak of memory (`VmHWM`) among the rest, and its seconds of CPU are in a file when
# it has ended. `ru_maxrss` would not do: a process that was just started has that of its parent.
ACCOUNT = """
import atexit, os
def account():
    with open("/proc/self/status") as status, open({file!r}, "w") as file:
        file.write(status.read() + f"Cpu: {{sum(os.times()[:2])}}")
atexit.register(account)
"""


def altered(directory: Path, *changes: str) -> dict[str, str]:
    """The variable with which a job process makes these changes to itself before it does anything else."""
    place = directory / "altered"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text("\n".join([f"import sys\nsys.path.insert(0, {str(ROOT)!r})", *changes]))
    return {"PYTHONPATH": str(place)}
