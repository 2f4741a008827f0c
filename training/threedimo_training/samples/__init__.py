"""View-rich samples: one motion, two people, two cameras."""
