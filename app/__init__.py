"""What the browser shows. Imports ``ti_core``; nothing imports this."""
