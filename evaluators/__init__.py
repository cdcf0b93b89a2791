"""Evaluators: read stored, redacted calls and give scores. They never see raw text."""
