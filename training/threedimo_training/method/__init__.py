"""What the paper says about training: schedule, objective, augmentation, geometry head."""
