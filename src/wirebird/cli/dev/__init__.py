"""`wirebird dev`: an application while it is being written.

A parent process holds the socket, watches the files, and has a child process serve (`supervisor.py`, `child.py`).  The child
wraps the application (`app.py`), so that pages load themselves anew (`live.py`), and what went wrong can be seen (`pages.py`).
"""
