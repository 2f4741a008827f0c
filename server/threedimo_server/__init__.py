"""The 3DiMo server: front end, durable queue, workers and the command line `threedimo`."""
