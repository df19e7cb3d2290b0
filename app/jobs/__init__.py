"""Running and waiting inspections: the desk that queues them, their tickets, and estimates of their time."""
