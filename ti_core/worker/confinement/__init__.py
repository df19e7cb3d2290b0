"""What keeps a worker process from network, files and other processes."""
