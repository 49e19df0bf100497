"""Makes the database of a Letta V1 server, without its migrations: the tables as its own code describes them.

LETTA_PG_URI=postgresql://letta:letta@127.0.0.1:PORT/letta python letta_v1_tables.py
"""
import asyncio
import os

import asyncpg

URI = os.environ["LETTA_PG_URI"]


async def connect(uri):
    for _ in range(300):
        try:
            return await asyncpg.connect(uri)
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.1)
    raise SystemExit("Postgres does not listen")


async def main():
    plain = URI.split("?")[0]
    server = await connect(plain.rsplit("/", 1)[0] + "/postgres")
    if not await server.fetchval("select 1 from pg_database where datname='letta'"):
        await server.execute("create database letta")
    await server.close()
    database = await connect(URI)
    await database.execute("create extension if not exists vector")
    if not await database.fetchval("select 1 from pg_tables where tablename='agents'"):
        from sqlalchemy.ext.asyncio import create_async_engine

        import letta.orm  # noqa: F401  (its import fills the metadata)
        from letta.orm.base import Base

        engine = create_async_engine(plain.replace("postgresql://", "postgresql+asyncpg://") + "?ssl=disable")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()
    # Its code says only that the server has a default for this column; a migration makes it.
    default = "select column_default from information_schema.columns where table_name='messages' and column_name='sequence_id'"
    if not await database.fetchval(default):
        await database.execute("create sequence if not exists message_seq_id start 1")
        await database.execute("alter table messages alter column sequence_id set default nextval('message_seq_id'::regclass)")
    await database.close()


asyncio.run(main())
