"""The server: HTTP/1.1 connections, what they serve, and where they come from."""
