"""The machine: cache, folders, memory, devices, processes."""
