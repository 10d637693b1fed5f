"""The job: prepares the data of every target with three engines, then has the QA engine generate every card.

The way through the package, from the command to the page; a package imports only from those below it:

- `cli`: the command line, a module for what the user types.
- `orchestrator`: one whole run, from its config to its outcome.
- `page`: the page of a run, one HTML file. `reporting`: how a run is reported while it happens. `notification`: the
  message to a chat when it is over.
- `records`: what a run leaves in storage, and how a later attempt goes on from it.
- `execution`: how the calls are made: attempts, retries, limits, phases, shutdown.
- `planning`: who gets what, and the calls that follow.
- `config`: what is requested, in environment and config objects, validated.
- `engines`: how to talk to the four engines. `storage`: objects in a bucket or a directory.
- `text`: messages for people and their translations, and text as people may see it.
"""

__version__ = "0.1.0"
