"""The commands of `micrograd-plus`, one module each: `add` declares its arguments."""
