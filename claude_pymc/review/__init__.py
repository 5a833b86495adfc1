"""Draws become judgement."""
