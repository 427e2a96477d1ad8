# Each toy registers itself when it is imported, which only the test that adds it to the list should do.
collect_ignore = ["toys"]
