"""Exporters: send stored, redacted records and scores to other systems. Their failure touches nothing else."""
