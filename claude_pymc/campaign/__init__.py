"""Proposals become rows."""
