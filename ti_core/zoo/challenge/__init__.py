"""The Trojan Detection Challenge's networks as reference models."""
