from wirebird.compat import aiohttp

aiohttp.ClientTimeout(total=5*60, connect=None,
                      sock_connect=None, sock_read=None, ceil_threshold=5)
