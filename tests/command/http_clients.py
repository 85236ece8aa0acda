#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients of the examples that are HTTP services (test_examples.sh).

http_clients.py PORT CLIENTS REQUESTS [SERVER]: so many threads, each with a connection of its own, send so many events each, one after
the other; with REQUESTS 0 until nobody listens any more. With SERVER, a process, all send an event while it is stopped, so that they
meet it at once; then each takes its answer; and so on. For each answer a line: its status, the id in it (or -), Retry-After (or -), the
client and the number in the event. "gone" is the status of an event that got no answer.
"""
import http.client
import json
import os
import signal
import sys
import threading

PORT, CLIENTS, REQUESTS, SERVER = (int(argument) for argument in (sys.argv[1:] + ['0'])[:4])
OUTPUT = threading.Lock()


def say(status, key, retry, client, number):
    with OUTPUT:
        print(status, key, retry, client, number, flush=True)


def connect():
    # A hang ends; nothing is timed.
    return http.client.HTTPConnection('127.0.0.1', PORT, timeout=120)


def ask(connection, client, number):
    connection.request('POST', '/events', json.dumps({'client': client, 'number': number}))


def take(connection, client, number):
    answer = connection.getresponse()
    body = answer.read()
    key = json.loads(body)['id'] if answer.status == 200 else '-'
    say(answer.status, key, answer.getheader('Retry-After', '-'), client, number)


def post(connection, client, number):
    """Whether there was an answer."""
    try:
        ask(connection, client, number)
        take(connection, client, number)
        return True
    except (OSError, http.client.HTTPException):
        connection.close()
        return False


def together():
    connections = [connect() for _ in range(CLIENTS)]
    for connection in connections:
        connection.connect()
    for number in range(REQUESTS):
        os.kill(SERVER, signal.SIGSTOP)
        for client, connection in enumerate(connections):
            ask(connection, client, number)
        os.kill(SERVER, signal.SIGCONT)
        for client, connection in enumerate(connections):
            take(connection, client, number)


def run(client):
    connection = connect()
    number = 0
    while number < REQUESTS or REQUESTS == 0:
        if not post(connection, client, number):
            say('gone', '-', '-', client, number)
            try:
                connection.connect()
            except OSError:
                return
        number += 1


if SERVER:
    together()
    sys.exit()
THREADS = [threading.Thread(target=run, args=(client,)) for client in range(CLIENTS)]
for thread in THREADS:
    thread.start()
for thread in THREADS:
    thread.join()
