#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients of the examples that are HTTP services (test_examples.sh).

http_clients.py PORT CLIENTS REQUESTS: so many threads, each with a connection of its own, send so many events each, one after the
other; with REQUESTS 0 until nobody listens any more. For each answer a line: its status, the id in it (or -), Retry-After (or -), the
client and the number in the event. "gone" is the status of an event that got no answer.
"""
import http.client
import json
import sys
import threading

PORT, CLIENTS, REQUESTS = (int(argument) for argument in sys.argv[1:4])
OUTPUT = threading.Lock()


def say(status, key, retry, client, number):
    with OUTPUT:
        print(status, key, retry, client, number, flush=True)


def post(connection, client, number):
    """Whether there was an answer."""
    try:
        connection.request('POST', '/events', json.dumps({'client': client, 'number': number}))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return False
    key = json.loads(body)['id'] if answer.status == 200 else '-'
    say(answer.status, key, answer.getheader('Retry-After', '-'), client, number)
    return True


def run(client):
    # A hang ends; nothing is timed.
    connection = http.client.HTTPConnection('127.0.0.1', PORT, timeout=120)
    number = 0
    while number < REQUESTS or REQUESTS == 0:
        if not post(connection, client, number):
            say('gone', '-', '-', client, number)
            try:
                connection.connect()
            except OSError:
                return
        number += 1


THREADS = [threading.Thread(target=run, args=(client,)) for client in range(CLIENTS)]
for thread in THREADS:
    thread.start()
for thread in THREADS:
    thread.join()
