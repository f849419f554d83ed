"""Delegation as a contract: a registry and runtime that hand missions from a gateway to persistent specialist lanes."""

__version__ = "0.1.0"
