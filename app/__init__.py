"""The dashboard. It imports ``ti_core``. No other package imports it."""
