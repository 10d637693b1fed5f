"""The job: prepares the data of every target with three engines, then has the QA engine generate every card.

The packages, from the command line down; a package imports only from those below it:

- `cli`: the command line.
- `orchestrator`: one whole run, from its config to its outcome.
- `page`: the page of a run, one HTML file. `reporting`: how a run is reported while it is in progress.
  `notification`: the message to a chat when it has ended.
- `records`: what a run writes to storage, and how a later attempt resumes from it.
- `execution`: how the calls are made: attempts, retries, limits, phases, shutdown.
- `planning`: which target gets which cards, and the calls that this requires.
- `config`: what is requested, in environment and config objects, validated.
- `engines`: how to talk to the four engines. `storage`: objects in a bucket or a directory.
- `text`: messages for people and their translations; text made safe to show.
"""

__version__ = "0.1.0"
