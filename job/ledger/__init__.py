"""Ledger: takes a plan and results in any order, and returns the state of each item and the totals."""
