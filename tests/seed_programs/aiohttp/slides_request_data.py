async def handler(request):
    request['my_private_key'] = "data"
