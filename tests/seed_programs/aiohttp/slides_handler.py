async def handler(request):
    return web.Response()
