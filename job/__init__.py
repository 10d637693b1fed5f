"""Prepares the data of every target with three engines, then has the QA engine generate every card.

The way through the package: `cli` reads the arguments, `settings` the environment, `config` the objects of the config
prefix, `plan` turns both into every call of the run, `run` conducts the two phases, `executor` makes the calls.
"""

__version__ = "0.1.0"
