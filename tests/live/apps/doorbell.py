"""A doorbell: an application that tells clients what address they have."""

from rtserver import App, Connection, Request

app = App("doorbell")


@app.get("/who")
async def who(request: Request) -> str:
    return request.remote


@app.rpc("who")
async def who_connects(connection: Connection) -> str:
    return connection.remote
