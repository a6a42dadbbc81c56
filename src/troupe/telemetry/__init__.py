"""Logs, metrics, traces and health: every tier with I/O may import it."""
