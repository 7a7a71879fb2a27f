with open('massive-body', 'rb') as f:
   await session.post('http://httpbin.org/post', data=f)
