"""Draws become proposals."""
