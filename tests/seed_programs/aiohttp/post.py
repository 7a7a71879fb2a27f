session.post('http://httpbin.org/post', data=b'data')
