"""Statistics become draws."""
