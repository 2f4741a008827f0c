"""Training of 3DiMo: view-rich data, the three stages, evaluation."""
