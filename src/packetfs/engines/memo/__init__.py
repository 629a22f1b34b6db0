"""Results that are remembered: keys that follow from programs and bytes, and what was computed under them."""
