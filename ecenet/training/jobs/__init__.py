"""Trainings in separate processes: starting, stopping, resuming and monitoring."""
