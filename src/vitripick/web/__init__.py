"""The page: label, train, look and correct in the browser. A server over the same library functions.

The server answers requests and keeps files; everything that needs a network runs in a process of its own
(`worker.py`), so the server never imports torch and the page never waits for it.
"""
