"""The page: label, train, look and correct in the browser, with a server over the same library functions.

The server answers requests and keeps the files. Everything that needs a network runs in a second process (`worker.py`),
so the server never imports torch, and the page never waits for it.

Start reading at `app.py` (the routes), `session.py` (the parts of an open project) and `project.py` (its folder).
"""
