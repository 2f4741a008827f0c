"""The loop that trains any stage: resumable, on a time budget, on one process or many."""
