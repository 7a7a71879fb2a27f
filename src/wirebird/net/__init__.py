"""asyncio: sockets, TLS, names, pools and deadlines."""
