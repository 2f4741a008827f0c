"""The embedded model: sizes, schedule, stages; trained from nothing, written as a pipeline folder."""
