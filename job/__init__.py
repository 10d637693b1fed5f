"""The job: prepares the data of every target with three engines, then has the QA engine generate every card."""

__version__ = "0.7.0"
