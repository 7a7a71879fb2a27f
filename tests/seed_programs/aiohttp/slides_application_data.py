app['my_private_key'] = data

async def handler(request):
    data = request.app['my_private_key']
