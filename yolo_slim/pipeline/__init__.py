"""Verbs put together: from what a person names to what a verb takes, and recipes of many steps."""
