"""What happens: one batch, one sweep, one snapshot. Knows ports, no vendor."""
