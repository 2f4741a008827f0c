"""The sub-commands of `threedimo-train`: what they take, and which function does the work."""
