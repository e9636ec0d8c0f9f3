"""Does. Linux, root, asyncio: carries out what the core decides."""
