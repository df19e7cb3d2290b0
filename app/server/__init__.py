"""The server around the page: its middleware and its headers."""
