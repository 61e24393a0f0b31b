"""What the stars of a frame have in common: their number, their colours, which are no stars."""
