"""The same small application on rtserver, FastAPI, Flask and Django, and what loads it."""
