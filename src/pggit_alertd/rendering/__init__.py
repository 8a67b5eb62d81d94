"""From a notification to the bytes a receiver takes: pure functions, within the receiver's limits for any text."""
