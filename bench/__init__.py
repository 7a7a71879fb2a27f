"""The comparison of wirebird with its peers and with the bare event loop: `python -m bench`.

The server has one core, the client processes the other.  Every contender meets every workload in a fresh process; the contenders
take turns A B C, A B C for some rounds within one run, and the report gives ratios of medians, since an absolute figure says more
about the machine and the minute than about the library.

    __main__.py      the command line          turns.py      who runs when, and the end of every process
    origin.py        the servers of one run    report.py     Markdown
    workloads.py     what is asked of them     targets.py    what wirebird has promised
    run.py           one measurement           contenders/   one file per library
    callers.py       requests, many at once    talk.py       one WebSocket
    server.py        the embedded server       frames.py     its WebSockets
    serving.py       one measurement of a server, with wrk (Debian: wrk)
    served.py        that server               servers/      one file per server
    wrk.py           the load, and its report  tree.py       what a process and its children take

It needs a POSIX system, and Linux for the pinning and the memory figures.
"""
