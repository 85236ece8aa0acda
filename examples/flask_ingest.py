# SPDX-License-Identifier: BSD-2-Clause
"""A Flask application that stores what is posted, with Peewee's models, under gunicorn with several workers.

    EVENTS=~/try/events.db gunicorn --workers 4 --threads 8 --worker-class gthread --bind 127.0.0.1:8080 flask_ingest:app
    curl -d '{"temperature": 21}' http://127.0.0.1:8080/events
    kill -HUP MASTER      # new workers; the old ones answer what they have begun

Each 200 says the event's number, and it is in the table then. The database is opened by each worker at its first request, so nothing is open when
gunicorn forks. At its end a worker writes what is queued (penstock closes its databases as Python ends).

ORIGINAL=1 runs the same with Peewee's own class, to compare.
"""

from __future__ import annotations

import os

import peewee
from flask import Flask, request

if os.environ.get('ORIGINAL'):
    from playhouse.sqliteq import SqliteQueueDatabase
else:
    from penstock.peewee import SqliteQueueDatabase

app = Flask(__name__)
db = SqliteQueueDatabase(os.environ['EVENTS'], autostart=not os.environ.get('ORIGINAL'))


class Event(peewee.Model):
    body = peewee.TextField()

    class Meta:
        database = db


@app.before_first_request
def begin() -> None:
    db.start()  # Peewee's own class begins its thread here, behind the fork
    db.create_tables([Event])


@app.post('/events')
def post_event() -> tuple[str, int]:
    return f'{Event.create(body=request.get_data(as_text=True)).id}\n', 200


@app.get('/events')
def count_events() -> str:
    return f'{Event.select().count()}\n'


@app.teardown_request
def close(exception: BaseException | None) -> None:
    if not db.is_closed():
        db.close()  # this thread's connection for reading; the writer stays
