"""What tests, and the processes that they start, see of the shell: nothing that would change how they end."""

import os
import re

from job.config.environment import VARIABLES

OTHERS = re.compile(
    r"""
    CLICOLOR\w* | COLORTERM | COLUMNS | FORCE_COLOR | JUPYTER_\w+ | LINES | NO_COLOR | TERM | TTY_\w+  # terminals
    | LANG | LANGUAGE | LC_\w+
    | \w+_PROXY | CURL_CA_BUNDLE | NETRC | REQUESTS_CA_BUNDLE | SSL\w+  # the network
    | (CLOUDSDK|CLOUD_RUN|DISABLE_GCS|GCE|GCLOUD|GOOGLE|GRPC|K|OTEL)_\w+ | NO_GCE_CHECK | STORAGE_EMULATOR_HOST
    | GNUMAKEFLAGS | MAKE\w* | MFLAGS | PYTHON\w*
    | ARGS | BIN | FAULT | NIGHTS | NOTIFY | RUN_LOCAL_\w+ | STATE_(BUCKET|PREFIX) | TERRAFORM  # our Makefile
    | GIT_\w+ | TF_\w+
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What others than the job read."""
OLD_PYTHON = {"PYTHONWARNINGS": "ignore:You are using a:FutureWarning"}
"""Google's libraries warn of a Python that they will not support much longer, which no test is about."""
SHELL = dict(os.environ)
"""What there was before, for what builds an image."""


def clear() -> None:
    """Takes it all out of the environment. Terminals are wide."""
    for name in SHELL:
        if name in VARIABLES or OTHERS.fullmatch(name):
            os.environ.pop(name, None)
    os.environ.update(OLD_PYTHON, COLUMNS="300")


def bare(**more: str) -> dict[str, str]:
    """The environment of a process that sees these variables, and nothing else of the shell but PATH."""
    return {"PATH": os.environ["PATH"], **OLD_PYTHON, **more}
