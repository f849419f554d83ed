"""The HTTP face: what each operation takes and answers, the abstract service behind it, and its Litestar handlers.

Only `controllers` and `exchange` import the web framework.
"""
