await resp.text(encoding='windows-1251')
