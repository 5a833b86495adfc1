"""Rows become statistics."""
