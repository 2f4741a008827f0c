"""A studio's own characters as training data: a rigged person in a .blend, filmed without a window."""
