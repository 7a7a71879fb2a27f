print(await resp.read())
