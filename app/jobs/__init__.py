"""Inspections on their way: the desk that queues them, tickets, and how long each takes."""
