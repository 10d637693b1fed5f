"""Errors that the job raises on purpose. Each library's own errors become one of them in the module that uses it.

JobError
├── ConfigError (config/faults): variables or config objects have faults; has all of them
├── StorageError (storage/store): storage did not do what it was asked
│   ├── UnusableError: RUNS_URI or CONFIG_URI can never work as it is
│   ├── UnreachableError: no usable answer came
│   └── ConflictError: another process has changed the object
├── RecordError (records/objects): a record cannot be used as it is
│   └── FormatError: another version has written it
├── BusyError (records/lease): another start is at work, or has taken over
├── AnswerError (engines/answers): a request got no whole answer, or there is no token for it
├── EngineFailedError (day/result): a data engine has failed
└── ShutdownError (execution/shutdown): the start ends early, so no call starts

Anything else that leaves a module is a bug. Within a package, InvalidError (config/faults) says what is wrong with a
value.
"""


class JobError(Exception):
    """Base of the job's own errors."""
