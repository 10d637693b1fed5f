"""Errors that the job raises on purpose. Each library's own errors become one of them in the module that uses it.

JobError
├── ConfigError (config/faults): variables or config objects have faults; has all of them
├── StorageError (storage/store): storage did not do what it was asked
│   ├── ConflictError: another process was faster
│   └── UnusableError: RUNS_URI or CONFIG_URI can never work as it is
├── RecordError (report/format): a record cannot be used as it is
├── BusyError (records/lease): another start is alive, or has taken over
├── TransportError (engines/transport): a request got no whole answer
│   └── ProcessLimitError: this process has reached one of its own limits
├── TokenError (engines/transport): there is no token
├── EngineFailedError (execution/phases): a data engine has failed
└── ShutdownError (execution/shutdown): the start ends early, so no call starts

Anything else that is raised is a bug.
"""


class JobError(Exception):
    """Base of the job's own errors."""
