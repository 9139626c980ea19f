"""Does adaptation help people whom nobody tuned for: many sources, targets, seeds, and the row without."""
